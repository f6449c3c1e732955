//! Any input: rows come out as they went in, and nothing panics.

use proptest::prelude::*;

use super::*;

/// Values whose type does not change on the way: text that is no timestamp, and one type a key.
fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        any::<i64>().prop_map(|value| json!({ "i": value })),
        any::<bool>().prop_map(|value| json!({ "b": value })),
        any::<i32>().prop_map(|value| json!({ "f": f64::from(value) / 8.0 })),
        "[a-z\\\\\"\n\u{e9} ]{0,12}".prop_map(|value| json!({ "s": value })),
    ]
}

fn nested() -> impl Strategy<Value = Json> {
    scalar().prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|list| json!({ "l": list })),
            (inner.clone(), inner).prop_map(|(a, b)| json!({"x": a, "y": b})),
        ]
    })
}

/// Puts the rows of all tables together again.
fn rebuild(run: &Run, table: &str, id: &Json, prefix: &str) -> Vec<Json> {
    let rows = run.rows.get(table).into_iter().flatten();
    let of_parent = rows.filter(|row| prefix.is_empty() || &row["_dlt_parent_id"] == id);
    of_parent.map(|row| flat(run, table, row)).collect()
}

/// One row as the flat pairs of path and value, with its lists.
fn flat(run: &Run, table: &str, row: &Json) -> Json {
    let mut out = serde_json::Map::new();
    for (name, value) in row.as_object().unwrap() {
        if !name.starts_with("_dlt") {
            out.insert(name.clone(), value.clone());
        }
    }
    for child in run.normalizer.schema().tables.values() {
        if child.parent.as_deref() == Some(table) {
            let rows = rebuild(run, &child.name, &row["_dlt_id"], "child");
            if !rows.is_empty() {
                out.insert(child.name[table.len() + 2..].to_owned(), Json::Array(rows));
            }
        }
    }
    Json::Object(out)
}

/// What the flat row of a value should be.
fn expected(value: &Json, path: &str, out: &mut serde_json::Map<String, Json>) {
    for (key, value) in value.as_object().unwrap() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}__{key}") };
        match value {
            Json::Object(_) => expected(value, &path, out),
            Json::Array(list) if list.is_empty() => {}
            Json::Array(list) => {
                let rows = list.iter().map(|element| {
                    let mut row = serde_json::Map::new();
                    expected(element, "", &mut row);
                    Json::Object(row)
                });
                out.insert(path, rows.collect());
            }
            scalar => {
                out.insert(path, scalar.clone());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_come_out_as_they_went_in(rows in proptest::collection::vec(nested(), 1..5)) {
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let run = Run::of(&text);
        let expected: Vec<Json> = rows
            .iter()
            .map(|row| {
                let mut out = serde_json::Map::new();
                expected(row, "", &mut out);
                Json::Object(out)
            })
            .collect();
        prop_assert_eq!(rebuild(&run, "t", &Json::Null, ""), expected);
    }

    #[test]
    fn any_json_is_rows_or_an_error(rows in proptest::collection::vec(any_json(), 1..6), nesting in 0..6_usize) {
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let options = Options { max_table_nesting: nesting, max_identifier_length: 30, ..Options::new("1") };
        let mut run = Run::new(empty_schema(), options.clone());
        let before = run.normalizer.schema().clone();
        let chunk = split(&text).remove(0);
        let Ok(normalized) = run.normalizer.json("t", &chunk, None) else {
            prop_assert_eq!(run.normalizer.schema(), &before);
            return Ok(());
        };
        // What was refused has left no trace: the other rows alone give the same.
        let refused: Vec<u64> = normalized.refused.iter().map(|row| row.line).collect();
        normalized.batches.into_iter().for_each(|batch| run.take(batch));
        let good: Vec<&str> = text
            .lines()
            .enumerate()
            .filter(|(index, _)| !refused.contains(&(*index as u64 + 1)))
            .map(|(_, row)| row)
            .collect();
        let mut whole = Run::new(empty_schema(), options);
        prop_assert!(whole.try_rows(&good.join("\n")).is_ok());
        prop_assert_eq!(run.normalizer.schema(), whole.normalizer.schema());
        for table in whole.rows.keys() {
            prop_assert_eq!(run.data(table), whole.data(table));
        }
        prop_assert_eq!(run.rows.len(), whole.rows.len());
    }

    #[test]
    fn any_bytes_are_rows_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn nearly_json_is_rows_or_an_error(text in "[\\[\\]{}:,\" \n\\\\a0-9eu.+-]{0,80}") {
        read_all(text.as_bytes());
    }

    #[test]
    fn any_text_has_a_name(key in "\\PC{0,40}", max in 1..80_usize) {
        for naming in [Naming::SnakeCase, Naming::Direct, Naming::SqlCi, Naming::SqlCs] {
            let name = naming.normalize_path(&key, max);
            prop_assert!(name.chars().count() <= max);
        }
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "[0-9T:Z \\-]{0,20}".prop_map(Json::from),
        ".{0,8}".prop_map(Json::from),
    ];
    let value = leaf.prop_recursive(4, 48, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            proptest::collection::btree_map("[a-cA-C_]{0,3}|_dlt_id|list|value", inner, 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    });
    proptest::collection::btree_map("[a-cA-C_]{0,3}|_dlt_id|_dlt_load_id", value, 0..5)
        .prop_map(|map| Json::Object(map.into_iter().collect()))
}

fn read_all(bytes: &[u8]) {
    for shape in [JsonShape::Auto, JsonShape::Document] {
        let limits = JsonLimits { chunk_bytes: 16, max_row_bytes: 100 };
        let mut run = Run::new(empty_schema(), Options::new("1"));
        for chunk in JsonReader::new(bytes, "f.json", shape, limits) {
            let Ok(chunk) = chunk else { break };
            let _ = run.normalizer.json("t", &chunk, None);
        }
    }
}

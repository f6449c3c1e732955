//! What cannot be loaded is refused with its place, and leaves the schema as it was.

use super::*;

fn reader_fault(text: &str) -> Error {
    let mut run = Run::new(empty_schema(), Options::new("1"));
    let reader =
        JsonReader::new(text.as_bytes(), "rows.json", JsonShape::Document, JsonLimits::default());
    for chunk in reader {
        match chunk.and_then(|rows| run.normalizer.json("t", &rows, None)) {
            Err(error) => return error,
            Ok(mut normalized) if !normalized.refused.is_empty() => {
                return normalized.refused.remove(0).error;
            }
            Ok(_) => {}
        }
    }
    panic!("no fault");
}

fn place(error: &Error) -> (Option<&str>, Option<&str>, Option<&str>) {
    (error.context("file"), error.context("line"), error.context("column"))
}

#[test]
fn text_that_is_no_json_is_refused_with_its_place() {
    let error = fault(empty_schema(), "{\"a\":1}\n\n{\"a\":1,}\n");
    assert_eq!(error.message(), "the row is not JSON");
    assert_eq!(place(&error), (Some("rows.jsonl"), Some("3"), Some("8")));
    assert_eq!(error.context("reason"), Some("key must be a string"));
    let error = fault(empty_schema(), "{\"a\":1}{\"a\":2}\n");
    assert_eq!(place(&error), (Some("rows.jsonl"), Some("1"), Some("8")));
    let error = fault(empty_schema(), "{\"a\":");
    assert_eq!(error.message(), "the row is not JSON");
    let error = fault(empty_schema(), "{\"a\":1e400}");
    assert_eq!(error.context("reason"), Some("number out of range"));
    let error = reader_fault("[\n  {\"a\": 1},\n  {\n    \"a\": tru\n  }\n]");
    assert_eq!(place(&error), (Some("rows.json"), Some("4"), Some("13")));
}

#[test]
fn bytes_that_are_no_utf8_are_refused() {
    let mut normalizer = Normalizer::new(empty_schema(), Options::new("1")).unwrap();
    let text = b"{\"a\":\"x\"}\n{\"a\":\"\xff\"}";
    let mut reader = JsonReader::new(&text[..], "f", JsonShape::Auto, JsonLimits::default());
    let rows = reader.next().unwrap().unwrap();
    let error = normalizer.json("t", &rows, None).unwrap().refused.remove(0).error;
    assert_eq!(error.message(), "the row is not UTF-8");
    assert_eq!(place(&error), (Some("f"), Some("2"), Some("7")));
}

#[test]
fn rows_that_are_no_objects_are_refused() {
    for (row, line) in [("1", "1"), ("[1]", "1"), ("{}\n\"x\"", "2"), ("null", "1")] {
        let error = fault(empty_schema(), row);
        assert_eq!(
            (error.message(), error.context("line")),
            ("the row is not an object", Some(line))
        );
    }
}

#[test]
fn duplicate_keys_are_refused() {
    let error = fault(
        empty_schema(),
        "{\"x\":{\"a\":[1,{}],\"b\":2}}\n{\"x\":{\"a\":[1,{\"q\":\"\\n,\"}],\"b\":2,\"a\":3}}",
    );
    assert_eq!((error.message(), error.context("key")), ("duplicate key", Some("a")));
    assert_eq!(place(&error), (Some("rows.jsonl"), Some("2"), Some("33")));
    let error = reader_fault("[\n {\"k\": 1,\n   \"k\": 2}]");
    assert_eq!(place(&error), (Some("rows.json"), Some("3"), Some("4")));
    // The same key in two objects of a list is no duplicate.
    assert_eq!(Run::of(r#"{"l":[{"a":1},{"a":2}]}"#).rows["t__l"].len(), 2);
}

#[test]
fn nesting_has_a_limit_that_is_an_error() {
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let lists =
        |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let whole = Options { max_identifier_length: 63, ..Options::new("1") };
    assert_eq!(Run::new(empty_schema(), whole).then(&nested(127)).rows["t"].len(), 1);
    Run::of(&lists(127));
    for row in [nested(128), lists(128), nested(10_000), lists(100_000)] {
        let error = fault(empty_schema(), &row);
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::BadData, "the row is nested too deeply")
        );
    }
}

#[test]
fn null_for_a_column_that_is_not_null_is_refused() {
    let columns = json!({"id": {"name": "id", "nullable": false, "primary_key": true}});
    let schema = schema_with(json!({"name": "t", "columns": columns}));
    for rows in ["{\"id\":1}\n{\"id\":null}", "{\"id\":1}\n{\"v\":2}\n{\"id\":3}"] {
        let error = fault(schema.clone(), rows);
        assert_eq!(error.kind(), ErrorKind::BadData);
        assert_eq!((error.context("table"), error.context("column")), (Some("t"), Some("id")));
        assert_eq!((error.context("file"), error.context("line")), (Some("rows.jsonl"), Some("2")));
    }
    let error = fault(schema, "{\"id\":null}");
    assert_eq!(error.message(), "NULL for a column that is NOT NULL");
}

#[test]
fn a_refused_chunk_leaves_the_schema_as_it_was() {
    let mut run = Run::of(r#"{"a":1}"#);
    let before = run.normalizer.schema().clone();
    run.try_rows("{\"b\":1,\"l\":[1]}\n{\"C\":1,\"c\":2}").unwrap_err();
    assert_eq!(run.normalizer.schema(), &before);
}

/// Rows with bad ones among them give what the good ones alone give.
#[test]
fn a_refused_row_leaves_no_trace() {
    let good = [
        r#"{"a":1,"l":[{"x":1},{"x":2,"y":[1]}]}"#,
        r#"{"b":"t","o":{"p":1.5},"l":[3]}"#,
        r#"{"a":2,"b":"2024-01-02T03:04:05Z"}"#,
        r#"{"n":[[1,2],[3]],"o":{"q":true}}"#,
    ];
    // Each writes into many columns and tables, new ones too, before it turns out to be bad.
    let bad = [
        r#"{"a":"text","b":1,"new":1,"l":[{"x":"v"},{"z":[{"w":1}]}],"o":{"d":1,"d":2}}"#,
        r#"{"c":true,"a":1.5,"l":[{"x":1,"y":[{"k":1,"k":2}]}]}"#,
        r#"{"b":[1],"m":[{"deep":{"er":[{"t":"\u0000"}]}}],"n":1}"#,
        r#"{"big":123456789012345678901234567890123456789012,"o":1,"l":{"x":2}}"#,
        "{\"a\":1",
    ];
    let whole = Run::of(&format!("{{}}\n{}", good.join("\n")));
    for first in 0..bad.len() {
        let mut rows = Vec::new();
        for (index, row) in good.iter().enumerate() {
            rows.extend([
                bad[(first + index) % bad.len()],
                row,
                bad[(first + 2 * index) % bad.len()],
            ]);
        }
        let mut run = Run::new(empty_schema(), Options::new("1"));
        let chunk = split(&format!("{{}}\n{}", rows.join("\n"))).remove(0);
        let normalized = run.normalizer.json("t", &chunk, None).unwrap();
        let refused: Vec<_> = normalized.refused.iter().map(|row| (row.line, &row.bytes)).collect();
        let expected: Vec<_> = (0..rows.len()).filter(|row| row % 3 != 1).collect();
        assert_eq!(refused.len(), expected.len());
        for ((line, bytes), row) in refused.into_iter().zip(expected) {
            assert_eq!((line, &bytes[..]), (row as u64 + 2, rows[row].as_bytes()));
        }
        normalized.batches.into_iter().for_each(|batch| run.take(batch));
        assert_eq!(run.normalizer.schema(), whole.normalizer.schema());
        let tables: Vec<&String> = whole.rows.keys().collect();
        assert_eq!(run.rows.keys().collect::<Vec<_>>(), tables);
        for table in tables {
            assert_eq!(run.data(table), whole.data(table), "{table}");
        }
    }
}

#[test]
fn a_variant_that_cannot_hold_a_value_is_an_error() {
    // dlt gives the first text a timestamp column, and then fails as well.
    let error = fault(empty_schema(), "{\"v\":1}\n{\"v\":\"2024-01-02T03:04:05Z\"}\n{\"v\":\"x\"}");
    assert_eq!(error.message(), "neither the column nor its variant can hold a value");
    assert_eq!((error.context("column"), error.context("line")), (Some("v__v_text"), Some("3")));
}

#[test]
fn keys_of_one_object_that_look_the_same_are_refused_with_both_escaped() {
    let keys = |error: Error| {
        assert_eq!(error.context("code"), Some("E_NAME_COLLISION"));
        (error.context("key").unwrap().to_owned(), error.context("other key").unwrap().to_owned())
    };
    for (first, second, escaped) in [
        ("ab", "a\u{202e}b", ("ab", "a\\u202eb")),
        ("x\u{200b}y", "xy", ("x\\u200by", "xy")),
        ("caf\u{e9}", "cafe\u{301}", ("caf\\u00e9", "cafe\\u0301")),
    ] {
        let error = fault(empty_schema(), &format!("{{\"{first}\":1,\"z\":1,\"{second}\":1}}"));
        assert_eq!(keys(error), (escaped.0.to_owned(), escaped.1.to_owned()));
        // Once the keys are known, and in any order.
        let rows = format!(
            "{{\"{first}\":1}}\n{{\"{second}\":1}}\n{{}}\n{{\"{second}\":1,\"{first}\":2}}"
        );
        let error = fault(empty_schema(), &rows);
        assert_eq!(error.context("line"), Some("4"));
        assert_eq!(keys(error), (escaped.1.to_owned(), escaped.0.to_owned()));
    }
    // In two objects they are two columns, as in dlt, however the input is cut into chunks.
    assert_eq!(Run::of("{\"ab\":1}\n{\"a\u{202e}b\":1}").tables(), "t(ab bigint, a_b bigint)");
    // Keys of one column are told by the column.
    assert_eq!(Run::of("{\"Größe\":1,\"Grosse\":2}").tables(), "t(gr_e bigint, grosse bigint)");
}

#[test]
fn a_key_has_a_length_that_a_name_can_be_made_of() {
    assert_eq!(Run::of(&format!("{{\"{}\":1}}", "k".repeat(1000))).rows["t"].len(), 1);
    let error = fault(empty_schema(), &format!("{{\"{}\":1}}", "k".repeat(65_000)));
    assert_eq!(error.context("code"), Some("E_NAME_TOO_LONG"));
}

//! A27 to A33: ids, links and the hints of dlt's own columns.

use super::*;

fn merged(strategy: Option<&str>, columns: Json) -> Schema {
    let mut table =
        json!({"name": "t", "resource": "t", "write_disposition": "merge", "columns": columns});
    if let Some(strategy) = strategy {
        table["x-merge-strategy"] = json!(strategy);
    }
    schema_with(table)
}

fn key() -> Json {
    json!({"id": {"name": "id", "nullable": false, "primary_key": true}})
}

#[test]
fn a27_a28_given_ids_are_kept_and_the_load_is_ours() {
    for key in ["_dlt_load_id", "_DLT_LOAD_ID"] {
        let error = fault(empty_schema(), &format!("{{\"{key}\":\"zzz\"}}"));
        assert_eq!(error.context("code"), Some("E_RESERVED_NAME"));
    }
    let run = Run::of(r#"{"_dlt_id":"A","_dlt_load_id":null,"l":[1]}"#);
    assert_eq!(run.rows["t"], [json!({"_dlt_id": "A", "_dlt_load_id": "1700000000.1"})]);
    assert_eq!(run.rows["t__l"][0]["_dlt_parent_id"], "A");
    let run = Run::of(r#"{"_dlt_id":"123456","l":[1]}"#);
    assert_eq!(
        run.rows["t__l"],
        [
            json!({"value": 1, "_dlt_parent_id": "123456", "_dlt_list_idx": 0, "_dlt_id": "PANbp43SUuAY0Q"})
        ]
    );
    for falsy in ["null", "\"\"", "0", "false", "0.0"] {
        let run = Run::of(&format!("{{\"_dlt_id\":{falsy}}}"));
        assert_eq!(run.rows["t"][0]["_dlt_id"].as_str().unwrap().len(), 14, "{falsy}");
    }
}

#[test]
fn stored_columns_are_those_of_dlt() {
    let stored =
        Schema::from_json(include_str!("../../../core/tests/data/dlt-schema.json")).unwrap();
    let columns = json!({"id": {"name": "id", "nullable": false, "primary_key": true}});
    let table = json!({"name": "t", "resource": "players", "write_disposition": "replace", "columns": columns});
    let run = Run::with(
        schema_with(table),
        r#"{"id":1,"name":"x","l":[1,2],"m":[{"a":1.5,"ts":"2024-01-02T03:04:05Z","k":{"q":true}}]}"#,
    );
    for (ours, theirs) in [("t", "players"), ("t__l", "players__l"), ("t__m", "players__m")] {
        let mut ours = run.normalizer.schema().tables[ours].clone();
        theirs.clone_into(&mut ours.name);
        ours.parent = ours.parent.map(|_| "players".to_owned());
        assert_eq!(ours, stored.tables[theirs]);
        assert!(ours.columns.keys().eq(stored.tables[theirs].columns.keys()));
    }
}

#[test]
fn a29_merged_children_carry_the_id_of_their_root() {
    let run = Run::with(merged(None, key()), r#"{"id":1,"l":[{"a":1,"k":[1]}]}"#);
    let root = &run.rows["t"][0]["_dlt_id"];
    for table in ["t__l", "t__l__k"] {
        assert_eq!(&run.rows[table][0]["_dlt_root_id"], root);
        let column = &run.normalizer.schema().tables[table].columns["_dlt_root_id"];
        assert!(!column.nullable && column.has_hint("root_key"));
    }
    assert_eq!(
        run.column_names("t__l"),
        ["a", "_dlt_root_id", "_dlt_parent_id", "_dlt_list_idx", "_dlt_id"]
    );
    assert_eq!(
        run.normalizer.schema().normalizers["json"]["config"],
        json!({"propagation": {"tables": {"t": {"_dlt_id": "_dlt_root_id"}}}})
    );
    assert!(!run.normalizer.schema().tables["t"].columns["id"].nullable);
}

#[test]
fn a30_upsert_rows_are_named_by_their_key() {
    for strategy in ["upsert", "insert-only"] {
        let run = Run::with(merged(Some(strategy), key()), "{\"id\":1,\"v\":\"a\"}")
            .then("{\"v\":\"b\",\"id\":1}\n{\"id\":2,\"v\":\"c\",\"l\":[1]}");
        let ids: Vec<&Json> = run.rows["t"].iter().map(|row| &row["_dlt_id"]).collect();
        assert_eq!(ids, ["z5jIxXIbUnmbKw", "z5jIxXIbUnmbKw", "M6/KlLzJ2FeV/w"]);
        assert_eq!(run.rows["t__l"][0]["_dlt_root_id"], "M6/KlLzJ2FeV/w");
    }
    let error = fault(merged(Some("upsert"), key()), r#"{"v":1}"#);
    assert_eq!(error.message(), "a row lacks a part of the key that its id is made of");
    let error = fault(merged(Some("upsert"), json!({})), r#"{"v":1}"#);
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(fault(merged(Some("other"), json!({})), "{}").kind(), ErrorKind::Configuration);
}

#[test]
fn a31_scd2_rows_are_named_by_their_content() {
    let columns = json!({"_dlt_id": {
        "name": "_dlt_id", "nullable": false, "x-row-version": true, "unique": false, "row_key": false}});
    let run = Run::with(
        merged(Some("scd2"), columns),
        "{\"name\":\"x\",\"id\":1,\"_dlt_note\":2}\n{\"id\":1,\"l\":[1]}",
    );
    assert_eq!(run.rows["t"][0]["_dlt_id"], "KM0fQcnBdqwM3w");
    assert_ne!(run.rows["t"][1]["_dlt_id"], "z5jIxXIbUnmbKw");
    assert!(run.rows["t__l"][0].get("_dlt_root_id").is_none());
    let id = &run.normalizer.schema().tables["t"].columns["_dlt_id"];
    assert!(!id.has_hint("unique") && !id.has_hint("row_key") && id.has_hint("x-row-version"));
    // Another version column: ids are random.
    let run = Run::with(merged(Some("scd2"), json!({})), r#"{"id":1,"name":"x"}"#);
    assert_ne!(run.rows["t"][0]["_dlt_id"], "KM0fQcnBdqwM3w");
}

#[test]
fn a32_a_setting_makes_children_carry_the_id_of_their_root() {
    let mut schema = empty_schema();
    schema.normalizers["json"]["config"] = json!({"root_key_propagation": true});
    let run = Run::with(schema, r#"{"id":1,"l":[{"k":[1]}]}"#);
    for table in ["t__l", "t__l__k"] {
        assert_eq!(run.rows[table][0]["_dlt_root_id"], run.rows["t"][0]["_dlt_id"]);
    }
}

#[test]
fn a33_a_child_table_without_parent_is_a_root() {
    let mut schema = merged(None, key());
    let child = json!({"name": "t__l", "columns": {"k": {"name": "k", "nullable": false, "primary_key": true}}});
    schema.tables.insert("t__l".to_owned(), serde_json::from_value(child).unwrap());
    let run = Run::with(schema, r#"{"id":1,"l":[{"k":1,"v":2,"m":[5]}]}"#);
    assert_eq!(run.column_names("t__l"), ["k", "v", "_dlt_root_id", "_dlt_load_id", "_dlt_id"]);
    assert_eq!(run.rows["t__l__m"][0]["_dlt_parent_id"], run.rows["t__l"][0]["_dlt_id"]);
}

#[test]
fn chunks_shredded_out_of_order_give_the_schema_of_the_order() {
    let chunks = ["{\"a\":1}", "{\"a\":\"x\",\"b\":1}", "{\"a\":2}", "{\"c\":[1]}"];
    let mut normalizer = Normalizer::new(empty_schema(), Options::new("1")).unwrap();
    let mut worker = Worker::default();
    let old = normalizer.snapshot();
    let all: Vec<_> = chunks.iter().flat_map(|chunk| split(chunk)).collect();
    let early: Vec<_> =
        all.iter().map(|rows| old.shred("t", rows, None, &mut worker).unwrap()).collect();
    let mut again = 0;
    for (rows, shredded) in all.iter().zip(early) {
        if normalizer.accept(shredded).unwrap().is_none() {
            again += 1;
            let shredded = normalizer.snapshot().shred("t", rows, None, &mut worker).unwrap();
            assert!(normalizer.accept(shredded).unwrap().is_some());
        }
    }
    assert_eq!(again, 1);
    let one_by_one =
        chunks.iter().fold(Run::new(empty_schema(), Options::new("1")), |run, rows| run.then(rows));
    assert_eq!(normalizer.schema(), one_by_one.normalizer.schema());
    // A chunk that brings nothing new is taken whatever came in between, with the columns that there are now.
    let late = old_snapshot_of_known(&mut normalizer);
    let batches = normalizer.accept(late).unwrap().unwrap();
    assert!(batches.batches[0].batch.column_by_name("z").is_some());
}

fn old_snapshot_of_known(normalizer: &mut Normalizer) -> Shredded {
    let mut worker = Worker::default();
    let old = normalizer.snapshot();
    let shredded = old.shred("t", &split("{\"a\":3}")[0], None, &mut worker).unwrap();
    normalizer.json("t", &split("{\"z\":1}").remove(0), None).unwrap();
    shredded
}

//! Rows that are merged: their ids, their keys, and what ties nested rows to them. The ids are those of dlt's own tests.

use super::*;

/// A table that is merged by this strategy, with these columns.
fn merged(name: &str, strategy: &str, columns: Json) -> Schema {
    schema_with(json!({
        "name": name, "resource": name, "write_disposition": "merge", "x-merge-strategy": strategy,
        "columns": columns,
    }))
}

fn key(names: &[&str]) -> Json {
    let column = |name: &&str| {
        ((*name).to_owned(), json!({"name": name, "nullable": false, "primary_key": true}))
    };
    Json::Object(names.iter().map(column).collect())
}

fn scd2(name: &str, more: Json) -> Schema {
    let mut columns = json!({
        "_dlt_valid_from": {"name": "_dlt_valid_from", "data_type": "timestamp", "x-valid-from": true},
        "_dlt_valid_to": {"name": "_dlt_valid_to", "data_type": "timestamp", "x-valid-to": true},
    });
    let columns_of = columns.as_object_mut().unwrap();
    more.as_object().unwrap().clone().into_iter().for_each(|(name, column)| {
        columns_of.insert(name, column);
    });
    merged(name, "scd2", columns)
}

fn version(name: &str) -> Json {
    json!({name: {"name": name, "nullable": false, "x-row-version": true, "unique": false, "row_key": false}})
}

fn rows_of(run: &mut Run, table: &str, rows: &str) -> Result<()> {
    for chunk in split(rows) {
        let normalized = run.normalizer.json(table, &chunk, None)?;
        normalized.batches.into_iter().for_each(|batch| run.take(batch));
        if let Some(refused) = normalized.refused.into_iter().next() {
            return Err(refused.error);
        }
    }
    Ok(())
}

fn run_of(schema: Schema, table: &str, rows: &str) -> Run {
    let mut run = Run::new(schema, Options::new("1700000000.1"));
    rows_of(&mut run, table, rows).unwrap();
    run
}

fn column<'r>(run: &'r Run, table: &str, name: &str) -> Vec<&'r str> {
    run.rows[table].iter().map(|row| row[name].as_str().unwrap()).collect()
}

#[test]
fn ids_of_upsert_and_insert_only_are_made_of_the_key_whatever_its_case_and_letters() {
    let rows = r#"{"ID":1,"TxId":"tx1🚀3","child":[{"grandchild":[{"baz":1}]}]}
{"TxId":"tx2Ü+😎üß","ID":1,"v":2,"child":[{"grandchild":[{"baz":2}]}]}"#;
    for strategy in ["upsert", "insert-only"] {
        let run = run_of(merged("parent", strategy, key(&["id", "tx_id"])), "parent", rows);
        let roots = ["19GAeLNivYhDqg", "wg/EKJyC+CXo/g"];
        let children = ["hhWFugO13PeLBQ", "U+o+nLvOjp5DLA"];
        assert_eq!(column(&run, "parent", "_dlt_id"), roots);
        assert_eq!(column(&run, "parent__child", "_dlt_id"), children);
        assert_eq!(column(&run, "parent__child", "_dlt_parent_id"), roots);
        assert_eq!(
            column(&run, "parent__child__grandchild", "_dlt_id"),
            ["rsgPU8Q0nJ4QVg", "8anfRKWjVjQ7ag"]
        );
        assert_eq!(column(&run, "parent__child__grandchild", "_dlt_parent_id"), children);
        for nested in ["parent__child", "parent__child__grandchild"] {
            assert_eq!(column(&run, nested, "_dlt_root_id"), roots);
        }
    }
}

#[test]
fn an_id_that_the_row_brings_is_the_one_that_nested_ids_are_made_of() {
    let schema = merged("parent", "upsert", key(&["_dlt_id"]));
    let run = run_of(schema, "parent", r#"{"_dlt_id":1,"child":[{"grandchild":[{"baz":1}]}]}"#);
    assert_eq!(column(&run, "parent__child", "_dlt_id"), ["mvMThji/REOKKA"]);
    assert_eq!(column(&run, "parent__child__grandchild", "_dlt_id"), ["KKZaBWTgbZd74A"]);
    assert_eq!(column(&run, "parent__child__grandchild", "_dlt_root_id"), ["1"]);
    let schema = merged("parent", "upsert", key(&["_dlt_id"]));
    let error = rows_of(&mut Run::new(schema, Options::new("1")), "parent", r#"{"v":1}"#);
    assert_eq!(error.unwrap_err().context("code"), Some("E_KEY_NULL"));
}

#[test]
fn ids_of_scd2_are_made_of_the_whole_row_with_what_is_nested_in_it() {
    let rows = r#"{"nk":1,"c1":"foo","c2":{"nc1":"foo"}}
{"c2":{"nc1":"foo_🚀updated"},"c1":"foo","nk":1}
{"nk":2,"c1":"bar","c2":{"nc1":"bar"}}"#;
    let run = run_of(scd2("dim_test", version("_dlt_id")), "dim_test", rows);
    assert_eq!(
        column(&run, "dim_test", "_dlt_id"),
        ["OTPbGyxWlJzmpA", "Z/zzrOzuLRhhWw", "S41QIpRa9Fwh0w"]
    );
    let rows = "{\"nk\":1,\"c1\":\"foo\",\"c2\":[1]}\n{\"nk\":2,\"c1\":\"bar\",\"c2\":[2,3]}";
    let run = run_of(scd2("dim_test", version("_dlt_id")), "dim_test", rows);
    assert_eq!(
        column(&run, "dim_test__c2", "_dlt_id"),
        ["DVp8ashfqPeSOA", "fnGe0kXmwR/ncw", "HScKaAcv1HMq3Q"]
    );
    assert!(run.rows["dim_test__c2"].iter().all(|row| row.get("_dlt_root_id").is_none()));
}

#[test]
fn ids_of_scd2_are_made_of_the_version_that_the_row_brings() {
    let schema = || scd2("t", version("v"));
    let once = run_of(schema(), "t", r#"{"v":"a","l":[1]}"#);
    let again = run_of(schema(), "t", r#"{"other":1,"v":"a","l":[1]}"#);
    // Nested rows of a version that is there already are the same ones.
    for table in ["t", "t__l"] {
        assert_eq!(column(&once, table, "_dlt_id"), column(&again, table, "_dlt_id"));
    }
    let id = &once.normalizer.schema().tables["t"].columns["_dlt_id"];
    assert!(!id.has_hint("unique") && id.has_hint("row_key"));
    let error = rows_of(&mut Run::new(schema(), Options::new("1")), "t", r#"{"a":1}"#).unwrap_err();
    assert_eq!((error.context("code"), error.context("column")), (Some("E_KEY_NULL"), Some("v")));
}

#[test]
fn the_times_of_scd2_are_not_the_rows_to_say() {
    let mut run = Run::new(scd2("t", version("_dlt_id")), Options::new("1"));
    let error = rows_of(&mut run, "t", r#"{"id":1,"_dlt_valid_from":"2024-01-01T00:00:00Z"}"#);
    assert_eq!(error.unwrap_err().context("code"), Some("E_RESERVED_NAME"));
    let schema = run.normalizer.schema();
    let table = &schema.tables["t"];
    let filled: Vec<&str> = table
        .complete_columns()
        .filter(|column| is_filled_by_destination(table, column))
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(filled, ["_dlt_valid_from", "_dlt_valid_to"]);
    // Where the table is no longer merged by scd2, they are columns as others are.
    let appended = Table { write_disposition: Some(WriteDisposition::Append), ..table.clone() };
    assert!(!appended.columns.values().any(|column| is_filled_by_destination(&appended, column)));
}

#[test]
fn a_row_without_its_key_is_refused_whatever_the_column_says() {
    for hint in ["primary_key", "merge_key"] {
        for known in [json!({}), json!({"data_type": "bigint"})] {
            let mut id = json!({"name": "id", "nullable": true, hint: true});
            id.as_object_mut().unwrap().extend(known.as_object().unwrap().clone());
            for row in [r#"{"id":null,"v":1}"#, r#"{"v":1}"#] {
                let schema = merged("t", "delete-insert", json!({"id": id}));
                let mut run = Run::new(schema, Options::new("1")).then(r#"{"id":1}"#);
                let error = run.try_rows(row).unwrap_err();
                assert_eq!(error.context("code"), Some("E_KEY_NULL"), "{hint} {known} {row}");
                assert_eq!(error.context("column"), Some("id"));
            }
        }
    }
    // Where nothing is merged, a key may be NULL if its column may.
    let id = json!({"name": "id", "data_type": "bigint", "nullable": true, "primary_key": true});
    let schema =
        schema_with(json!({"name": "t", "write_disposition": "append", "columns": {"id": id}}));
    assert_eq!(Run::with(schema, r#"{"v":1}"#).data("t"), json!([{"v": 1}]));
}

#[test]
fn nested_tables_with_a_key_of_their_own_have_ids_of_it() {
    let mut schema = merged("t", "delete-insert", key(&["id"]));
    let own = json!({
        "name": "t__l", "resource": "t", "write_disposition": "merge", "x-merge-strategy": "upsert",
        "columns": key(&["id"]),
    });
    schema.tables.insert("t__l".to_owned(), serde_json::from_value(own).unwrap());
    let run = run_of(schema, "t", r#"{"id":9,"l":[{"id":1,"m":[5]},{"id":2}]}"#);
    let ids = ["z5jIxXIbUnmbKw", "M6/KlLzJ2FeV/w"];
    assert_eq!(column(&run, "t__l", "_dlt_id"), ids);
    let root = column(&run, "t", "_dlt_id")[0];
    assert_eq!(column(&run, "t__l", "_dlt_root_id"), [root, root]);
    // It is the root of what is nested in it: merging it replaces those.
    assert_eq!(column(&run, "t__l__m", "_dlt_root_id"), ids[..1]);
    let mapping = json!({"_dlt_id": "_dlt_root_id"});
    assert_eq!(
        run.normalizer.schema().normalizers["json"]["config"]["propagation"]["tables"],
        json!({"t": mapping, "t__l": mapping})
    );
}

#[test]
fn nested_tables_that_were_appended_to_go_on_without_the_id_of_their_root() {
    let mut schema = Run::of(r#"{"id":1,"l":[{"m":[1]}]}"#).normalizer.into_schema();
    schema.tables["t"].write_disposition = Some(WriteDisposition::Merge);
    check_merge(&schema, "t", Naming::SnakeCase, 63).unwrap();
    let run = run_of(schema.clone(), "t", r#"{"id":2,"l":[{"m":[2]}]}"#);
    assert!(run.rows["t__l__m"][0].get("_dlt_root_id").is_none());
    // A table that comes up has it.
    schema.tables.shift_remove("t__l__m");
    let run = run_of(schema, "t", r#"{"id":2,"l":[{"a":1,"m":[2]}],"n":[3]}"#);
    let root = column(&run, "t", "_dlt_id")[0].to_owned();
    assert!(run.rows["t__l"][0].get("_dlt_root_id").is_none());
    assert_eq!(run.rows["t__l"][0]["_dlt_parent_id"], root.as_str());
    for nested in ["t__l__m", "t__n"] {
        assert_eq!(column(&run, nested, "_dlt_root_id"), [&root]);
    }
    // Tables that were merged from the first load on keep the column when they are appended to.
    let mut later = run.normalizer.into_schema();
    later.tables["t"].write_disposition = Some(WriteDisposition::Append);
    let run = run_of(later, "t", r#"{"id":3,"n":[4]}"#);
    assert_eq!(column(&run, "t__n", "_dlt_root_id"), column(&run, "t", "_dlt_id"));
}

#[test]
fn a_strategy_without_its_key_is_refused_before_a_row_is_read() {
    let check = |schema: &Schema| check_merge(schema, "t", Naming::SnakeCase, 63);
    for strategy in ["upsert", "insert-only"] {
        let error = check(&merged("t", strategy, json!({"v": {"name": "v", "merge_key": true}})));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.hint().unwrap().contains("--primary-key"), "{error:?}");
        check(&merged("t", strategy, key(&["v"]))).unwrap();
    }
    check(&merged("t", "delete-insert", json!({}))).unwrap();
    let error = check(&merged("t", "upsrt", json!({}))).unwrap_err();
    assert_eq!(error.context("strategy"), Some("\"upsrt\""));
}

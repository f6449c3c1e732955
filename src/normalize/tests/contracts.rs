//! What the schema contract says of new tables, columns and types. The cases are those that dlt shows.

use super::*;

/// A table that has rows, `t(id bigint, l list)`, under this contract.
fn settled(contract: Json) -> Schema {
    let mut schema = Run::of(r#"{"id":1,"l":[{"x":1}]}"#).normalizer.into_schema();
    schema.settings["schema_contract"] = contract;
    schema
}

/// The rows of the tables after these came under a contract, and those that were refused or left out, as
/// `table line code`.
fn load(contract: Json, rows: &str) -> Result<(Run, Vec<String>)> {
    let mut run = Run::new(settled(contract), Options::new("1"));
    let chunk = split(rows).remove(0);
    let normalized = run.normalizer.json("t", &chunk, None)?;
    normalized.batches.into_iter().for_each(|batch| run.take(batch));
    let code = |error: &Error| error.context("code").unwrap_or_default().to_owned();
    let mut out: Vec<String> = Vec::new();
    for row in &normalized.refused {
        out.push(format!("t {} {}", row.line, code(&row.error)));
    }
    for (table, row) in &normalized.discarded.nested {
        let text = std::str::from_utf8(&row.bytes).unwrap();
        out.push(format!("{table} {} {} {text}", row.line, code(&row.error)));
    }
    for ((table, column), count) in &normalized.discarded.values {
        out.push(format!("{table}.{column} {count}"));
    }
    Ok((run, out))
}

fn refused(contract: Json, rows: &str) -> Error {
    load(contract, rows).unwrap_err()
}

const NEW_COLUMN: &str = "{\"id\":2,\"new\":1}\n{\"id\":3}";
const NEW_TYPE: &str = "{\"id\":\"str\"}\n{\"id\":3}";
const NEW_TABLE: &str = "{\"id\":2,\"sub\":[1]}\n{\"id\":3}";

#[test]
fn frozen_entities_refuse_the_load() {
    for (entity, rows, code) in [
        ("columns", NEW_COLUMN, "E_CONTRACT_COLUMN"),
        ("data_type", NEW_TYPE, "E_CONTRACT_TYPE"),
        ("tables", NEW_TABLE, "E_CONTRACT_TABLE"),
    ] {
        let error = refused(json!({entity: "freeze"}), rows);
        assert_eq!((error.kind(), error.context("code")), (ErrorKind::BadData, Some(code)));
        assert_eq!(error.context("line"), Some("1"));
        // The other entities evolve.
        for other in ["columns", "data_type", "tables"].into_iter().filter(|other| *other != entity)
        {
            assert!(load(json!({other: "freeze"}), rows).is_ok(), "{entity} {other}");
        }
    }
}

#[test]
fn rows_are_left_out() {
    {
        let mode = "discard_row";
        let (run, out) = load(json!({"columns": mode}), NEW_COLUMN).unwrap();
        assert_eq!(
            (run.data("t"), &out[..]),
            (json!([{"id": 3}]), &["t 1 E_CONTRACT_COLUMN".to_owned()][..])
        );
        assert_eq!(run.tables(), "t(id bigint) t__l(x bigint)");
        let (run, out) = load(json!({"data_type": mode}), NEW_TYPE).unwrap();
        assert_eq!(
            (run.data("t"), &out[..]),
            (json!([{"id": 3}]), &["t 1 E_CONTRACT_TYPE".to_owned()][..])
        );
    }
}

#[test]
fn values_are_left_out_and_counted() {
    let (run, out) = load(json!("discard_value"), NEW_COLUMN).unwrap();
    assert_eq!(
        (run.data("t"), &out[..]),
        (json!([{"id": 2}, {"id": 3}]), &["t.new 1".to_owned()][..])
    );
    let (run, out) = load(json!("discard_value"), NEW_TYPE).unwrap();
    assert_eq!((run.data("t"), &out[..]), (json!([{}, {"id": 3}]), &["t.id 1".to_owned()][..]));
    assert_eq!(run.tables(), "t(id bigint) t__l(x bigint)");
}

#[test]
fn lists_without_a_table_are_left_out_and_kept() {
    for mode in ["discard_row", "discard_value"] {
        let (run, out) = load(json!({"tables": mode}), NEW_TABLE).unwrap();
        assert_eq!(run.data("t"), json!([{"id": 2}, {"id": 3}]));
        assert_eq!(run.tables(), "t(id bigint) t__l(x bigint)");
        assert_eq!(out, ["t__sub 1 E_CONTRACT_TABLE [1]"]);
    }
}

#[test]
fn rows_of_nested_tables_are_left_out_alone() {
    let rows = r#"{"id":2,"l":[{"x":1},{"x":2,"new":[1],"y":3},{"x":3}]}"#;
    let (run, out) = load(json!({"columns": "discard_row"}), rows).unwrap();
    assert_eq!(run.data("t"), json!([{"id": 2}]));
    assert_eq!(run.data("t__l"), json!([{"x": 1}, {"x": 3}]));
    assert_eq!(out, [r#"t__l 1 E_CONTRACT_COLUMN {"x":2,"new":[1],"y":3}"#]);
    let indexes: Vec<_> = run.rows["t__l"].iter().map(|row| row["_dlt_list_idx"].clone()).collect();
    assert_eq!(indexes, [json!(0), json!(2)]);
    assert_eq!(run.tables(), "t(id bigint) t__l(x bigint)");
    // A row that is refused for another reason leaves nothing behind, what was left out of it neither.
    let rows = r#"{"id":2,"l":[{"y":1}],"l":1}"#;
    let (run, out) = load(json!({"columns": "discard_row"}), rows).unwrap();
    assert_eq!((run.data("t__l"), out), (json!([]), vec!["t 1 E_JSON_DUP_KEY".to_owned()]));
}

#[test]
fn a_new_table_gets_its_columns() {
    let mut schema = empty_schema();
    schema.settings["schema_contract"] = json!({"columns": "freeze"});
    let mut run = Run::new(schema, Options::new("1")).then("{\"a\":1}").then("{\"b\":1}");
    assert_eq!(run.tables(), "t(a bigint, b bigint)");
    // The next load finds it settled.
    run = Run::new(run.normalizer.into_schema(), Options::new("2"));
    assert!(run.try_rows("{\"c\":1}").is_err());
}

#[test]
fn a_root_table_that_may_not_come_takes_no_rows() {
    let mut schema = empty_schema();
    schema.settings["schema_contract"] = json!({"tables": "freeze"});
    assert_eq!(fault(schema.clone(), "{\"a\":1}").context("code"), Some("E_CONTRACT_TABLE"));
    schema.settings["schema_contract"] = json!({"tables": "discard_row"});
    let mut run = Run::new(schema, Options::new("1"));
    let normalized =
        run.normalizer.json("t", &split("{\"a\":1}\n{\"a\":2}").remove(0), None).unwrap();
    assert_eq!((normalized.batches.len(), normalized.refused.len()), (0, 2));
}

#[test]
fn rows_of_arrow_are_held_to_the_contract_too() {
    use crate::source::ArrowRows;
    use ::arrow::array::Int64Array;
    let ints = |values: [Option<i64>; 3]| {
        Arc::new(Int64Array::from_iter(values)) as ::arrow::array::ArrayRef
    };
    let batch = || {
        let new = ints([None, Some(7), None]);
        RecordBatch::try_from_iter([("id", ints([Some(1), Some(2), Some(3)])), ("new", new)])
            .unwrap()
    };
    let load = |contract: Json| {
        let mut run = Run::new(settled(contract), Options::new("1"));
        let rows = ArrowRows { batch: batch(), origin: "a.parquet".into(), first: 0 };
        let normalized = run.normalizer.arrow("t", &rows)?;
        normalized.batches.into_iter().for_each(|batch| run.take(batch));
        let lines: Vec<u64> = normalized.refused.iter().map(|row| row.line).collect();
        Ok::<_, Error>((
            run.data("t"),
            lines,
            normalized.discarded.values.into_values().sum::<u64>(),
        ))
    };
    let error = load(json!({"columns": "freeze"})).unwrap_err();
    assert_eq!(
        (error.context("code"), error.context("column")),
        (Some("E_CONTRACT_COLUMN"), Some("new"))
    );
    let all = json!([{"id": 1}, {"id": 2}, {"id": 3}]);
    assert_eq!(load(json!({"columns": "discard_value"})).unwrap(), (all, vec![], 1));
    let some = json!([{"id": 1}, {"id": 3}]);
    assert_eq!(load(json!({"columns": "discard_row"})).unwrap(), (some, vec![2], 0));
    let mut schema = empty_schema();
    schema.settings["schema_contract"] = json!({"tables": "discard_value"});
    let mut run = Run::new(schema, Options::new("1"));
    let rows = ArrowRows { batch: batch(), origin: "a.parquet".into(), first: 5 };
    let normalized = run.normalizer.arrow("t", &rows).unwrap();
    assert_eq!((normalized.batches.len(), normalized.refused[2].line), (0, 8));
    assert!(run.normalizer.schema().tables.is_empty());
}

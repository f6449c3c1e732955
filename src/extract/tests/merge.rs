//! What is in the files of rows that will be merged, and what is said of rows that cannot be.

use transload_core::{DataType, MergeStrategy};

use super::*;
use crate::hints::{ColumnHints, Names, apply};

/// A resource that is merged, and the schema with its hints.
fn extracted(resource: &Resource, input: Opened, folder: &Path) -> Result<Extraction> {
    let names = Names { naming: Naming::SnakeCase, max_length: 63 };
    let mut schema = hints::new_schema("s", Naming::SnakeCase);
    apply(&mut schema, resource, names)?;
    let plan = Plan {
        options: Options::new("1700000000.1"),
        write: WriteOptions { file_bytes: 1000, ..WriteOptions::new(FileFormat::Parquet, folder) },
        workers: 1,
        warnings: Warnings::default(),
        max_set_aside: None,
    };
    extract(vec![input], schema, plan, &|_: Event| {}, &Stop::default())
}

fn merged() -> Resource {
    Resource::json("t", "").write_disposition(WriteDisposition::Merge)
}

fn rows_of(text: &str) -> Opened {
    resource(text, 1 << 20)
}

fn batch(ids: Vec<Option<i64>>) -> RecordBatch {
    let ids: ArrayRef = Arc::new(arrow::array::Int64Array::from(ids));
    RecordBatch::try_from_iter_with_nullable([("id", ids, true)]).unwrap()
}

fn arrow(batch: RecordBatch) -> Opened {
    of(std::iter::once(Ok(Chunk::Arrow(ArrowRows { batch, origin: "rows".into(), first: 0 }))))
}

#[test]
fn columns_that_the_destination_fills_are_in_the_schema_and_in_no_file() {
    let scd2 = || merged().merge_strategy(MergeStrategy::Scd2);
    let folder = tempfile::tempdir().unwrap();
    let extraction = extracted(&scd2(), rows_of("{\"id\":1,\"l\":[1]}"), folder.path()).unwrap();
    let table = &extraction.schema.tables["t"];
    for (name, hint) in [("_dlt_valid_from", "x-valid-from"), ("_dlt_valid_to", "x-valid-to")] {
        let column = &table.columns[name];
        assert_eq!(column.data_type, Some(DataType::Timestamp));
        assert!(column.nullable && column.has_hint(hint));
    }
    let columns: Vec<&[String]> =
        extraction.files.iter().map(|file| file.columns.as_slice()).collect();
    assert_eq!(columns[0], ["id", "_dlt_load_id", "_dlt_id"]);
    assert_eq!(columns[1], ["value", "_dlt_parent_id", "_dlt_list_idx", "_dlt_id"]);

    // Rows of Arrow bring the column by which their versions are told apart.
    let folder = tempfile::tempdir().unwrap();
    let versioned = scd2().merge_options(crate::MergeOptions {
        row_version_column_name: Some("id".into()),
        ..Default::default()
    });
    let rows = arrow(batch(vec![Some(1), None]));
    let extraction = extracted(&versioned, rows, folder.path()).unwrap();
    assert_eq!(
        (extraction.files[0].rows, &extraction.files[0].columns[..]),
        (1, &["id".to_owned()][..])
    );
    let taken = RecordBatch::try_from_iter_with_nullable([(
        "_dlt_valid_to",
        Arc::new(arrow::array::Int64Array::from(vec![1])) as ArrayRef,
        true,
    )]);
    let folder = tempfile::tempdir().unwrap();
    let error = extracted(&scd2(), arrow(taken.unwrap()), folder.path()).unwrap_err();
    assert_eq!(error.context("code"), Some("E_RESERVED_NAME"));
}

#[test]
fn rows_without_their_key_are_set_aside_also_those_of_arrow() {
    let nullable =
        || merged().columns([ColumnHints::new("id").hint("merge_key", true).nullable(true)]);
    for resource in [merged().primary_key(["id"]), merged().merge_key(["id"]), nullable()] {
        for arrow_rows in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let input = match arrow_rows {
                true => arrow(batch(vec![Some(1), None, Some(3)])),
                false => rows_of("{\"id\":1}\n{\"id\":null}\n{\"v\":1}\n{\"id\":3}\n"),
            };
            let extraction = extracted(&resource, input, folder.path()).unwrap();
            assert_eq!(extraction.files[0].rows, 2);
            assert_eq!(extraction.files[0].bounds["id"].nulls, 0);
            let aside = set_aside::summary(folder.path());
            let refused = if arrow_rows { 1 } else { 2 };
            assert_eq!(aside[0].codes, BTreeMap::from([("E_KEY_NULL".to_owned(), refused)]));
            let columns = &extraction.files[0].columns;
            assert_eq!(columns.contains(&"_dlt_id".to_owned()), !arrow_rows);
        }
    }
}

#[test]
fn a_key_that_no_row_has_is_an_error_and_not_all_rows_aside() {
    for arrow_rows in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let input = match arrow_rows {
            true => arrow(batch(vec![Some(1), Some(2)])),
            false => rows_of("{\"id\":1}\n{\"id\":2}\n"),
        };
        let error = match extracted(&merged().primary_key(["idd"]), input, folder.path()) {
            Err(error) => error,
            // Rows of Arrow are taken before the schema is looked at as a whole.
            Ok(extraction) => hints::unbound(&extraction.schema, &["t".to_owned()]).unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(error.context("column"), Some("idd"));
        assert_eq!(error.context("it is"), Some("part of the primary key"));
    }
    // Rows that are set aside for something else are no reason to doubt the key.
    let folder = tempfile::tempdir().unwrap();
    let extraction = extracted(&merged().primary_key(["idd"]), rows_of("{\"a\n"), folder.path());
    assert!(extraction.unwrap().files.is_empty());
}

#[test]
fn a_parquet_file_with_keys_is_taken_as_it_is_where_no_row_lacks_them() {
    for (ids, taken) in [(vec![Some(1), Some(2)], true), (vec![Some(1), None], false)] {
        let source = tempfile::tempdir().unwrap();
        let path = source.path().join("rows.parquet");
        let rows = batch(ids);
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        let bytes = std::fs::read(&path).unwrap();

        let resource = Resource::files("t", [&path])
            .write_disposition(WriteDisposition::Merge)
            .columns([ColumnHints::new("id").hint("merge_key", true).nullable(true)]);
        let folder = tempfile::tempdir().unwrap();
        let rows = ArrowRows { batch: rows, origin: "rows.parquet".into(), first: 0 };
        let file = ParquetFile { path, rows: Box::new(std::iter::once(Ok(Chunk::Arrow(rows)))) };
        let input = of(std::iter::once(Ok(Chunk::File(file))));
        let extraction = extracted(&resource, input, folder.path()).unwrap();
        let written = &extraction.files[0];
        assert_eq!(std::fs::read(folder.path().join(written.path())).unwrap() == bytes, taken);
        assert_eq!(written.rows, if taken { 2 } else { 1 });
        assert_eq!(written.bounds["id"].least.as_deref(), Some("1"));
    }
}

#[test]
fn a_row_that_is_set_aside_moves_no_cursor() {
    let judge = || {
        let cursor = crate::Incremental::new("c");
        Arc::new(Judge::new(&cursor, "t", &[], None).unwrap())
    };
    let numbers =
        |values: Vec<Option<i64>>| -> ArrayRef { Arc::new(arrow::array::Int64Array::from(values)) };
    let ids = numbers(vec![Some(1), None, Some(3), None]);
    let cursors = numbers(vec![Some(5), Some(9), Some(7), Some(7)]);
    let batch = RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("c", cursors, true)]);
    let lines =
        "{\"id\":1,\"c\":5}\n{\"id\":null,\"c\":9}\n{\"id\":3,\"c\":7}\n{\"id\":null,\"c\":7}\n";
    for input in [rows_of(lines), arrow(batch.unwrap())] {
        let folder = tempfile::tempdir().unwrap();
        let input = Opened { judge: Some(judge()), ..input };
        let extraction = extracted(&merged().primary_key(["id"]), input, folder.path()).unwrap();
        assert_eq!(extraction.files[0].rows, 2);
        let state = judge().remember(&extraction.seen["t"]).unwrap().unwrap();
        assert_eq!(state["last_value"], 7);
        assert_eq!(state["unique_hashes"].as_array().unwrap().len(), 1);
        let aside = set_aside::summary(folder.path());
        let reasons = std::fs::read_to_string(folder.path().join(&aside[0].reasons)).unwrap();
        let places: Vec<serde_json::Value> =
            reasons.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let numbers: Vec<_> = places.iter().map(|place| &place["line"]).collect();
        assert_eq!(numbers, [2, 4]);
    }
}

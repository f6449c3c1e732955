//! The bounds of files as they are written and as they are taken over.

use std::sync::Arc;

use arrow::array::{
    BooleanArray, Date32Array, Decimal128Array, Float64Array, Int16Array, Int64Array, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use transload_core::{Bounds, Column, DataFile, DataType, FileFormat};

use super::super::tests::{batch, integers, options};
use super::super::{Adoption, Changes, TableWriter, WriteOptions};
use super::*;
use crate::arrow_types::Defaults;

fn key(name: &str, data_type: DataType) -> Column {
    Column::new(name, data_type).with_hint("primary_key")
}

fn of(least: &str, greatest: &str, nulls: u64, distinct: &[&str]) -> Bounds {
    Bounds {
        least: Some(least.into()),
        greatest: Some(greatest.into()),
        nulls,
        distinct: Some(distinct.iter().map(|value| (*value).to_owned()).collect()),
    }
}

/// The only file of these rows.
fn file(format: FileFormat, columns: &[Column], arrays: Vec<ArrayRef>) -> DataFile {
    let folder = tempfile::tempdir().unwrap();
    let options = options(format, folder.path(), u64::MAX);
    let mut writer = TableWriter::new("t", Arc::new(options));
    writer.write(columns, &batch(columns, arrays)).unwrap();
    let mut files = writer.finish().unwrap();
    assert_eq!(files.len(), 1);
    files.remove(0)
}

#[test]
fn each_type_has_its_form_whatever_the_format() {
    let micros = "2024-01-31T12:00:00.000000".to_owned();
    let rows: Vec<(Column, ArrayRef, Bounds)> = vec![
        (
            key("bigint", DataType::Bigint),
            Arc::new(Int64Array::from(vec![Some(10), None, Some(-9), Some(10)])),
            of("-9", "10", 1, &["-9", "10"]),
        ),
        (
            key("small", DataType::Bigint).with_precision(16),
            Arc::new(Int16Array::from(vec![1, 2, 3, 3])),
            of("1", "3", 0, &["1", "2", "3"]),
        ),
        (
            key("decimal", DataType::Decimal),
            Arc::new(
                Decimal128Array::from(vec![-1_500_000_000, 0, 12_000_000_000, 1])
                    .with_precision_and_scale(38, 9)
                    .unwrap(),
            ),
            of("-1.5", "12", 0, &["-1.5", "0", "0.000000001", "12"]),
        ),
        (
            key("bool", DataType::Bool),
            Arc::new(BooleanArray::from(vec![Some(true), None, None, Some(true)])),
            of("true", "true", 2, &["true"]),
        ),
        (
            key("date", DataType::Date),
            Arc::new(Date32Array::from(vec![19_753, 0, 0, -719_162])),
            of("0001-01-01", "2024-01-31", 0, &["0001-01-01", "1970-01-01", "2024-01-31"]),
        ),
        (
            key("timestamp", DataType::Timestamp),
            Arc::new(
                TimestampMicrosecondArray::from(vec![1_706_702_400_000_000, -1, -1, -1])
                    .with_timezone("UTC"),
            ),
            of(
                "1969-12-31T23:59:59.999999+00:00",
                &format!("{micros}+00:00"),
                0,
                &["1969-12-31T23:59:59.999999+00:00", &format!("{micros}+00:00")],
            ),
        ),
        (
            Column { timezone: Some(false), ..key("local", DataType::Timestamp).with_precision(3) },
            Arc::new(TimestampMillisecondArray::from(vec![0, 0, 1, 1])),
            of(
                "1970-01-01T00:00:00.000",
                "1970-01-01T00:00:00.001",
                0,
                &["1970-01-01T00:00:00.000", "1970-01-01T00:00:00.001"],
            ),
        ),
        (
            key("time", DataType::Time),
            Arc::new(Time64MicrosecondArray::from(vec![0, 0, 0, 86_399_999_999])),
            of("00:00:00.000000", "23:59:59.999999", 0, &["00:00:00.000000", "23:59:59.999999"]),
        ),
        (
            key("text", DataType::Text),
            Arc::new(StringArray::from(vec![Some("b"), Some("Ä"), None, Some("B")])),
            of("B", "Ä", 1, &["B", "b", "Ä"]),
        ),
    ];
    let columns: Vec<Column> = rows.iter().map(|(column, ..)| column.clone()).collect();
    let arrays: Vec<ArrayRef> = rows.iter().map(|(_, array, _)| Arc::clone(array)).collect();
    for format in FileFormat::ALL {
        let found = file(format, &columns, arrays.clone()).bounds;
        for (column, _, expected) in &rows {
            assert_eq!(found.get(&column.name), Some(expected), "{format} {}", column.name);
        }
        assert_eq!(found.len(), rows.len());
    }
}

#[test]
fn only_columns_by_which_rows_are_found_have_bounds() {
    let columns: Vec<Column> = HINTS
        .iter()
        .map(|hint| Column::new(*hint, DataType::Bigint).with_hint(hint))
        .chain([Column::new("plain", DataType::Bigint)])
        .chain([Column::new("unique", DataType::Bigint).with_hint("unique")])
        .collect();
    let found = file(FileFormat::Jsonl, &columns, vec![integers(0, 3); columns.len()]).bounds;
    let mut hinted = HINTS.to_vec();
    hinted.sort_unstable();
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), hinted);
}

#[test]
fn what_has_no_form_has_no_bounds() {
    let long = "x".repeat(Bounds::LONGEST + 1);
    let of_texts = |texts: Vec<&str>| {
        let columns = [key("k", DataType::Text)];
        file(FileFormat::Csv, &columns, vec![Arc::new(StringArray::from(texts))]).bounds.remove("k")
    };
    assert_eq!(of_texts(vec!["a", &long]), None);
    assert_eq!(of_texts(vec![&long, "y"]), None);
    assert!(of_texts(vec![&long[1..], "y"]).is_some());
    // A long text in between is no end, but one of the values.
    let between = of_texts(vec!["a", &long, "y"]).unwrap();
    assert_eq!((between.greatest.as_deref(), between.distinct), (Some("y"), None));

    let columns = [
        key("date", DataType::Date),
        key("double", DataType::Double),
        key("none", DataType::Bigint),
    ];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Date32Array::from(vec![2_932_897])),
        Arc::new(Float64Array::from(vec![1.0])),
        Arc::new(Int64Array::from(vec![None])),
    ];
    let found = file(FileFormat::Csv, &columns, arrays).bounds;
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [("none".into(), Bounds::of_nulls(1))]);
}

#[test]
fn values_are_kept_one_by_one_while_they_are_few() {
    let columns = [key("k", DataType::Bigint)];
    let of = |values: Vec<i64>| {
        let array = Arc::new(Int64Array::from(values));
        file(FileFormat::Parquet, &columns, vec![array]).bounds.remove("k").unwrap()
    };
    let few = of((0..5000).map(|n| (n * 7) % 16).collect());
    assert_eq!(few.distinct.unwrap().len(), Bounds::MOST_DISTINCT);
    let many = of((0..5000).map(|n| (n * 7) % 17).collect());
    assert_eq!((many.least.as_deref(), many.greatest.as_deref()), (Some("0"), Some("16")));
    assert_eq!(many.distinct, None);
}

#[test]
fn each_file_has_its_own_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(FileFormat::Jsonl, folder.path(), 20_000);
    let columns = [key("k", DataType::Bigint)];
    let mut writer = TableWriter::new("t", Arc::new(options));
    for start in [0, 2048, 4096] {
        writer.write(&columns, &batch(&columns, vec![integers(start, start + 2048)])).unwrap();
    }
    let mut next = 0;
    let files = writer.finish().unwrap();
    assert!(files.len() > 2);
    for file in files {
        let bounds = &file.bounds["k"];
        assert_eq!(bounds.least, Some(next.to_string()));
        next += file.rows;
        assert_eq!(bounds.greatest, Some((next - 1).to_string()));
    }
    assert_eq!(next, 3 * 2048);
}

#[test]
fn the_longest_texts_are_measured_in_bytes_however_the_rows_get_into_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let columns = [
        Column::new("t", DataType::Text),
        Column::new("empty", DataType::Text),
        Column::new("n", DataType::Bigint),
    ];
    let texts =
        |texts: [Option<&str>; 3]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
    let rows = |long: &str| {
        let arrays = vec![texts([Some("abc"), None, Some(long)]), texts([None; 3]), integers(0, 3)];
        batch(&columns, arrays)
    };
    let measuring = |format: FileFormat, table: &str, file_bytes: u64| {
        let options =
            WriteOptions { sizes_text: true, ..options(format, folder.path(), file_bytes) };
        TableWriter::new(table, Arc::new(options))
    };
    let expected = BTreeMap::from([("t".to_owned(), 8), ("empty".to_owned(), 0)]);
    for format in FileFormat::ALL {
        let mut writer = measuring(format, format.extension(), u64::MAX);
        // Four characters, eight bytes; the part of a batch that is not written does not count.
        let whole = rows("äöüß");
        writer.write(&columns, &whole).unwrap();
        writer.write(&columns, &rows("a text that is longer").slice(0, 2)).unwrap();
        let file = writer.finish().unwrap().remove(0);
        assert_eq!(file.longest, expected, "{format}");
        if format == FileFormat::Parquet {
            let path = folder.path().join(file.path());
            let mut writer = measuring(format, "adopted", file.bytes);
            let adopted = writer.adopt(&path, &columns, &Defaults::default(), Changes::default());
            let adopted = adopted.unwrap();
            assert!(matches!(adopted, Adoption::Adopted { rows: 5, .. }), "{adopted:?}");
            assert_eq!(writer.finish().unwrap().remove(0).longest, expected);
        }
    }
    assert!(file(FileFormat::Parquet, &columns, rows("x").columns().to_vec()).longest.is_empty());
}

#[test]
fn a_file_that_is_taken_over_has_the_bounds_of_its_values() {
    let folder = tempfile::tempdir().unwrap();
    let columns = [key("k", DataType::Bigint), key("t", DataType::Text)];
    // Longer than what writers of statistics keep of a text.
    let text = |last: char| format!("{}{last}", "x".repeat(100));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![text('b'), text('a'), text('b')]));
    let rows = batch(&columns, vec![integers(7, 10), texts]);
    let mut writer =
        TableWriter::new("source", Arc::new(options(FileFormat::Parquet, folder.path(), 1)));
    writer.write(&columns, &rows).unwrap();
    let source = writer.finish().unwrap().remove(0);
    let path = folder.path().join(source.path());

    let options =
        WriteOptions { file_bytes: source.bytes, ..options(FileFormat::Parquet, folder.path(), 1) };
    let mut writer = TableWriter::new("t", Arc::new(options));
    let adopted = writer.adopt(&path, &columns, &Defaults::default(), Changes::default()).unwrap();
    assert!(matches!(adopted, Adoption::Adopted { rows: 3, .. }), "{adopted:?}");
    let adopted = writer.finish().unwrap().remove(0);
    assert_eq!(adopted.bounds["k"], of("7", "9", 0, &["7", "8", "9"]));
    assert_eq!(adopted.bounds["t"], of(&text('a'), &text('b'), 0, &[&text('a'), &text('b')]));
}

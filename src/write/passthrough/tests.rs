use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::ZstdLevel;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use arrow::array::*;
use transload_core::DataFile;

use super::super::{Adoption, TableWriter};
use super::*;

/// Columns of which every one can be passed through.
fn columns() -> Vec<Column> {
    vec![
        Column::new("id", DataType::Bigint),
        Column::new("n", DataType::Bigint).with_precision(32),
        Column::new("text", DataType::Text),
        Column::new("at", DataType::Timestamp),
        Column { scale: Some(2), ..Column::new("d", DataType::Decimal).with_precision(20) },
        Column::new("day", DataType::Date),
        Column::new("x", DataType::Double),
        Column::new("raw", DataType::Binary),
    ]
}

fn batch(texts: [&str; 2]) -> RecordBatch {
    let decimals = Decimal128Array::from(vec![Some(150), None]).with_precision_and_scale(20, 2);
    let arrays: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![Some(1), None]))),
        ("n", Arc::new(Int32Array::from(vec![1, 2]))),
        ("text", Arc::new(StringArray::from_iter_values(texts))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![1, 2]).with_timezone("UTC"))),
        ("d", Arc::new(decimals.unwrap())),
        ("day", Arc::new(Date32Array::from(vec![1, 2]))),
        ("x", Arc::new(Float64Array::from(vec![f64::NAN, 2.0]))),
        ("raw", Arc::new(BinaryArray::from_vec(vec![b"a", b"\0"]))),
    ];
    RecordBatch::try_from_iter_with_nullable(arrays.into_iter().map(|(n, a)| (n, a, true))).unwrap()
}

fn plain() -> WriterProperties {
    WriterProperties::builder().set_compression(Compression::SNAPPY).build()
}

fn file_of(folder: &Path, batch: &RecordBatch, properties: WriterProperties) -> PathBuf {
    let path = folder.join("in.parquet");
    let file = File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    path
}

fn options(folder: &Path) -> WriteOptions {
    WriteOptions {
        file_bytes: 1024,
        ..WriteOptions::new(FileFormat::Parquet, folder.join("package"))
    }
}

fn decide(
    batch: &RecordBatch,
    properties: WriterProperties,
    columns: &[Column],
) -> Result<(), Misfit> {
    let folder = tempfile::tempdir().unwrap();
    let path = file_of(folder.path(), batch, properties);
    let bytes = path.metadata().unwrap().len();
    let footer = footer(&File::open(&path).unwrap()).unwrap();
    let options = options(folder.path());
    fits(&footer, bytes, columns, &Defaults::default(), &options, Changes::default())
}

/// A batch of one column.
fn only(array: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("c", array, true)]).unwrap()
}

#[test]
fn what_every_warehouse_reads_fits() {
    let rows = batch(["a", "b"]);
    for compression in
        [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default())]
    {
        let properties = WriterProperties::builder().set_compression(compression);
        for properties in
            [properties.clone(), properties.set_statistics_enabled(EnabledStatistics::None)]
        {
            assert_eq!(decide(&rows, properties.build(), &columns()), Ok(()));
        }
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let rows = batch(["a", "b"]);
    let mut fewer = columns();
    fewer.pop();
    assert_eq!(decide(&rows, plain(), &fewer), Err(Misfit::Columns));
    let mut swapped = columns();
    swapped.swap(0, 1);
    assert_eq!(decide(&rows, plain(), &swapped), Err(Misfit::Columns));
    let second = WriterProperties::builder().set_writer_version(WriterVersion::PARQUET_2_0).build();
    assert_eq!(decide(&rows, second, &columns()), Err(Misfit::Encoding("id".into())));
    let delta = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_column_encoding("n".into(), Encoding::DELTA_BINARY_PACKED);
    assert_eq!(decide(&rows, delta.build(), &columns()), Err(Misfit::Encoding("n".into())));
    let geo = KeyValue::new("geo".to_owned(), "{}".to_owned());
    let geo = WriterProperties::builder().set_key_value_metadata(Some(vec![geo])).build();
    assert_eq!(decide(&rows, geo, &columns()), Err(Misfit::Metadata("geo".into())));
    assert_eq!(decide(&rows.slice(0, 0), plain(), &columns()), Err(Misfit::Empty));
    let groups = WriterProperties::builder().set_max_row_group_row_count(Some(1)).build();
    assert_eq!(decide(&rows, groups, &columns()), Err(Misfit::RowGroups));
}

#[test]
fn types_that_are_written_otherwise_do_not_fit() {
    let decimals = |digits| -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![1]).with_precision_and_scale(digits, 0).unwrap())
    };
    let timestamp = Column::new("c", DataType::Timestamp);
    let decimal = |digits| Column {
        scale: Some(0),
        ..Column::new("c", DataType::Decimal).with_precision(digits)
    };
    let lists: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>([Some(
            vec![Some(1)],
        )]));
    let cases: Vec<(ArrayRef, Column)> = vec![
        (Arc::new(UInt64Array::from(vec![1])), decimal(20)),
        (Arc::new(UInt32Array::from(vec![1])), Column::new("c", DataType::Bigint)),
        (Arc::new(Int32Array::from(vec![1])), Column::new("c", DataType::Bigint)),
        (Arc::new(TimestampNanosecondArray::from(vec![1]).with_timezone("UTC")), timestamp.clone()),
        (
            Arc::new(TimestampMillisecondArray::from(vec![1]).with_timezone("UTC")),
            timestamp.clone().with_precision(3),
        ),
        (Arc::new(TimestampMicrosecondArray::from(vec![1])), timestamp),
        (Arc::new(Float32Array::from(vec![1.0])), Column::new("c", DataType::Double)),
        (decimals(19), decimal(20)),
        (lists, Column::new("c", DataType::Json)),
        (Arc::new(StringArray::from(vec!["{}"])), Column::new("c", DataType::Json)),
        (
            Arc::new(FixedSizeBinaryArray::try_from_iter([[1_u8]].iter()).unwrap()),
            Column::new("c", DataType::Binary),
        ),
    ];
    for (array, column) in cases {
        let shown = array.data_type().to_string();
        assert_eq!(
            decide(&only(array), plain(), &[column]),
            Err(Misfit::Type("c".into())),
            "{shown}"
        );
    }
    for digits in [5, 15, 30] {
        assert_eq!(decide(&only(decimals(digits)), plain(), &[decimal(digits.into())]), Ok(()));
    }
}

#[test]
fn sizes_formats_and_changes_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_of(folder.path(), &batch(["a", "b"]), plain());
    let bytes = path.metadata().unwrap().len();
    let footer = footer(&File::open(&path).unwrap()).unwrap();
    let options = options(folder.path());
    let decide = |options: &WriteOptions, changes| {
        fits(&footer, bytes, &columns(), &Defaults::default(), options, changes)
    };
    let none = Changes::default();
    for file_bytes in [bytes * 8 + 8, bytes / 8 - 1] {
        let options = WriteOptions { file_bytes, ..options.clone() };
        assert_eq!(decide(&options, none), Err(Misfit::Size(bytes)));
    }
    let slices = NonZeroUsize::new(4);
    let spread = WriteOptions { slices, ..options.clone() };
    assert_eq!(decide(&spread, none), Err(Misfit::Slices(4)));
    let short = WriteOptions { file_rows: Some(1), ..options.clone() };
    assert_eq!(decide(&short, none), Err(Misfit::Rows(2)));
    let csv = WriteOptions { format: FileFormat::Csv, ..options.clone() };
    assert_eq!(decide(&csv, none), Err(Misfit::Format(FileFormat::Csv)));
    for changes in [
        Changes { ids: true, ..none },
        Changes { incremental: true, ..none },
        Changes { contract: true, ..none },
    ] {
        assert_eq!(decide(&options, changes), Err(Misfit::Changes(changes)));
    }
    assert_eq!(decide(&options, none), Ok(()));
}

fn adopt(path: &Path, folder: &Path, columns: &[Column]) -> (Adoption, Vec<DataFile>) {
    let mut writer = TableWriter::new("t", Arc::new(options(folder)));
    let adopted = writer.adopt(path, columns, &Defaults::default(), Changes::default()).unwrap();
    (adopted, writer.finish().unwrap())
}

#[test]
fn an_adopted_file_is_the_same_bytes_among_the_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let rows = batch(["a", "b"]);
    let path = file_of(folder.path(), &rows, plain());
    let content = std::fs::read(&path).unwrap();
    let options = WriteOptions { buffer_bytes: 0, ..options(folder.path()) };
    let mut writer = TableWriter::new("t", Arc::new(options));
    let mut adopt = || {
        writer.write(&columns(), &rows).unwrap();
        writer.adopt(&path, &columns(), &Defaults::default(), Changes::default()).unwrap()
    };
    let bytes = content.len() as u64;
    for _ in 0..2 {
        assert_eq!(adopt(), Adoption::Adopted { rows: 2, bytes });
    }
    // What happens to the source afterwards does not matter.
    std::fs::write(&path, b"other").unwrap();
    let files = writer.finish().unwrap();
    let rows: Vec<u64> = files.iter().map(|file| file.rows).collect();
    assert_eq!(rows, [4, 2, 2]);
    let mut names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>());
    for file in &files[1..] {
        let adopted = std::fs::read(folder.path().join("package").join(file.path())).unwrap();
        assert_eq!(adopted, content);
        assert_eq!(file.sha256, transload_core::Sha256Hex::of(&content));
        assert_eq!(file.columns.len(), columns().len());
    }
}

#[test]
fn values_that_cannot_be_loaded_and_damage_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path, columns: &[Column]| {
        let (adopted, files) = adopt(path, folder.path(), columns);
        assert_eq!(files, []);
        assert_eq!(std::fs::read_dir(folder.path().join("package/t")).unwrap().count(), 0);
        match adopted {
            Adoption::Refused(Misfit::Value(reason)) => reason,
            other => panic!("{other:?}"),
        }
    };
    let path = file_of(folder.path(), &batch(["a\0", "b"]), plain());
    assert!(refused(&path, &columns()).contains("E_NUL"));
    let path = file_of(folder.path(), &batch(["a", "b"]), plain());
    let mut strict = columns();
    strict[0].nullable = false;
    assert!(refused(&path, &strict).contains("NOT NULL"));
    // A page that does not decompress: snappy's length of the pages of the first column.
    let mut content = std::fs::read(&path).unwrap();
    let first = footer(&File::open(&path).unwrap()).unwrap();
    let (start, length) = first.row_group(0).column(0).byte_range();
    let (start, length) = (start as usize, length as usize);
    content[start + length / 2..start + length].fill(0xff);
    std::fs::write(&path, &content).unwrap();
    refused(&path, &columns());
}

#[test]
fn a_flipped_bit_that_decodes_is_found_by_the_footer() {
    let folder = tempfile::tempdir().unwrap();
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["aaaaaaaa", "bbbbbbbb", "cccccccc"]));
    let properties = || WriterProperties::builder().set_dictionary_enabled(false).build();
    for (array, column, from, to) in [
        (
            numbers,
            Column::new("c", DataType::Bigint),
            &2_i64.to_le_bytes()[..],
            (2_i64 | 1 << 40).to_le_bytes(),
        ),
        (texts, Column::new("c", DataType::Text), b"bbbbbbbb", *b"zbbbbbbb"),
    ] {
        let path = file_of(folder.path(), &only(array), properties());
        let (adopted, files) = adopt(&path, folder.path(), std::slice::from_ref(&column));
        assert!(matches!(adopted, Adoption::Adopted { rows: 3, .. }), "{adopted:?}");
        assert_eq!(files.len(), 1);
        let mut content = std::fs::read(&path).unwrap();
        let at = content.windows(8).position(|part| part == from).unwrap();
        content[at..at + 8].copy_from_slice(&to);
        std::fs::write(&path, &content).unwrap();
        let (adopted, _) = adopt(&path, folder.path(), &[column]);
        let Adoption::Refused(Misfit::Value(reason)) = adopted else { panic!("{adopted:?}") };
        assert!(reason.contains("footer"), "{reason}");
    }
}

use std::io::Write as _;

use arrow::array::{ArrayRef, Int64Array, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::*;

fn written(batches: &[RecordBatch], rows_of_group: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(rows_of_group)).build();
    let mut writer =
        ArrowWriter::try_new(&mut bytes, batches[0].schema(), Some(properties)).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
    bytes
}

fn numbers(count: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
    let names: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..count).map(|n| format!("row {n}"))));
    RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap()
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn batches(bytes: &[u8]) -> Result<Vec<ArrowRows>> {
    read_file(file(bytes), "f.parquet")?
        .map(|chunk| match chunk? {
            Chunk::Arrow(rows) => Ok(rows),
            _ => panic!("arrow"),
        })
        .collect()
}

fn refused(bytes: &[u8]) -> Error {
    let error = batches(bytes).unwrap_err();
    assert_eq!((error.kind(), error.context("code")), (ErrorKind::BadData, Some("E_PARQUET")));
    assert_eq!(error.context("file"), Some("f.parquet"));
    error
}

#[test]
fn batches_know_where_they_begin() {
    let found = batches(&written(&[numbers(70_000)], 50_000)).unwrap();
    let mut next = 0;
    for rows in &found {
        assert_eq!(rows.first, next);
        assert!(rows.batch.num_rows() as u64 <= BATCH_ROWS);
        next += rows.batch.num_rows() as u64;
    }
    assert_eq!(next, 70_000);
    assert_eq!(&*found[0].origin, "f.parquet");
}

#[test]
fn a_file_without_rows_still_has_its_columns() {
    let [rows] = &batches(&written(&[numbers(0)], 10)).unwrap()[..] else { panic!("one batch") };
    assert_eq!((rows.batch.num_rows(), rows.batch.num_columns()), (0, 2));
}

#[test]
fn wide_rows_make_small_batches() {
    // A dictionary holds the text once, the batch holds it as often as it is there.
    let text = "x".repeat(1 << 20);
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|_| &text)));
    let found =
        batches(&written(&[RecordBatch::try_from_iter([("t", texts)]).unwrap()], 1000)).unwrap();
    assert!(found.len() >= 6, "{}", found.len());
    assert!(found.iter().all(|rows| rows.batch.get_array_memory_size() < 33 << 20));
    assert_eq!(found.iter().map(|rows| rows.batch.num_rows()).sum::<usize>(), 100);
}

#[test]
fn what_is_no_parquet_says_what_it_is() {
    assert!(refused(b"").context("reason").unwrap().contains("empty"));
    let json = refused(b" {\"id\": 1}\n{\"id\": 2}\n");
    assert!(json.context("reason").unwrap().contains("looks like JSON"));
    assert!(json.hint().unwrap().contains("jsonl"));
    let good = written(&[numbers(10)], 10);
    let mut wrong = good.clone();
    wrong[0] = b'X';
    assert!(refused(&wrong).context("reason").unwrap().contains("begin"));
    assert!(refused(&good[..good.len() - 100]).context("reason").unwrap().contains("cut short"));
    let mut huge = good.clone();
    let at = huge.len() - 8;
    huge[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(refused(&huge).context("reason").unwrap().contains("4294967295"));
}

#[test]
fn a_flipped_bit_in_a_page_is_found_by_its_checksum() {
    let mut bytes = written(&[numbers(10)], 10);
    let at = bytes.windows(5).position(|window| window == b"row 3").unwrap();
    bytes[at + 4] ^= 1;
    // The writer of these pages does not write checksums: the text is changed and nobody can tell.
    assert!(batches(&bytes).is_ok());
    let mut metadata = written(&[numbers(10)], 10);
    let half = metadata.len() / 2;
    let damaged = metadata.len() - 8 - 40;
    metadata[half.max(damaged)] ^= 0xff;
    let read = batches(&metadata);
    assert!(
        read.is_err()
            || read.unwrap().iter().map(|rows| rows.batch.num_rows()).sum::<usize>() == 10
    );
}

#[test]
fn no_damage_is_a_crash() {
    let good = written(&[numbers(50)], 20);
    for at in 0..good.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            if let Err(error) = batches(&bytes) {
                assert_eq!(error.context("code"), Some("E_PARQUET"), "{at} {error:?}");
            }
        }
    }
    for length in 0..good.len() {
        refused(&good[..length]);
    }
}

#[test]
fn rows_without_columns_are_refused_and_nothing_is_nothing() {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(3));
    let schema = Arc::new(Schema::empty());
    let batch = RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
    let bytes = written(&[batch], 10);
    match batches(&bytes) {
        Ok(found) => assert!(found.is_empty()),
        Err(error) => assert_eq!(error.context("code"), Some("E_PARQUET_NO_COLUMNS")),
    }
}

#[test]
fn nested_columns_are_read() {
    let inner: ArrayRef = Arc::new(Int64Array::from_iter_values(0..3));
    let fields = Fields::from(vec![Field::new("n", DataType::Int64, false)]);
    let outer: ArrayRef = Arc::new(StructArray::new(fields, vec![inner], None));
    let batch = RecordBatch::try_from_iter([("s", outer)]).unwrap();
    assert_eq!(batches(&written(std::slice::from_ref(&batch), 10)).unwrap()[0].batch, batch);
}

#[test]
fn bytes_of_every_row_count_in_what_a_batch_may_hold() {
    let bytes = Bytes::from(written(&[numbers(1000)], 1000));
    let metadata = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new()).unwrap();
    assert_eq!(batch_rows(metadata.metadata()) as u64, BATCH_ROWS);
}

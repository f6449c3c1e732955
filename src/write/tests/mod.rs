//! Whole files: what is written can be read back, cut and named as promised.

mod files;
mod formats;
mod spread;

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use transload_core::{
    BinaryEncoding, BinaryLiteral, Column, DataFile, FileFormat, LiteralRules, Sha256Hex,
};

use super::{TableWriter, WriteOptions};

/// What Redshift takes.
fn rules() -> LiteralRules {
    LiteralRules {
        text_prefix: String::new(),
        backslash_escapes: true,
        binary: BinaryLiteral {
            before: "from_hex('".into(),
            encoding: BinaryEncoding::Hex,
            after: "')".into(),
        },
        json: ("json_parse(".into(), ")".into()),
    }
}

/// Options for files that are cut at this size, without a buffer and without gzip.
pub(super) fn options(format: FileFormat, folder: &Path, file_bytes: u64) -> WriteOptions {
    WriteOptions {
        literals: Some(rules()),
        file_bytes,
        buffer_bytes: 0,
        gzip: false,
        ..WriteOptions::new(format, folder)
    }
}

/// A batch of these columns.
pub(super) fn batch(columns: &[Column], arrays: Vec<ArrayRef>) -> RecordBatch {
    let fields = columns.iter().zip(&arrays).map(|(column, array)| {
        Field::new(&column.name, array.data_type().clone(), column.nullable)
    });
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), arrays).unwrap()
}

fn write(options: WriteOptions, batches: &[(&[Column], &RecordBatch)]) -> Vec<DataFile> {
    let mut writer = TableWriter::new("t", Arc::new(options));
    for (columns, batch) in batches {
        writer.write(columns, batch).unwrap();
    }
    writer.finish().unwrap()
}

fn content(folder: &Path, file: &DataFile) -> Vec<u8> {
    let bytes = fs::read(folder.join(file.path())).unwrap();
    assert_eq!(bytes.len() as u64, file.bytes);
    assert_eq!(Sha256Hex::of(&bytes), file.sha256);
    assert!(file.name.contains(file.sha256.short()));
    if !file.gzip {
        return bytes;
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap();
    plain
}

/// The text of the only file that these rows make.
fn text_of(format: FileFormat, columns: &[Column], arrays: Vec<ArrayRef>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let options = options(format, folder.path(), u64::MAX);
    let files = write(options, &[(columns, &batch(columns, arrays))]);
    assert_eq!(files.len(), 1);
    String::from_utf8(content(folder.path(), &files[0])).unwrap()
}

fn parquet_rows(folder: &Path, file: &DataFile) -> RecordBatch {
    content(folder, file);
    let opened = File::open(folder.join(file.path())).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(opened).unwrap();
    let mut batches = reader.with_batch_size(1 << 20).build().unwrap();
    let rows = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    rows
}

fn text(values: impl IntoIterator<Item = &'static str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

pub(super) fn integers(from: i64, to: i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(from..to))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder.join("t"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

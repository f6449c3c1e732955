//! Reading Parquet: batches that are bounded in rows and bytes.

mod ranges;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::sync::Arc;

use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type as Physical;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader as _, Length as _};
use transload_core::{Error, ErrorKind, Result};

use super::remote::{Failure, Object};
use super::{ArrowRows, Chunk, Chunks};
use crate::guard::guarded;
use crate::parquet_ranges::FooterRanges;
use ranges::Ranges;

/// Rows that a batch has at most.
const BATCH_ROWS: u64 = 32_768;
/// What the values of a batch take, about.
const BATCH_BYTES: u64 = 16 << 20;
/// The magic bytes and the length of the metadata, at the end of a file.
const FOOTER: u64 = 8;
const MAGIC: &[u8] = b"PAR1";
const ENCRYPTED: &[u8] = b"PARE";

/// The rows of a local file.
pub(crate) fn read_file(file: File, origin: &str) -> Result<Chunks> {
    let failure = Failure::default();
    let ranges = Ranges::of_file(file).map_err(|error| {
        Error::new(ErrorKind::Terminal, "the file cannot be read")
            .with("file", origin)
            .with_source(error)
    })?;
    read(ranges, origin, failure)
}

/// The rows of an object of this size, parts of which can be asked for.
pub(crate) fn read_object(object: Object, bytes: u64) -> Result<Chunks> {
    let failure = Failure::default();
    let origin = object.origin().to_owned();
    read(Ranges::of_object(object, bytes, failure.clone()), &origin, failure)
}

fn read(ranges: Ranges, origin: &str, failure: Failure) -> Result<Chunks> {
    let blame = Blame { origin: origin.into(), failure };
    blame.on(|| look(&ranges))?;
    let metadata =
        blame.on(|| Ok(ArrowReaderMetadata::load(&ranges, ArrowReaderOptions::new())?))?;
    blame.on(|| check(metadata.metadata(), ranges.len()))?;
    ranges.expect(metadata.metadata());
    let schema = Arc::clone(metadata.schema());
    // The sum was held against what the row groups say.
    let expected = metadata.metadata().file_metadata().num_rows().unsigned_abs();
    if schema.fields().is_empty() {
        return match expected {
            0 => Ok(Box::new(std::iter::empty())),
            _ => Err(Error::new(ErrorKind::BadData, "the Parquet file has rows without columns")
                .with("code", "E_PARQUET_NO_COLUMNS")
                .with("file", origin)),
        };
    }
    if expected == 0 {
        let batch = RecordBatch::new_empty(schema);
        let rows = ArrowRows { batch, origin: blame.origin, first: 0 };
        return Ok(Box::new(std::iter::once(Ok(Chunk::Arrow(rows)))));
    }
    let rows = batch_rows(metadata.metadata());
    let said = FooterRanges::of(metadata.metadata());
    let reader = blame.on(|| {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(ranges, metadata);
        Ok(builder.with_batch_size(rows).build()?)
    })?;
    Ok(Box::new(Batches { reader: Some(reader), said, blame, read: 0, expected }))
}

/// The batches of a file. After an error there is nothing more.
struct Batches {
    reader: Option<ParquetRecordBatchReader>,
    said: FooterRanges,
    blame: Blame,
    read: u64,
    expected: u64,
}

impl Iterator for Batches {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        let next = self.blame.on(|| Ok(reader.next().transpose().map_err(ParquetError::from)?));
        let batch = match next {
            Ok(Some(batch)) => batch,
            Ok(None) => {
                self.reader = None;
                let lost = format!("it holds {} rows and says {}", self.read, self.expected);
                return (self.read != self.expected).then(|| Err(self.blame.damaged(lost)));
            }
            Err(error) => {
                self.reader = None;
                return Some(Err(error));
            }
        };
        if let Some(column) = self.said.broken_by(&batch) {
            let reason = format!(
                "column {column} has a value outside of what the file says of it: its bytes were changed"
            );
            self.reader = None;
            return Some(Err(self.blame.damaged(reason)));
        }
        let first = self.read;
        self.read += batch.num_rows() as u64;
        Some(Ok(Chunk::Arrow(ArrowRows { batch, origin: Arc::clone(&self.blame.origin), first })))
    }
}

/// Why a file cannot be read.
enum Damage {
    Found(String, Option<&'static str>),
    By(ParquetError),
}

impl From<ParquetError> for Damage {
    fn from(error: ParquetError) -> Self {
        Self::By(error)
    }
}

fn found<T>(reason: impl Into<String>) -> Result<T, Damage> {
    Err(Damage::Found(reason.into(), None))
}

/// Says which file is damaged.
struct Blame {
    origin: Arc<str>,
    failure: Failure,
}

impl Blame {
    /// Does something with the file. The reader panics over some files that are damaged: that is the file's fault too.
    fn on<T>(&self, work: impl FnOnce() -> Result<T, Damage>) -> Result<T> {
        let damage = match guarded(work) {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(damage)) => damage,
            Err(_) => Damage::Found("what it says of itself contradicts itself".to_owned(), None),
        };
        // It was not the file that failed, but the way to it.
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        Err(match damage {
            Damage::Found(reason, Some(hint)) => self.damaged(reason).with_hint(hint),
            Damage::Found(reason, None) => self.damaged(reason),
            Damage::By(ParquetError::NYI(reason)) => self.damaged(reason),
            Damage::By(error) => self.damaged(error.to_string()),
        })
    }

    fn damaged(&self, reason: impl Into<String>) -> Error {
        let reason: String = reason.into().chars().take(300).collect();
        Error::new(ErrorKind::BadData, "the file is no readable Parquet")
            .with("code", "E_PARQUET")
            .with("file", &self.origin)
            .with("reason", reason)
    }
}

/// Looks at both ends of a file before anything of it is believed.
///
/// Source: Apache Parquet, "File Format".
fn look(ranges: &Ranges) -> Result<(), Damage> {
    let bytes = ranges.len();
    if bytes == 0 {
        return found("it is empty");
    }
    let start = ranges.get_bytes(0, bytes.min(64) as usize)?;
    if matches!(start.trim_ascii_start().first(), Some(b'{' | b'[')) {
        let hint = "name it .jsonl or .json, or say `format = \"jsonl\"`";
        return Err(Damage::Found("it looks like JSON".to_owned(), Some(hint)));
    }
    if !start.starts_with(MAGIC) && !start.starts_with(ENCRYPTED) {
        return found("it does not begin with PAR1");
    }
    if bytes < FOOTER + MAGIC.len() as u64 {
        return found("it was cut short");
    }
    let footer = ranges.get_bytes(bytes - FOOTER, FOOTER as usize)?;
    if footer.ends_with(ENCRYPTED) {
        return found("it is encrypted");
    }
    if !footer.ends_with(MAGIC) {
        return found("it was cut short: it does not end with PAR1");
    }
    let length = u64::from(u32::from_le_bytes([footer[0], footer[1], footer[2], footer[3]]));
    if length + FOOTER + MAGIC.len() as u64 > bytes {
        return found(format!("its metadata shall have {length} bytes, but the file has {bytes}"));
    }
    Ok(())
}

/// Holds what the metadata says against the size of the file, and against itself.
fn check(metadata: &ParquetMetaData, bytes: u64) -> Result<(), Damage> {
    let mut rows: i64 = 0;
    for group in metadata.row_groups() {
        for column in group.columns() {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let parts = [start, column.data_page_offset(), column.compressed_size()];
            let end = start.checked_add(column.compressed_size());
            let fits = end.and_then(|end| u64::try_from(end).ok()).is_some_and(|end| end <= bytes);
            if parts.iter().any(|part| *part < 0) || !fits {
                return found(format!(
                    "column {} shall lie where the file has nothing",
                    column.column_path().string()
                ));
            }
        }
        rows = match rows.checked_add(group.num_rows()) {
            Some(sum) if group.num_rows() >= 0 => sum,
            _ => return found("a row group has an impossible number of rows"),
        };
    }
    let told = metadata.file_metadata().num_rows();
    match told == rows {
        true => Ok(()),
        false => found(format!("it says that it has {told} rows, its row groups have {rows}")),
    }
}

/// The rows of a batch, so that the widest row group does not make it too large.
fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let of_group = |group: &RowGroupMetaData| {
        let bytes: u64 = group.columns().iter().map(column_bytes).sum();
        let rows = group.num_rows().unsigned_abs();
        BATCH_BYTES.saturating_mul(rows).checked_div(bytes).unwrap_or(BATCH_ROWS)
    };
    let rows = metadata.row_groups().iter().map(of_group).min().unwrap_or(BATCH_ROWS);
    // At most what fits into 16 bits.
    rows.clamp(1, BATCH_ROWS) as usize
}

/// What the values of a column take in memory: a dictionary makes a file smaller, but not the text that is read.
fn column_bytes(column: &ColumnChunkMetaData) -> u64 {
    let values = column.num_values().unsigned_abs();
    let width = match column.column_type() {
        Physical::BOOLEAN => 0,
        Physical::INT32 | Physical::FLOAT => 4,
        Physical::INT64 | Physical::DOUBLE => 8,
        Physical::INT96 => 12,
        Physical::FIXED_LEN_BYTE_ARRAY => {
            u64::try_from(column.column_descr().type_length()).unwrap_or_default()
        }
        Physical::BYTE_ARRAY => 4,
    };
    let texts = column.unencoded_byte_array_data_bytes().unwrap_or_default().unsigned_abs();
    let plain = values.saturating_mul(width).saturating_add(texts);
    plain.max(column.uncompressed_size().unsigned_abs())
}

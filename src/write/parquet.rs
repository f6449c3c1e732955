//! Parquet files.
//!
//! Zstd unless the settings say otherwise, the first version of the data pages, which every warehouse reads, and nothing in the file but the rows: no
//! machine, no time, no Arrow schema beside Parquet's own.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::ArrowSchemaConverter;
use ::parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use ::parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::{ColumnPath, SchemaDescriptor, Type};
use arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow::buffer::Buffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use foldhash::fast::RandomState as FastHash;
use transload_core::{Error, ErrorKind, Result};

use super::WriteOptions;
use super::file::{PartFile, failed};
use super::layout::{FileColumn, Layout};
use super::pace::Pace;
use super::workers::{Ticket, Workers};
use crate::ParquetCompression;

/// A row group is also cut at this size, encoded: rows may be wide, and it is held in memory.
const ROW_GROUP_BYTES: u64 = 32 << 20;

/// Bytes of values that are encoded at a time, at most.
const BLOCK_BYTES: u64 = 4 << 20;

/// Values of a column that are looked at to see whether they repeat.
const SAMPLE_VALUES: usize = 8192;

/// One run of so many values in so many is looked at first.
const RUN: usize = 128;
const GLANCE: usize = 8;

/// Bytes of a page before it is compressed, and of the pages of all columns that are begun at a time.
const PAGE_BYTES: (usize, usize) = (1 << 20, 100 << 20);

/// The encoded columns of a row group.
pub(super) type RowGroup = Vec<ArrowColumnChunk>;

/// A Parquet file that is being written.
///
/// Rows are gathered to a block, of which the workers encode each column, while the next block is gathered. A column is
/// encoded in the order of the blocks and with nothing of other columns, so the bytes are the same however many workers
/// there are. At most a row group, encoded, and two blocks are in memory.
pub(super) struct ParquetFile {
    writer: SerializedFileWriter<Slot>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    workers: Workers,
    row_group_rows: usize,
    /// The row group that is being filled, from 0, and the rows that it has.
    group: usize,
    group_rows: usize,
    /// The columns of the row group, where none of its blocks is under way.
    columns: Vec<ArrowColumnWriter>,
    under_way: Vec<Ticket<Encoded>>,
    gathered: Vec<RecordBatch>,
    /// Row groups that will go into some file, and their size: those of a piece.
    kept: Vec<RowGroup>,
    kept_bytes: u64,
    /// The size of what is encoded, in the file and not.
    known_bytes: u64,
    /// The size of the values in the row group that is being filled, and in one that is full and not in the file yet.
    held_bytes: u64,
    full_bytes: u64,
    pace: Pace,
}

/// A column after a block of rows.
enum Encoded {
    Open(Box<ArrowColumnWriter>),
    Closed(Box<ArrowColumnChunk>),
    Failed(ParquetError),
}

impl fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetFile").field("file", self.writer.inner()).finish_non_exhaustive()
    }
}

impl ParquetFile {
    /// Begins a file. The sample, its first rows, decides how columns are encoded.
    pub(super) fn open(
        mut part: PartFile,
        layout: &Layout,
        options: &WriteOptions,
        sample: &[RecordBatch],
    ) -> Result<Self> {
        // A row group is written at a time, and between two of them any number of other tables may be.
        part.rest();
        Self::begin(Slot::File(part), options.file_bytes, layout, options, sample)
    }

    /// Begins row groups of about this size that will go into some file.
    pub(super) fn open_piece(
        bytes: u64,
        layout: &Layout,
        options: &WriteOptions,
        sample: &[RecordBatch],
    ) -> Result<Self> {
        Self::begin(Slot::Memory, bytes, layout, options, sample)
    }

    fn begin(
        slot: Slot,
        bytes: u64,
        layout: &Layout,
        options: &WriteOptions,
        sample: &[RecordBatch],
    ) -> Result<Self> {
        let fields: Vec<Field> = layout
            .columns
            .iter()
            .map(|column| {
                Field::new(&column.name, stored_type(&column.arrow_type), column.nullable)
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let path = slot.path().to_owned();
        let compression = compression(options.compression)
            .map_err(|error| failed("could not write a data file", &path, 0, error))?;
        let mut properties = WriterProperties::builder()
            .set_created_by("transload".to_owned())
            .set_compression(compression)
            .set_data_page_size_limit(page_bytes(layout.columns.len()))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            // Indexes are for readers of single pages; these files are read once, as a whole.
            .set_offset_index_disabled(true);
        for (index, column) in layout.columns.iter().enumerate() {
            let arrays = sample.iter().map(|batch| batch.column(index));
            properties = properties.set_column_dictionary_enabled(
                ColumnPath::new(vec![column.name.clone()]),
                repeats(&arrays.collect::<Vec<_>>()),
            );
        }
        let begun = parquet_schema(&schema, layout).and_then(|descriptor| {
            let root = descriptor.root_schema_ptr();
            SerializedFileWriter::new(slot, root, Arc::new(properties.build()))
        });
        let writer =
            begun.map_err(|error| failed("could not write a data file", &path, 0, error))?;
        Ok(Self {
            factory: ArrowRowGroupWriterFactory::new(&writer, Arc::clone(&schema)),
            writer,
            schema,
            workers: options.workers.clone(),
            row_group_rows: options.row_group_rows.max(1),
            group: 0,
            group_rows: 0,
            columns: Vec::new(),
            under_way: Vec::new(),
            gathered: Vec::new(),
            kept: Vec::new(),
            kept_bytes: 0,
            known_bytes: 0,
            held_bytes: 0,
            full_bytes: 0,
            pace: Pace::new(bytes, BLOCK_BYTES),
        })
    }

    /// Takes rows; `raw` is the size of their values.
    pub(super) fn write(&mut self, batch: &RecordBatch, raw: u64) -> Result<()> {
        let arrays = self
            .schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, array)| stored(field, array))
            .collect::<Result<Vec<_>>>()?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|error| {
            Error::new(ErrorKind::Bug, "a batch does not fit the columns of its file")
                .with_source(error)
        })?;
        let is_block = self.pace.gather(raw);
        let mut start = 0;
        while start < batch.num_rows() {
            let rows = (batch.num_rows() - start).min(self.row_group_rows - self.group_rows);
            self.gathered.push(batch.slice(start, rows));
            self.group_rows += rows;
            self.held_bytes += raw * rows as u64 / batch.num_rows() as u64;
            start += rows;
            if self.group_rows == self.row_group_rows {
                self.hand_in(true)?;
            }
        }
        if is_block { self.hand_in(false) } else { Ok(()) }
    }

    /// The size that the file would have, about, if it were closed now, without its footer.
    pub(super) fn bytes(&self) -> u64 {
        self.pace.estimate(self.known_bytes)
    }

    /// The size of the values that are in memory, encoded or not.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes + self.full_bytes
    }

    /// Ends the row group that is being filled, and brings it into the file.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.end()
    }

    /// Takes row groups that were encoded on their own.
    pub(super) fn append(&mut self, groups: Vec<RowGroup>) -> Result<()> {
        groups.into_iter().try_for_each(|group| self.write_group(group))?;
        self.known_bytes = self.writer.bytes_written() as u64;
        Ok(())
    }

    /// The row groups of a piece.
    pub(super) fn close_piece(mut self) -> Result<Vec<RowGroup>> {
        self.end()?;
        Ok(self.kept)
    }

    pub(super) fn close(mut self) -> Result<PartFile> {
        self.end()?;
        self.writer.finish().map_err(|error| self.failed(error))?;
        match std::mem::replace(self.writer.inner_mut(), Slot::Closed) {
            Slot::File(part) => Ok(part),
            Slot::Memory | Slot::Closed => Err(Slot::empty()),
        }
    }

    /// Hands in what is left, for a file that takes no more rows, and does not wait until it is encoded.
    pub(super) fn hand_in_rest(&mut self) -> Result<()> {
        if self.group_rows > 0 { self.hand_over(true) } else { Ok(()) }
    }

    /// Encodes what is left.
    fn end(&mut self) -> Result<()> {
        self.hand_in_rest()?;
        self.settle()
    }

    fn write_group(&mut self, columns: RowGroup) -> Result<()> {
        let appended = self.writer.next_row_group().and_then(|mut group| {
            for column in columns {
                column.append_to_row_group(&mut group)?;
            }
            group.close()
        });
        appended.map_err(|error| self.failed(error))?;
        if let Slot::File(part) = self.writer.inner_mut() {
            part.rest();
        }
        Ok(())
    }

    /// Hands over rows, more of which will follow.
    fn hand_in(&mut self, ends: bool) -> Result<()> {
        let is_first = self.pace.knows_nothing();
        self.hand_over(ends)?;
        // The first block says how large the others will be.
        if is_first { self.settle() } else { Ok(()) }
    }

    /// Hands the gathered rows to the workers, once they are done with those before; `ends` where they are the last ones
    /// of their row group.
    fn hand_over(&mut self, ends: bool) -> Result<()> {
        let blocks = std::mem::take(&mut self.gathered);
        if blocks.is_empty() && !ends {
            return Ok(());
        }
        self.settle()?;
        let encoded: usize =
            self.columns.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum();
        let is_full = encoded as u64 >= ROW_GROUP_BYTES;
        if is_full && !ends {
            self.submit(Vec::new(), true)?;
            self.settle()?;
            self.group_rows = blocks.iter().map(RecordBatch::num_rows).sum();
            self.held_bytes = self.pace.gathered();
        }
        self.submit(blocks, ends)?;
        self.pace.hand_in();
        Ok(())
    }

    fn submit(&mut self, blocks: Vec<RecordBatch>, ends: bool) -> Result<()> {
        if self.columns.is_empty() {
            self.columns = self
                .factory
                .create_column_writers(self.group)
                .map_err(|error| self.failed(error))?;
        }
        for (index, mut column) in std::mem::take(&mut self.columns).into_iter().enumerate() {
            let field = Arc::clone(&self.schema.fields()[index]);
            let arrays: Vec<ArrayRef> =
                blocks.iter().map(|block| Arc::clone(block.column(index))).collect();
            self.under_way.push(self.workers.submit(move || {
                for array in &arrays {
                    let leaves = compute_leaves(&field, array);
                    let written = leaves
                        .and_then(|leaves| leaves.iter().try_for_each(|leaf| column.write(leaf)));
                    if let Err(error) = written {
                        return Encoded::Failed(error);
                    }
                }
                if !ends {
                    return Encoded::Open(Box::new(column));
                }
                column
                    .close()
                    .map_or_else(Encoded::Failed, |chunk| Encoded::Closed(Box::new(chunk)))
            }));
        }
        if ends {
            self.group += 1;
            self.group_rows = 0;
            self.full_bytes = std::mem::take(&mut self.held_bytes);
        }
        Ok(())
    }

    /// Waits for the workers, and writes the row group that they have ended.
    fn settle(&mut self) -> Result<()> {
        let mut chunks = Vec::new();
        for ticket in std::mem::take(&mut self.under_way) {
            match ticket.wait()? {
                Encoded::Open(column) => self.columns.push(*column),
                Encoded::Closed(chunk) => chunks.push(*chunk),
                Encoded::Failed(error) => return Err(self.failed(error)),
            }
        }
        if !chunks.is_empty() {
            if let Slot::Memory = self.writer.inner() {
                let sizes =
                    chunks.iter().map(|chunk: &ArrowColumnChunk| chunk.close().bytes_written);
                self.kept_bytes += sizes.sum::<u64>();
                self.kept.push(chunks);
            } else {
                self.write_group(chunks)?;
            }
            self.full_bytes = 0;
        }
        let encoded: usize =
            self.columns.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum();
        let known = (self.writer.bytes_written() + encoded) as u64 + self.kept_bytes;
        self.pace.done(known.saturating_sub(self.known_bytes));
        self.known_bytes = known;
        Ok(())
    }

    fn failed(&self, error: ParquetError) -> Error {
        let slot = self.writer.inner();
        let bytes = if let Slot::File(part) = slot { part.bytes() } else { self.known_bytes };
        failed("could not write a data file", slot.path(), bytes, error)
    }
}

/// Where the file lies while Arrow writes to it. It is taken out of here, and not by `into_inner`, because that turns
/// what the disk answered into words.
#[derive(Debug)]
enum Slot {
    File(PartFile),
    /// There is none: row groups are kept for others.
    Memory,
    /// It was taken out.
    Closed,
}

impl Slot {
    fn path(&self) -> &Path {
        if let Self::File(part) = self { part.path() } else { Path::new("") }
    }

    fn empty() -> Error {
        Error::new(ErrorKind::Bug, "a Parquet file was used after it was closed")
    }
}

impl Write for Slot {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(part) => part.write(bytes),
            Self::Memory => Ok(bytes.len()),
            Self::Closed => Err(io::Error::other(Self::empty())),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Self::File(part) = self { part.flush() } else { Ok(()) }
    }
}

fn compression(compression: ParquetCompression) -> Result<Compression, ParquetError> {
    Ok(match compression {
        ParquetCompression::Zstd(level) => Compression::ZSTD(ZstdLevel::try_new(level.into())?),
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::None => Compression::UNCOMPRESSED,
    })
}

/// Bytes of a page in a file of so many columns. With more than a hundred BigQuery wants smaller ones than usual ("Loading
/// Parquet data from Cloud Storage", input file requirements), and each column has one in memory.
fn page_bytes(columns: usize) -> usize {
    let (most, of_all) = PAGE_BYTES;
    (of_all / columns.max(1)).clamp(64 << 10, most)
}

/// Times are stored in microseconds, since Parquet has no seconds and not every warehouse reads milliseconds. Only what
/// is finer is stored as it is.
fn stored_type(arrow_type: &ArrowType) -> ArrowType {
    match arrow_type {
        ArrowType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
            ArrowType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        ArrowType::Time32(_) => ArrowType::Time64(TimeUnit::Microsecond),
        other => other.clone(),
    }
}

fn stored(field: &Field, array: &ArrayRef) -> Result<ArrayRef> {
    if array.data_type() == field.data_type() {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, field.data_type(), &options).map_err(|error| {
        Error::new(ErrorKind::BadData, "a time lies outside of what microseconds can say")
            .with("column", field.name())
            .with_source(error)
    })
}

/// The schema as Arrow would have it, with JSON columns marked as such. Redshift asks for the mark
/// (<https://github.com/duckdb/duckdb/pull/14747>), DuckDB reads the column as JSON, others as text.
fn parquet_schema(schema: &Schema, layout: &Layout) -> Result<SchemaDescriptor, ParquetError> {
    let descriptor = ArrowSchemaConverter::new().schema_root("schema").convert(schema)?;
    let fields = descriptor.root_schema().get_fields().iter().zip(&layout.columns);
    let fields = fields.map(|(field, column)| {
        if column.json { Ok(Arc::new(json_type(column)?)) } else { Ok(Arc::clone(field)) }
    });
    let fields = fields.collect::<Result<Vec<_>, ParquetError>>()?;
    let root = Type::group_type_builder("schema").with_fields(fields).build()?;
    Ok(SchemaDescriptor::new(Arc::new(root)))
}

fn json_type(column: &FileColumn) -> Result<Type, ParquetError> {
    Type::primitive_type_builder(&column.name, PhysicalType::BYTE_ARRAY)
        .with_logical_type(Some(LogicalType::Json))
        .with_repetition(if column.nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED })
        .build()
}

/// Whether values repeat so often that a dictionary is smaller than they are. Where they do not, making one costs time
/// and is thrown away.
fn repeats(arrays: &[&ArrayRef]) -> bool {
    let Some(columns) = arrays.iter().map(|array| Bytes::of(array)).collect::<Option<Vec<_>>>()
    else {
        return false;
    };
    let values: usize = arrays.iter().map(|array| array.len() - array.null_count()).sum();
    // From all over the sample: its first rows may be all alike, or all different.
    let step = values.div_ceil(SAMPLE_VALUES).max(1);
    let present = arrays.iter().zip(&columns).flat_map(|(array, bytes)| {
        (0..array.len()).filter(|row| array.is_valid(*row)).map(move |row| (bytes, row))
    });
    let sample = present.step_by(step);
    // Most columns hold few values again and again, or never one twice: a glance tells. Its values stand in runs, for those
    // that repeat only where they stand side by side.
    if values >= SAMPLE_VALUES {
        let glance =
            sample.clone().enumerate().filter(|(index, _)| (index / RUN).is_multiple_of(GLANCE));
        let (looked_at, distinct) = count_distinct(glance.map(|(_, value)| value));
        if distinct * 10 <= looked_at {
            return true;
        }
        if distinct * 20 >= looked_at * 19 {
            return false;
        }
    }
    let (looked_at, distinct) = count_distinct(sample);
    looked_at > 1 && distinct * 2 <= looked_at
}

/// How many values there are, and how many of them are different.
fn count_distinct<'a>(values: impl Iterator<Item = (&'a Bytes<'a>, usize)>) -> (usize, usize) {
    let mut looked_at = 0;
    let mut distinct: HashSet<_, FastHash> = HashSet::default();
    for (bytes, row) in values {
        looked_at += 1;
        distinct.insert(bytes.at(row));
    }
    (looked_at, distinct.len())
}

/// The bytes of the values of a column, to tell them apart.
enum Bytes<'a> {
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Fixed { values: Buffer, first: usize, width: usize },
}

impl<'a> Bytes<'a> {
    /// `None` for types for which a dictionary is of no use.
    fn of(array: &'a ArrayRef) -> Option<Self> {
        if let Some(array) = array.as_any().downcast_ref() {
            return Some(Self::Text(array));
        }
        if let Some(array) = array.as_any().downcast_ref() {
            return Some(Self::Binary(array));
        }
        let width = array.data_type().primitive_width()?;
        let data = array.to_data();
        Some(Self::Fixed { values: data.buffers().first()?.clone(), first: data.offset(), width })
    }

    fn at(&self, row: usize) -> &[u8] {
        match self {
            Self::Text(array) => array.value(row).as_bytes(),
            Self::Binary(array) => array.value(row),
            Self::Fixed { values, first, width } => &values[(first + row) * width..][..*width],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_repeat_if_most_of_them_were_there_before() {
        let texts = |value: fn(usize) -> usize, rows: usize| -> ArrayRef {
            Arc::new(StringArray::from_iter_values((0..rows).map(|row| value(row).to_string())))
        };
        for (value, expected) in [
            ((|row| row % 7) as fn(usize) -> usize, true),
            (|row| row, false),
            // Side by side, as the ids of parents in a table of children.
            (|row| row / 3, true),
            // Not clear at a glance.
            (|row| row % 3000, true),
            (|row| row - row % 3 % 2, false),
        ] {
            for rows in [100, SAMPLE_VALUES - 1, SAMPLE_VALUES] {
                let is_seen = rows > 3000 || value(3000) != 0;
                assert_eq!(repeats(&[&texts(value, rows)]), expected && is_seen, "{rows}");
            }
        }
        assert!(!repeats(&[&texts(|row| row, 10 * SAMPLE_VALUES)]));
        assert!(repeats(&[&texts(|row| row % 500, 10 * SAMPLE_VALUES)]));
        assert!(!repeats(&[&texts(|row| row, 1)]));
    }

    #[test]
    fn pages_of_wide_tables_are_small() {
        assert_eq!([1, 100].map(page_bytes), [1 << 20; 2]);
        assert_eq!(page_bytes(400), 256 << 10);
        assert_eq!(page_bytes(100_000), 64 << 10);
    }
}

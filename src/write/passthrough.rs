//! Whether a Parquet file can go into the load as it is: it has the columns of its table, and only what every warehouse
//! reads.
//!
//! The decision is made from the footer alone. What the footer cannot say, that all values can be loaded, is looked at by
//! [`TableWriter::adopt`](super::TableWriter::adopt).

use std::fmt;
use std::fs::File;

use ::parquet::basic::{
    Compression, ConvertedType, Encoding, LogicalType, PageType, TimeUnit, Type as PhysicalType,
};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
};
use ::parquet::schema::types::ColumnDescriptor;
use arrow::datatypes::{DataType as ArrowType, TimeUnit as ArrowTimeUnit};
use transload_core::{Column, DataType, FileFormat};

use super::WriteOptions;
use crate::arrow_types::{Defaults, arrow_type};

/// A smaller file than this part of [`WriteOptions::file_bytes`] is rewritten: many small files load slower than a few
/// large ones, and each of them costs little.
const SMALLEST: u64 = 8;

/// A larger file than so many times [`WriteOptions::file_bytes`] is rewritten, as several: 1 GiB by default, which is the
/// most that Redshift advises ("Use multiple files", 1 MB to 1 GB).
const LARGEST: u64 = 8;

/// Rows that a row group has at least, on the average: each costs a reader a step of its own.
const ROW_GROUP_ROWS: i64 = 8192;

/// Bytes that a row group has at most, decompressed: readers hold it in memory.
const ROW_GROUP_BYTES: i64 = 1 << 30;

/// What is done to the rows of a file on their way, apart from writing them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Rows get ids, or the load to which they belong.
    pub(crate) ids: bool,
    /// Rows that were loaded before are left out.
    pub(crate) incremental: bool,
    /// A schema contract may take values or rows away.
    pub(crate) contract: bool,
}

/// Why a file is read and written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// The load's files have another format.
    Format(FileFormat),
    /// Rows are changed on their way.
    Changes(Changes),
    /// It has no rows.
    Empty,
    /// Its size, in bytes.
    Size(u64),
    /// Files come in multiples of this number, about equal in size.
    Slices(usize),
    /// Its rows, which are more than a file may have.
    Rows(u64),
    /// The rows or bytes of its row groups.
    RowGroups,
    /// Its columns are not those of the table, in their order.
    Columns,
    /// The type of this column is not the one that the table's column is written in.
    Type(String),
    /// This column is compressed or encoded in a way that not every warehouse reads.
    Encoding(String),
    /// Something in the footer gives the columns another meaning, for some readers.
    Metadata(String),
    /// It is damaged, or a value of it cannot be loaded as it is; what its reader says of that counts.
    Value(String),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(format) => write!(f, "files are written as {format}"),
            Self::Changes(changes) if changes.ids => f.write_str("its rows get ids"),
            Self::Changes(changes) if changes.incremental => {
                f.write_str("rows seen before are left out")
            }
            Self::Changes(_) => f.write_str("a schema contract looks at its rows"),
            Self::Empty => f.write_str("it has no rows"),
            Self::Size(bytes) => write!(f, "{bytes} bytes are no good size for a file"),
            Self::Slices(slices) => write!(f, "rows are spread evenly over {slices} slices"),
            Self::Rows(rows) => write!(f, "{rows} rows are more than a file may have"),
            Self::RowGroups => f.write_str("its row groups are too small or too large"),
            Self::Columns => f.write_str("its columns are not those of the table, in their order"),
            Self::Type(column) => write!(f, "column {column} has another type than in the table"),
            Self::Encoding(column) => {
                write!(f, "column {column} is packed in a way that not every warehouse reads")
            }
            Self::Metadata(key) => write!(f, "its footer has {key}"),
            Self::Value(reason) => f.write_str(reason),
        }
    }
}

/// The footer of a file, with all that [`fits`] looks at.
///
/// # Errors
/// Where it cannot be read, or is no footer.
pub(crate) fn footer(file: &File) -> Result<ParquetMetaData, ParquetError> {
    let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
    ParquetMetaDataReader::new().with_metadata_options(Some(options)).parse_and_finish(file)
}

/// Whether a file with this footer and of this size can be a file of a table with these columns: those that the table has
/// once the file's own are in it.
pub(crate) fn fits(
    footer: &ParquetMetaData,
    bytes: u64,
    columns: &[Column],
    defaults: &Defaults,
    options: &WriteOptions,
    changes: Changes,
) -> Result<(), Misfit> {
    if options.format != FileFormat::Parquet {
        return Err(Misfit::Format(options.format));
    }
    if changes != Changes::default() {
        return Err(Misfit::Changes(changes));
    }
    if let Some(slices) = options.spread_over() {
        return Err(Misfit::Slices(slices.get()));
    }
    if footer.file_metadata().num_rows() <= 0 {
        return Err(Misfit::Empty);
    }
    let (least, most) = (options.file_bytes / SMALLEST, options.file_bytes.saturating_mul(LARGEST));
    if !(least..=most).contains(&bytes) {
        return Err(Misfit::Size(bytes));
    }
    let rows = u64::try_from(footer.file_metadata().num_rows()).unwrap_or(0);
    if options.file_rows.is_some_and(|most| rows > most) {
        return Err(Misfit::Rows(rows));
    }
    row_groups(footer)?;
    let found = footer.file_metadata().schema_descr().columns();
    let same_names = found.len() == columns.len()
        && found
            .iter()
            .zip(columns)
            .all(|(found, column)| found.path().parts().first() == Some(&column.name));
    if !same_names {
        return Err(Misfit::Columns);
    }
    for (found, column) in found.iter().zip(columns) {
        if !is_written_as(found, column, defaults) {
            return Err(Misfit::Type(column.name.clone()));
        }
    }
    for group in footer.row_groups() {
        for (chunk, column) in group.columns().iter().zip(columns) {
            if !is_read_everywhere(chunk) {
                return Err(Misfit::Encoding(column.name.clone()));
            }
        }
    }
    // GeoParquet: DuckDB makes geometries of bytes that it says are some.
    let keys = footer.file_metadata().key_value_metadata().into_iter().flatten();
    match keys.into_iter().find(|entry| entry.key == "geo") {
        Some(entry) => Err(Misfit::Metadata(entry.key.clone())),
        None => Ok(()),
    }
}

fn row_groups(footer: &ParquetMetaData) -> Result<(), Misfit> {
    let groups = i64::try_from(footer.num_row_groups()).unwrap_or(i64::MAX);
    let rows = footer.file_metadata().num_rows();
    let too_small = groups > 1 && rows / groups < ROW_GROUP_ROWS;
    let too_large =
        footer.row_groups().iter().any(|group| group.total_byte_size() > ROW_GROUP_BYTES);
    if too_small || too_large { Err(Misfit::RowGroups) } else { Ok(()) }
}

/// Whether a column of a file has the type in which the writer of Parquet would write the table's column.
///
/// So unsigned integers, seconds by other units than microseconds, INT96, halves, nested values and JSON, whose texts
/// would have to be looked at, are never passed through. A decimal may have any of the three forms that readers of
/// today know; Parquet's first one, of any number of bytes, not all of them do.
fn is_written_as(found: &ColumnDescriptor, column: &Column, defaults: &Defaults) -> bool {
    if found.max_rep_level() > 0 || found.max_def_level() > 1 || found.path().parts().len() != 1 {
        return false;
    }
    if column.data_type == Some(DataType::Json) {
        return false;
    }
    let Ok(expected) = arrow_type(column, defaults) else { return false };
    let (physical, logical) = (found.physical_type(), logical(found));
    let micros =
        |utc: bool| LogicalType::Timestamp { is_adjusted_to_u_t_c: utc, unit: TimeUnit::MICROS };
    let integer = |bit_width| LogicalType::Integer { bit_width, is_signed: true };
    match expected {
        ArrowType::Utf8 => {
            physical == PhysicalType::BYTE_ARRAY && logical == Some(LogicalType::String)
        }
        ArrowType::Binary => physical == PhysicalType::BYTE_ARRAY && logical.is_none(),
        ArrowType::Boolean => physical == PhysicalType::BOOLEAN,
        ArrowType::Float64 => physical == PhysicalType::DOUBLE && logical.is_none(),
        ArrowType::Int8 => physical == PhysicalType::INT32 && logical == Some(integer(8)),
        ArrowType::Int16 => physical == PhysicalType::INT32 && logical == Some(integer(16)),
        ArrowType::Int32 => {
            physical == PhysicalType::INT32 && (logical.is_none() || logical == Some(integer(32)))
        }
        ArrowType::Int64 => {
            physical == PhysicalType::INT64 && (logical.is_none() || logical == Some(integer(64)))
        }
        ArrowType::Date32 => physical == PhysicalType::INT32 && logical == Some(LogicalType::Date),
        ArrowType::Time64(ArrowTimeUnit::Microsecond) => {
            physical == PhysicalType::INT64
                && matches!(
                    logical,
                    Some(LogicalType::Time { is_adjusted_to_u_t_c: false, unit: TimeUnit::MICROS })
                )
        }
        ArrowType::Timestamp(ArrowTimeUnit::Microsecond, zone) => {
            physical == PhysicalType::INT64 && logical == Some(micros(zone.is_some()))
        }
        ArrowType::Decimal128(precision, scale) => {
            let digits = LogicalType::Decimal { scale: scale.into(), precision: precision.into() };
            logical == Some(digits)
                && match physical {
                    PhysicalType::INT32 => precision <= 9,
                    PhysicalType::INT64 => precision <= 18,
                    physical => {
                        physical == PhysicalType::FIXED_LEN_BYTE_ARRAY && found.type_length() <= 16
                    }
                }
        }
        _ => false,
    }
}

/// What a column says it is. Files of before 2018 say it in a word that later ones have replaced.
fn logical(column: &ColumnDescriptor) -> Option<LogicalType> {
    if let Some(logical) = column.logical_type_ref() {
        return Some(logical.clone());
    }
    Some(match column.converted_type() {
        ConvertedType::NONE => return None,
        ConvertedType::UTF8 => LogicalType::String,
        ConvertedType::DATE => LogicalType::Date,
        ConvertedType::INT_8 => LogicalType::Integer { bit_width: 8, is_signed: true },
        ConvertedType::INT_16 => LogicalType::Integer { bit_width: 16, is_signed: true },
        ConvertedType::INT_32 => LogicalType::Integer { bit_width: 32, is_signed: true },
        ConvertedType::INT_64 => LogicalType::Integer { bit_width: 64, is_signed: true },
        ConvertedType::DECIMAL => {
            LogicalType::Decimal { scale: column.type_scale(), precision: column.type_precision() }
        }
        // The old words for times leave open whether they are in UTC.
        _ => LogicalType::Unknown,
    })
}

/// Whether every warehouse reads the pages of a column: the first version of data pages, plain or with a dictionary, in
/// one of the compressions that all of them know.
///
/// Sources: BigQuery, "Loading Parquet data from Cloud Storage"; Snowflake, "COPY INTO <table>"; Redshift, "COPY from
/// columnar data formats". What these do not name is not passed through.
fn is_read_everywhere(chunk: &ColumnChunkMetaData) -> bool {
    let compressed = matches!(
        chunk.compression(),
        Compression::UNCOMPRESSED
            | Compression::SNAPPY
            | Compression::GZIP(_)
            | Compression::ZSTD(_)
    );
    #[expect(deprecated, reason = "what files name that count levels in the oldest way")]
    let encoded = chunk.encodings().all(|encoding| {
        matches!(
            encoding,
            Encoding::PLAIN
                | Encoding::RLE
                | Encoding::BIT_PACKED
                | Encoding::PLAIN_DICTIONARY
                | Encoding::RLE_DICTIONARY
        )
    });
    // Only these say of which version the pages are.
    let pages = chunk
        .page_encoding_stats()
        .is_some_and(|stats| stats.iter().all(|stats| stats.page_type != PageType::DATA_PAGE_V2));
    compressed && encoded && pages
}

#[cfg(test)]
mod tests;

//! The suite's own small input files, in the formats and the words in which the engine writes them.

mod parquet;
mod text;

use std::io::Write as _;

use super::case::{Failure, Outcome};
use crate::sql::Row;
use crate::{Capabilities, Column, FileFormat};

/// The bytes of a file with these rows.
pub(super) fn file(
    format: FileFormat,
    gzip: bool,
    columns: &[Column],
    rows: &[Row],
    capabilities: &Capabilities,
) -> Outcome<Vec<u8>> {
    let bytes = match format {
        FileFormat::Jsonl => text::jsonl(columns, rows)?,
        FileFormat::Csv => text::csv(columns, rows)?,
        FileFormat::InsertValues => {
            let rules = capabilities.literals.as_ref().ok_or_else(|| {
                Failure::untrue("it claims insert_values and does not say how literals are written")
            })?;
            text::insert_values(columns, rows, rules)?
        }
        FileFormat::Parquet => return parquet::parquet(columns, rows, capabilities),
    };
    if !gzip {
        return Ok(bytes);
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&bytes)?;
    Ok(encoder.finish()?)
}

/// The bytes of hexadecimal digits.
pub(super) fn bytes_of(hex: &str) -> Outcome<Vec<u8>> {
    let digits = |at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(digits).collect();
    bytes.ok_or_else(|| Failure::untrue(format!("the suite has no bytes in {hex:?}")))
}

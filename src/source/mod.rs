//! Where rows come from.

mod arrow_ipc;
pub(crate) mod compress;
pub(crate) mod content;
pub(crate) mod csv;
pub(crate) mod identity;
pub(crate) mod input;
pub(crate) mod json;
pub(crate) mod options;
mod parquet;
pub(crate) mod remote;
mod warnings;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use transload_core::{Column, Error, ErrorKind, Result};

use content::unreadable as unread;
pub(crate) use json::{JsonLimits, JsonReader, JsonRow, JsonRows, JsonShape, Refused};
pub(crate) use warnings::{Warning, Warnings};

/// The chunks of a source, in their order.
pub(crate) type Chunks = Box<dyn Iterator<Item = Result<Chunk>> + Send>;

/// Rows of a source, as many as are normalised at a time.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// JSON text, cut into rows.
    Json(JsonRows),
    /// An Arrow batch.
    Arrow(ArrowRows),
    /// The columns of an input that has no rows.
    Columns(Vec<Column>),
    /// A local file of Parquet, which may go into the load as it is.
    File(ParquetFile),
}

/// A local file of Parquet.
pub(crate) struct ParquetFile {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Its rows, for where it cannot be taken as it is.
    pub(crate) rows: Chunks,
}

impl fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Rows of a batch, with where they come from.
#[derive(Clone, Debug)]
pub(crate) struct ArrowRows {
    /// The rows.
    pub(crate) batch: RecordBatch,
    /// The input as it is shown: the name of the file.
    pub(crate) origin: Arc<str>,
    /// The number of the first row in the input, from 0.
    pub(crate) first: u64,
}

impl ArrowRows {
    /// Those rows that the mask has.
    pub(crate) fn filtered(&self, mask: &BooleanArray) -> Result<Self> {
        let batch = filter_record_batch(&self.batch, mask).map_err(|error| {
            Error::new(ErrorKind::Bug, "rows of a batch cannot be left out")
                .with("file", &self.origin)
                .with_source(error)
        })?;
        Ok(Self { batch, ..self.clone() })
    }
}

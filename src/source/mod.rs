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

use std::sync::Arc;

use arrow::array::RecordBatch;
use transload_core::{Column, Result};

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
}

/// Rows of a batch, with where they come from.
#[derive(Debug)]
pub(crate) struct ArrowRows {
    /// The rows.
    pub(crate) batch: RecordBatch,
    /// The input as it is shown: the name of the file.
    pub(crate) origin: Arc<str>,
    /// The number of the first row in the input, from 0.
    pub(crate) first: u64,
}

//! Where rows come from.

mod identity;
pub(crate) mod json;

use std::sync::Arc;

use arrow::array::RecordBatch;

pub(crate) use identity::FileIdentity;
pub(crate) use json::{JsonLimits, JsonReader, JsonRow, JsonRows, JsonShape, Refused, SourceText};

/// Rows of a source, as many as are normalised at a time.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// JSON text, cut into rows.
    Json(JsonRows),
    /// An Arrow batch.
    Arrow(ArrowRows),
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

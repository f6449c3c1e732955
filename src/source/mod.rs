//! Where rows come from.

pub(crate) mod json;

use arrow::array::RecordBatch;

pub(crate) use json::{JsonLimits, JsonReader, JsonRow, JsonRows, JsonShape};

/// Rows of a source, as many as are normalised at a time.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// JSON text, cut into rows.
    Json(JsonRows),
    /// An Arrow batch.
    Arrow(RecordBatch),
}

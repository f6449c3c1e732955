//! Where rows come from.

mod arrow_ipc;
pub(crate) mod identity;
pub(crate) mod input;
pub(crate) mod json;
pub(crate) mod options;
mod parquet;
pub(crate) mod remote;

use std::io;
use std::sync::Arc;

use arrow::array::RecordBatch;
use transload_core::{Error, ErrorKind, Result};

pub(crate) use json::{JsonLimits, JsonReader, JsonRow, JsonRows, JsonShape, Refused};

/// The chunks of a source, in their order.
pub(crate) type Chunks = Box<dyn Iterator<Item = Result<Chunk>> + Send>;

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

/// An input whose bytes do not come.
fn unread(error: io::Error, origin: &str) -> Error {
    let kind = match error.kind() {
        // A decoder says so of what it cannot decode.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            ErrorKind::BadData
        }
        _ => ErrorKind::Terminal,
    };
    Error::new(kind, "the file cannot be read").with("file", origin).with_source(error)
}

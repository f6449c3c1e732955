//! Where rows come from.

// Compressed files, CSV and paths in documents have their readers before inputs are opened by their kind.
#![allow(dead_code)]

pub(crate) mod compress;
mod content;
pub(crate) mod csv;
pub(crate) mod json;
mod warnings;

use std::sync::Arc;

use arrow::array::RecordBatch;

#[allow(unused_imports)]
pub(crate) use content::unreadable;
#[allow(unused_imports)]
pub(crate) use json::{JsonLimits, JsonReader, JsonRow, JsonRows, JsonShape, Refused, SourceText};
#[allow(unused_imports)]
pub(crate) use warnings::{Warning, Warnings};

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

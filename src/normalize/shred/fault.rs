//! What is wrong with rows: how much of the input it makes unloadable, and where it stands.

use transload_core::{Error, ErrorKind, Result};

use crate::normalize::parser::Offset;
use crate::source::json::{JsonRow, JsonRows};

/// How much of the input cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it: other rows would not fare better, or setting one aside would hide what is wrong.
    Input,
    /// The row.
    Row,
    /// The row of a nested table in which it was found, with those nested in it.
    Element,
}

/// An error at a node of the row.
pub(super) struct Fault {
    pub(super) error: Error,
    pub(super) node: usize,
    pub(super) scope: Scope,
}

pub(super) type Shred<T = ()> = Result<T, Fault>;

pub(super) trait At<T> {
    /// The fault of the row, if it is one of its data.
    fn at(self, node: usize) -> Shred<T>;
    /// The fault of the input.
    fn of_input(self, node: usize) -> Shred<T>;
}

impl<T> At<T> for Result<T> {
    fn at(self, node: usize) -> Shred<T> {
        self.map_err(|error| {
            let is_of_data = error.kind() == ErrorKind::BadData;
            Fault { error, node, scope: if is_of_data { Scope::Row } else { Scope::Input } }
        })
    }

    fn of_input(self, node: usize) -> Shred<T> {
        self.map_err(|error| Fault { error, node, scope: Scope::Input })
    }
}

/// A key that an object has twice.
pub(super) fn duplicate_key(key: &str) -> Error {
    Error::new(ErrorKind::BadData, "duplicate key")
        .with("code", "E_JSON_DUP_KEY")
        .with("key", key)
        .with_hint("one of the values would be lost: rename or remove a key")
}

/// A row as it stood in the input.
pub(super) fn original<'r>(rows: &'r JsonRows, input: usize, text: &'r [u8]) -> &'r [u8] {
    let Some(source) = &rows.source else { return text };
    let range = source.ranges.get(input).cloned();
    range.and_then(|range| source.bytes.get(range)).unwrap_or(text)
}

/// Adds file, line and, where the error names no column of a table, the column in the line.
pub(super) fn place(error: Error, rows: &JsonRows, row: &JsonRow, Offset(offset): Offset) -> Error {
    let before = rows.bytes.get(row.range.start..row.range.start + offset).unwrap_or_default();
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    let column = match before.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => (before.len() - at) as u64,
        None => row.column + before.len() as u64,
    };
    let names_column = error.context("column").is_some();
    let error = error.with("file", &rows.origin).with("line", row.line + lines as u64);
    if names_column { error } else { error.with("column", column) }
}

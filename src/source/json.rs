//! Splitting JSON text into rows: JSON lines, a list of rows, or objects one after the other.
//!
//! Rows are found, not parsed: a newline ends a row of JSON lines, brackets and quotes are counted in a document. What
//! a row holds is looked at when it is normalised. At most one chunk and one row are in memory.

mod document;
mod follow;
mod path;
mod sniff;
mod value;

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use memchr::{memchr, memchr_iter};
use transload_core::{Error, ErrorKind, Result};

pub(crate) use path::JsonPath;

use document::DocumentScanner;
use follow::PathScanner;
use sniff::{Found, RECORD_SEPARATOR, text_sequence};

use super::content::{damaged, unreadable};

/// Rows of one input, in their order.
#[derive(Debug)]
pub(crate) struct JsonRows {
    /// The text of the rows, and what stands between them.
    pub(crate) bytes: Vec<u8>,
    /// Where each row stands.
    pub(crate) rows: Vec<JsonRow>,
    /// The input as it is shown: the name of the file.
    pub(crate) origin: Arc<str>,
    /// Rows that the reader could not make sense of, in their order among themselves.
    pub(crate) refused: Vec<Refused>,
    /// The text that the rows were made of, where it was not JSON.
    pub(crate) source: Option<SourceText>,
}

/// A row of an input that cannot be loaded, as it stood there.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The line of the input at which it begins, from 1.
    pub(crate) line: u64,
    /// The byte of the input, decompressed, at which it begins, from 0.
    pub(crate) offset: u64,
    /// Its bytes, without the line end.
    pub(crate) bytes: Vec<u8>,
    /// Why. A row of its kind alone is at fault: what is wrong with the whole input is an error of the reader.
    pub(crate) error: Error,
}

/// What rows were made of, for those that must be shown as they were.
#[derive(Clone, Debug)]
pub(crate) struct SourceText {
    /// The text.
    pub(crate) bytes: Vec<u8>,
    /// Where each of [`JsonRows::rows`] stands in it.
    pub(crate) ranges: Vec<Range<usize>>,
    /// What stands above the rows of every file of the kind: the header of CSV with its line end.
    pub(crate) header: Arc<[u8]>,
    /// The ending of files of the kind, without a dot.
    pub(crate) extension: &'static str,
}

/// One row: a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonRow {
    /// The bytes of the row in [`JsonRows::bytes`].
    pub(crate) range: Range<usize>,
    /// The line of the input at which the row begins, from 1.
    pub(crate) line: u64,
    /// The byte in that line at which it begins, from 1.
    pub(crate) column: u64,
    /// The byte of the input, decompressed, at which it begins, from 0.
    pub(crate) offset: u64,
}

/// How rows stand in the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum JsonShape {
    /// As the content says.
    #[default]
    Auto,
    /// A list of rows, or rows one after the other, over any number of lines.
    Document,
    /// At a path inside of a document, or inside of each of many.
    Path(JsonPath),
}

/// How much is held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JsonLimits {
    /// The size that chunks have, about.
    pub(crate) chunk_bytes: usize,
    /// The size that a row may have.
    pub(crate) max_row_bytes: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        // A row may hold a text of 100 MB, and what stands around it.
        Self { chunk_bytes: 4 << 20, max_row_bytes: 128 << 20 }
    }
}

/// Reads the rows of an input in chunks. After an error there is nothing more.
#[derive(Debug)]
pub(crate) struct JsonReader<R> {
    input: R,
    origin: Arc<str>,
    limits: JsonLimits,
    splitter: Splitter,
    /// What was read and is not in a chunk yet.
    buffer: Vec<u8>,
    /// How much of the buffer the splitter has seen.
    seen: usize,
    /// The byte of the input at which the buffer begins.
    start: u64,
    /// Whether the input has ended.
    ended: bool,
    done: bool,
}

#[derive(Debug)]
enum Splitter {
    /// Nothing was read yet.
    Undecided(JsonShape),
    /// A row on each line; the number of the next line.
    Lines(u64),
    Document(DocumentScanner),
    Path(Box<PathScanner>),
}

impl<R: Read> JsonReader<R> {
    /// A reader over the text of an input, decompressed; `origin` is its name, for errors and to tell by its ending
    /// what it should be.
    pub(crate) fn new(input: R, origin: &str, shape: JsonShape, limits: JsonLimits) -> Self {
        Self {
            input,
            origin: origin.into(),
            limits,
            splitter: Splitter::Undecided(shape),
            buffer: Vec::new(),
            seen: 0,
            start: 0,
            ended: false,
            done: false,
        }
    }

    fn next_chunk(&mut self) -> Result<Option<JsonRows>> {
        let chunk_bytes = self.limits.chunk_bytes.max(1);
        loop {
            // A row that is longer than a chunk is read on in steps of a chunk.
            let wanted = (self.seen + chunk_bytes).saturating_sub(self.buffer.len());
            self.read(wanted)?;
            if let Splitter::Undecided(shape) = &self.splitter {
                let shape = shape.clone();
                if !self.decide(&shape)? {
                    continue;
                }
            }
            let (found, consumed) = self.split()?;
            if !found.rows.is_empty() || !found.refused.is_empty() {
                return Ok(Some(self.cut(found, consumed)));
            }
            if self.ended {
                return Ok(None);
            }
            // What holds no row is not kept: blank lines, blanks before a row.
            self.buffer.drain(..consumed);
            self.start += consumed as u64;
            self.forget(consumed);
            if self.buffer.len() > self.limits.max_row_bytes {
                return Err(self.too_large());
            }
        }
    }

    fn read(&mut self, bytes: usize) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.buffer.reserve(bytes);
        let mut input = self.input.by_ref().take(bytes as u64);
        let read = input.read_to_end(&mut self.buffer);
        let read = read.map_err(|error| unreadable(error, &self.origin))?;
        self.ended = read < bytes;
        Ok(())
    }

    /// Tells from the beginning how the rows stand. Returns whether enough was read for that.
    fn decide(&mut self, shape: &JsonShape) -> Result<bool> {
        match sniff::look(&self.buffer, self.ended, shape, &self.origin) {
            Ok(Found::More) if self.buffer.len() > self.limits.max_row_bytes => {
                Err(self.too_large())
            }
            Ok(Found::More) => {
                self.seen = self.buffer.len();
                Ok(false)
            }
            Ok(Found::Lines { skip }) => {
                // The byte order mark stands in the first line and is no part of it.
                self.buffer.drain(..skip);
                self.start += skip as u64;
                self.seen = 0;
                self.splitter = Splitter::Lines(1);
                Ok(true)
            }
            Ok(Found::Document { skip }) => {
                self.buffer.drain(..skip);
                self.start += skip as u64;
                self.seen = 0;
                self.splitter = match shape {
                    JsonShape::Path(path) => {
                        Splitter::Path(Box::new(PathScanner::new(path.clone())))
                    }
                    _ => Splitter::Document(DocumentScanner::default()),
                };
                Ok(true)
            }
            Err(error) => Err(error.with("file", &self.origin)),
        }
    }

    /// The rows that the buffer holds whole, and up to where they stand.
    fn split(&mut self) -> Result<(Split, usize)> {
        if self.ended && self.buffer.last() == Some(&0) {
            return Err(self.padded());
        }
        let mut found = Split::default();
        let consumed = match &mut self.splitter {
            Splitter::Undecided(_) => Ok(0),
            Splitter::Lines(line) => {
                Ok(split_lines(&self.buffer, self.seen, self.ended, line, &mut found))
            }
            Splitter::Document(scanner) => {
                scanner.scan(&self.buffer, self.seen, self.ended, &mut found.rows)
            }
            Splitter::Path(scanner) => {
                scanner.scan(&self.buffer, self.seen, self.ended, &mut found.rows)
            }
        };
        let consumed = consumed.map_err(|error| error.with("file", &self.origin))?;
        self.seen = self.buffer.len();
        if let Some(row) = found.rows.iter().find(|row| row.range.len() > self.limits.max_row_bytes)
        {
            return Err(too_large(&self.origin, row.line, self.limits.max_row_bytes));
        }
        Ok((found, consumed))
    }

    /// Hands out the rows with the bytes in which they stand; what follows stays.
    fn cut(&mut self, found: Split, consumed: usize) -> JsonRows {
        let Split { mut rows, refused } = found;
        for row in &mut rows {
            row.offset = self.start + row.range.start as u64;
        }
        let refused = refused.into_iter().map(|row| Refused {
            offset: self.start + row.offset,
            error: row.error.with("file", &self.origin).with("line", row.line),
            ..row
        });
        let refused = refused.collect();
        self.start += consumed as u64;
        let follows = &self.buffer[consumed..];
        let mut rest = Vec::with_capacity(self.limits.chunk_bytes.min(1 << 26) + follows.len());
        rest.extend_from_slice(follows);
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(consumed);
        self.forget(consumed);
        JsonRows { bytes, rows, origin: Arc::clone(&self.origin), refused, source: None }
    }

    fn forget(&mut self, bytes: usize) {
        self.seen -= bytes;
        match &mut self.splitter {
            Splitter::Document(scanner) => scanner.forget(bytes),
            Splitter::Path(scanner) => scanner.forget(bytes),
            Splitter::Undecided(_) | Splitter::Lines(_) => {}
        }
    }

    /// The line at which the row begins of which the buffer holds a part.
    fn line(&self) -> u64 {
        match &self.splitter {
            Splitter::Undecided(_) => 1,
            Splitter::Lines(line) => *line,
            Splitter::Document(scanner) => scanner.row_line(),
            Splitter::Path(scanner) => scanner.row_line(),
        }
    }

    fn too_large(&self) -> Error {
        if self.buffer.last() == Some(&0) {
            return self.padded();
        }
        too_large(&self.origin, self.line(), self.limits.max_row_bytes)
    }

    /// Nothing that is JSON ends with a NUL.
    fn padded(&self) -> Error {
        let (line, from) = match &self.splitter {
            Splitter::Undecided(_) => (1, 0),
            Splitter::Lines(line) => (*line, 0),
            Splitter::Document(scanner) => (scanner.line(), self.seen),
            Splitter::Path(scanner) => (scanner.line(), self.seen),
        };
        let lines = memchr_iter(b'\n', &self.buffer[from..]).count() as u64;
        damaged().with("line", line + lines).with("file", &self.origin)
    }
}

fn too_large(origin: &str, line: u64, limit: usize) -> Error {
    Error::new(ErrorKind::BadData, "a row is too large")
        .with("code", "E_JSON_TOO_LARGE")
        .with("file", origin)
        .with("line", line)
        .with("limit in bytes", limit)
        .with_hint("raise the limit on the size of a row; if the file is one long line, check that it is JSON lines")
}

impl<R: Read> Iterator for JsonReader<R> {
    type Item = Result<JsonRows>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let chunk = self.next_chunk().transpose();
        self.done = !matches!(chunk, Some(Ok(_)));
        chunk
    }
}

/// What a part of an input holds.
#[derive(Debug, Default)]
struct Split {
    rows: Vec<JsonRow>,
    refused: Vec<Refused>,
}

/// Finds the lines that are not blank, from `seen` on, up to the last line end or to the end of the input.
fn split_lines(
    buffer: &[u8],
    seen: usize,
    ended: bool,
    line: &mut u64,
    found: &mut Split,
) -> usize {
    // What was seen before holds no line end: else it would have been cut off.
    let mut start = 0;
    let mut search = seen;
    while start < buffer.len() {
        let end = match memchr(b'\n', &buffer[search..]) {
            Some(length) => search + length + 1,
            None if ended => buffer.len(),
            None => break,
        };
        let text = buffer[start..end].trim_ascii_end();
        if text.first() == Some(&RECORD_SEPARATOR) {
            found.refused.push(Refused {
                line: *line,
                offset: start as u64,
                bytes: text.to_vec(),
                error: text_sequence(),
            });
        } else if !text.trim_ascii_start().is_empty() {
            found.rows.push(JsonRow {
                range: start..start + text.len(),
                line: *line,
                column: 1,
                offset: 0,
            });
        }
        *line += 1;
        start = end;
        search = end;
    }
    start
}

#[cfg(test)]
mod tests;

//! CSV: records become rows of JSON, whose keys are the names of the header.
//!
//! Columns of numbers and of `true` and `false` get a type, which the first rows decide for the whole file; it does not
//! matter whether values stand in quotes, since many programs put all of them in quotes. All other columns are text: words
//! like `NULL` and `NaN`, numbers with leading zeros and dates (timestamps are found out later, as those of JSON are). No
//! value is NULL, and `""` is a text without characters. What does not fit the type of its column is kept as text.
//!
//! Lines without anything are no rows. A record that is not as the header says is refused by itself. At most a chunk and
//! a record are in memory.

mod cell;
mod detect;
mod header;
mod options;
mod record;
mod table;

use std::io::Read;
use std::sync::Arc;

use transload_core::{DataType, Error, ErrorKind, Result};

pub use options::{CsvOptions, Quote};

use super::compress::inner_name;
use super::content::{damaged, refuse_foreign, refuse_html, unreadable};
use super::json::{JsonRow, JsonRows, Refused, SourceText};
use cell::{Guess, Kind};
use header::Header;
use record::{Dialect, Scan};
use table::{Table, is_null};

/// A column as the header and the first rows say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CsvColumn {
    /// The name in the header, without blanks around it; not normalised.
    pub(crate) name: String,
    /// The type. A column that has no value in the first rows is text.
    pub(crate) data_type: DataType,
}

/// How much is held in memory, and how much decides what the columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CsvLimits {
    /// The size that chunks have, about, as JSON.
    pub(crate) chunk_bytes: usize,
    /// The size that a record may have.
    pub(crate) max_row_bytes: usize,
    /// Bytes whose records decide types.
    pub(crate) sample_bytes: usize,
    /// Records that decide types, at most.
    pub(crate) sample_rows: usize,
}

impl Default for CsvLimits {
    fn default() -> Self {
        Self {
            chunk_bytes: 8 << 20,
            max_row_bytes: 128 << 20,
            sample_bytes: 1 << 20,
            sample_rows: 10_000,
        }
    }
}

/// Reads the rows of a CSV file in chunks. After an error there is nothing more.
#[derive(Debug)]
pub(crate) struct CsvReader<R> {
    input: R,
    origin: Arc<str>,
    options: CsvOptions,
    limits: CsvLimits,
    table: Option<Table>,
    /// What was read and is not in a chunk yet.
    buffer: Vec<u8>,
    /// Where in the buffer the next record begins.
    at: usize,
    /// The byte of the input at which the buffer begins.
    start: u64,
    /// The line at which the next record begins.
    line: u64,
    /// Whether the input has ended.
    ended: bool,
    done: bool,
}

/// Rows as they are made.
#[derive(Debug, Default)]
struct Made {
    bytes: Vec<u8>,
    rows: Vec<JsonRow>,
    ranges: Vec<std::ops::Range<usize>>,
    refused: Vec<Refused>,
}

impl<R: Read> CsvReader<R> {
    /// A reader over the text of an input, decompressed; `origin` is its name, for errors, and where it ends with `.tsv`
    /// its values are separated by tabs.
    pub(crate) fn new(input: R, origin: &str, options: CsvOptions, limits: CsvLimits) -> Self {
        Self {
            input,
            origin: origin.into(),
            options,
            limits,
            table: None,
            buffer: Vec::new(),
            at: 0,
            start: 0,
            line: 1,
            ended: false,
            done: false,
        }
    }

    /// The columns, in their order; none for a file that is empty. Reads the first rows for that, which the iterator gives
    /// out all the same.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] where it is no CSV in UTF-8 or its header cannot be used, [`ErrorKind::Configuration`] where
    /// the options contradict each other.
    pub(crate) fn columns(&mut self) -> Result<&[CsvColumn]> {
        if self.table.is_none() {
            let table = self.look();
            self.done = self.done || table.is_err();
            self.table = Some(table.map_err(|error| error.with("file", &self.origin))?);
        }
        Ok(self.table.as_ref().map_or(&[], |table| &table.columns))
    }

    /// Reads the beginning and tells from it what the file is.
    fn look(&mut self) -> Result<Table> {
        self.options.check()?;
        self.read(self.limits.sample_bytes.max(super::content::LOOK))?;
        refuse_foreign(&self.buffer, "CSV in UTF-8", "E_NOT_CSV")?;
        if self.buffer.starts_with(super::content::UTF8_MARK) {
            self.at = super::content::UTF8_MARK.len();
        }
        refuse_html(self.buffer[self.at..].trim_ascii_start(), "E_NOT_CSV")?;
        refuse_json(&self.buffer[self.at..])?;
        let has = |byte| memchr::memchr(byte, &self.buffer).is_some();
        let mut dialect = Dialect {
            delimiter: self.options.delimiter.unwrap_or(b','),
            quote: self.options.quote.character(),
            // What old Macs wrote.
            line_end: if !has(b'\n') && has(b'\r') { b'\r' } else { b'\n' },
            trim: self.options.trim,
        };
        if self.options.delimiter.is_none() {
            dialect.delimiter = if inner_name(&self.origin).ends_with(".tsv") {
                b'\t'
            } else {
                detect::delimiter(&self.buffer[self.at..], self.ended, dialect)
            };
        }
        let header = self.header(dialect)?;
        let kinds = self.kinds(dialect, header.names.len())?;
        let columns = header.names.iter().zip(&kinds);
        let columns = columns
            .map(|(name, kind)| CsvColumn { name: name.clone(), data_type: kind.data_type() })
            .collect();
        Ok(Table { dialect, columns, keys: header.keys(), kinds, header: header.text })
    }

    fn header(&mut self, dialect: Dialect) -> Result<Header> {
        loop {
            let (end, next) = match self.record(dialect)? {
                Some(found) => found,
                None => return Ok(Header::default()),
            };
            let line = self.line;
            let record = &self.buffer[self.at..end];
            let names = dialect.fields(record).count();
            if dialect.is_empty(record, names) {
                self.line += dialect.lines(&self.buffer[self.at..next]);
                self.at = next;
                continue;
            }
            if self.options.header == Some(false) {
                return Ok(Header::positions(names));
            }
            let text = &self.buffer[self.at..next];
            let header = Header::read(record, text, dialect).map_err(|e| e.with("line", line))?;
            self.line += dialect.lines(text);
            self.at = next;
            return Ok(header);
        }
    }

    /// The next record, end and next begin, for which more is read where it takes that.
    fn record(&mut self, dialect: Dialect) -> Result<Option<(usize, usize)>> {
        loop {
            if self.ended && self.buffer.last() == Some(&0) && self.at < self.buffer.len() {
                return Err(damaged().with("line", self.line));
            }
            if self.at >= self.buffer.len() && self.ended {
                return Ok(None);
            }
            let scan = dialect.record(&self.buffer, self.at, self.ended);
            if let Scan::Record { end, next } = scan
                && self.at < self.buffer.len()
            {
                if end - self.at > self.limits.max_row_bytes {
                    return Err(self.too_large());
                }
                return Ok(Some((end, next)));
            }
            let held = self.buffer.len() - self.at;
            if let Scan::Open { at } = scan
                && (self.ended || held > self.limits.max_row_bytes)
            {
                let line = self.line + dialect.lines(&self.buffer[self.at..at]);
                return Err(Error::new(ErrorKind::BadData, "a quote is not closed")
                    .with("code", "E_CSV_QUOTE")
                    .with("line", line)
                    .with("row at line", self.line)
                    .with_hint("the value that begins there swallows the rest of the file; close its quote, or write a quote inside of a value twice"));
            }
            if held > self.limits.max_row_bytes {
                return Err(self.too_large());
            }
            // Read anew from its beginning, a record of many steps would take their square.
            self.read((self.limits.chunk_bytes / 4).max(held).max(1))?;
        }
    }

    fn too_large(&self) -> Error {
        Error::new(ErrorKind::BadData, "a row is too large")
            .with("code", "E_CSV_TOO_LARGE")
            .with("line", self.line)
            .with("limit in bytes", self.limits.max_row_bytes)
            .with_hint("check that the file has line ends and that its quotes are closed")
    }

    /// What the columns hold, told by the records of the sample.
    fn kinds(&mut self, dialect: Dialect, columns: usize) -> Result<Vec<Kind>> {
        if !self.options.types {
            return Ok(vec![Kind::Text; columns]);
        }
        // The first record counts, however long it is.
        self.record(dialect)?;
        let mut guesses = vec![Guess::default(); columns];
        let (mut at, mut rows) = (self.at, 0);
        while at < self.buffer.len() && rows < self.limits.sample_rows {
            let Scan::Record { end, next } = dialect.record(&self.buffer, at, self.ended) else {
                break;
            };
            // What more was read than the sample must not count: how much that is depends on chunks.
            if rows > 0 && self.start + next as u64 > self.limits.sample_bytes as u64 {
                break;
            }
            let record = &self.buffer[at..end];
            at = next;
            rows += 1;
            if dialect.fields(record).count() != columns {
                continue;
            }
            for (guess, field) in guesses.iter_mut().zip(dialect.fields(record)) {
                match field {
                    Ok(field) if is_null(&self.options, &field) => {}
                    Ok(field) => guess.see(field.raw),
                    Err(_) => {}
                }
            }
        }
        Ok(guesses.into_iter().map(Guess::kind).collect())
    }

    fn next_chunk(&mut self) -> Result<Option<JsonRows>> {
        self.columns()?;
        // Taken out while it and the buffer are used.
        let Some(table) = self.table.take() else { return Ok(None) };
        let made = self.make(&table).map_err(|error| error.with("file", &self.origin));
        let header = Arc::clone(&table.header);
        let extension = if table.dialect.delimiter == b'\t' { "tsv" } else { "csv" };
        self.table = Some(table);
        let made = made?;
        if made.rows.is_empty() && made.refused.is_empty() {
            return Ok(None);
        }
        let rest = self.buffer[self.at..].to_vec();
        let mut text = std::mem::replace(&mut self.buffer, rest);
        text.truncate(self.at);
        self.start += self.at as u64;
        self.at = 0;
        Ok(Some(JsonRows {
            bytes: made.bytes,
            rows: made.rows,
            origin: Arc::clone(&self.origin),
            refused: made.refused,
            source: Some(SourceText { bytes: text, ranges: made.ranges, header, extension }),
        }))
    }

    /// Makes rows of the records that are in the buffer, or of the next one.
    fn make(&mut self, table: &Table) -> Result<Made> {
        let dialect = table.dialect;
        let mut made = Made::default();
        loop {
            let has_any = !made.rows.is_empty() || !made.refused.is_empty();
            let (end, next) = if !has_any {
                let Some(found) = self.record(dialect)? else { return Ok(made) };
                found
            } else if self.at < self.buffer.len()
                && made.bytes.len() < self.limits.chunk_bytes
                && let Scan::Record { end, next } =
                    dialect.record(&self.buffer, self.at, self.ended)
                && end - self.at <= self.limits.max_row_bytes
            {
                (end, next)
            } else {
                return Ok(made);
            };
            let record = &self.buffer[self.at..end];
            if !dialect.is_empty(record, table.columns.len()) {
                self.row(record, table, &mut made);
            }
            self.line += dialect.lines(&self.buffer[self.at..next]);
            self.at = next;
        }
    }

    /// Makes a row of a record, or refuses it.
    fn row(&self, record: &[u8], table: &Table, made: &mut Made) {
        let offset = self.start + self.at as u64;
        let before = made.bytes.len();
        match table.write(record, &self.options, &mut made.bytes) {
            Ok(()) => {
                made.rows.push(JsonRow {
                    range: before..made.bytes.len(),
                    line: self.line,
                    column: 1,
                    offset,
                });
                made.ranges.push(self.at..self.at + record.len());
                made.bytes.push(b'\n');
            }
            Err(error) => {
                made.bytes.truncate(before);
                made.refused.push(Refused {
                    line: self.line,
                    offset,
                    bytes: record.to_vec(),
                    error: error.with("file", &self.origin).with("line", self.line),
                });
            }
        }
    }

    /// Reads so many bytes more, unless the input ends. What is in chunks already is forgotten.
    fn read(&mut self, bytes: usize) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.buffer.drain(..self.at);
        self.start += self.at as u64;
        self.at = 0;
        let mut input = self.input.by_ref().take(bytes as u64);
        let read = input.read_to_end(&mut self.buffer);
        let read = read.map_err(|error| unreadable(error, &self.origin))?;
        self.ended = read < bytes;
        Ok(())
    }
}

/// Refuses JSON, the first row of which would become the names of columns.
fn refuse_json(start: &[u8]) -> Result<()> {
    let mut lines = start.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.find(|line| !line.is_empty()).unwrap_or_default();
    let is_json = matches!(first, b"{" | b"[" | b"[{")
        || (matches!(first, [b'{' | b'[', ..])
            && serde_json::from_slice::<serde::de::IgnoredAny>(first).is_ok());
    if is_json {
        return Err(Error::new(ErrorKind::BadData, "the file looks like JSON, not like CSV")
            .with("code", "E_NOT_CSV")
            .with_hint("name it .jsonl or .json, or say what it holds by `format`"));
    }
    Ok(())
}

impl<R: Read> Iterator for CsvReader<R> {
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

#[cfg(test)]
mod tests;

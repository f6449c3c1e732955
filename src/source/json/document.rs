//! Finding the rows of a document by counting brackets, outside of strings.

use transload_core::{Error, ErrorKind, Result};

use super::JsonRow;
use super::value::{Kind, Position, ValueEnd};
use crate::source::content::damaged;

/// Where the scanner stands in the document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the first byte that is not blank.
    #[default]
    Start,
    /// In the list, where a row or its end may come.
    First,
    /// In the list, after a comma.
    Next,
    /// In the list, after a row.
    After,
    /// Between objects that stand one after the other.
    Between,
    /// Behind the end of the list.
    End,
    /// In a row.
    Row,
}

/// Reads a document block by block; keeps nothing but where it stands.
#[derive(Debug)]
pub(super) struct DocumentScanner {
    place: Place,
    in_list: bool,
    position: Position,
    row: RowStart,
}

/// Where the present row begins, and how its end is found.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowStart {
    pub(super) at: usize,
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) value: ValueEnd,
}

impl RowStart {
    pub(super) fn new(byte: u8, at: usize, position: &Position) -> Self {
        Self { at, line: position.line, column: position.column(at), value: ValueEnd::of(byte) }
    }

    /// The row, which ends before this byte of the buffer.
    pub(super) fn row(&self, end: usize) -> JsonRow {
        JsonRow { range: self.at..end, line: self.line, column: self.column, offset: 0 }
    }
}

impl Default for DocumentScanner {
    fn default() -> Self {
        let position = Position::default();
        Self {
            place: Place::Start,
            in_list: false,
            position,
            row: RowStart::new(b' ', 0, &position),
        }
    }
}

impl DocumentScanner {
    /// The line up to which the input was scanned.
    pub(super) fn line(&self) -> u64 {
        self.position.line
    }

    /// The line at which the present row begins.
    pub(super) fn row_line(&self) -> u64 {
        self.row.line
    }

    /// Tells that the first bytes of the buffer were taken away.
    pub(super) fn forget(&mut self, bytes: usize) {
        self.position.forget(bytes);
        self.row.at = self.row.at.saturating_sub(bytes);
    }

    /// Scans the buffer from `from` on. Returns up to where it holds whole rows.
    pub(super) fn scan(
        &mut self,
        buffer: &[u8],
        from: usize,
        ended: bool,
        rows: &mut Vec<JsonRow>,
    ) -> Result<usize> {
        let mut consumed = 0;
        let mut at = from;
        while at < buffer.len() {
            if self.place == Place::Row {
                if !self.row.value.find(buffer, &mut at, &mut self.position) {
                    break;
                }
                rows.push(self.row.row(at));
                self.place = if self.in_list { Place::After } else { Place::Between };
                consumed = at;
                continue;
            }
            let byte = buffer[at];
            if byte.is_ascii_whitespace() {
                self.position.pass(byte, at);
                at += 1;
                continue;
            }
            match (self.place, byte) {
                (Place::Start, b'[') => {
                    self.in_list = true;
                    self.place = Place::First;
                }
                (Place::First | Place::After, b']') => self.place = Place::End,
                (Place::After, b',') => self.place = Place::Next,
                (Place::Start | Place::Between, _) => self.begin_row(byte, at),
                (Place::First | Place::Next, byte) if !matches!(byte, b',' | b']') => {
                    self.begin_row(byte, at)
                }
                (Place::After | Place::End, 0) => {
                    return Err(damaged().with("line", self.position.line));
                }
                (Place::First | Place::Next, _) => {
                    return Err(self.refuse("a row is missing in the list", SYNTAX, at));
                }
                (Place::After, _) => {
                    return Err(self.refuse("expected a comma or the end of the list", SYNTAX, at));
                }
                (Place::End, _) => {
                    let reason = "there is more behind the end of the list";
                    return Err(self.refuse(reason, "E_JSON_TRAILING", at));
                }
                (Place::Row, _) => continue,
            }
            if self.place != Place::Row {
                at += 1;
            }
        }
        if self.place != Place::Row {
            consumed = buffer.len();
        } else if ended {
            if self.row.value.kind == Kind::Word && !self.in_list {
                rows.push(self.row.row(buffer.len()));
                self.place = Place::Between;
                return Ok(buffer.len());
            }
            return Err(self
                .refuse("the document ends in the middle of a row", EOF, buffer.len())
                .with("row at line", self.row.line));
        }
        if ended && matches!(self.place, Place::First | Place::Next | Place::After) {
            return Err(self.refuse("the document ends before its list does", EOF, buffer.len()));
        }
        Ok(consumed)
    }

    fn begin_row(&mut self, byte: u8, at: usize) {
        self.row = RowStart::new(byte, at, &self.position);
        self.place = Place::Row;
    }

    fn refuse(&self, reason: &'static str, code: &'static str, at: usize) -> Error {
        not_a_document(reason, code, &self.position, at)
    }
}

/// What is wrong with a document at this byte of the buffer.
pub(super) fn not_a_document(
    reason: &'static str,
    code: &'static str,
    position: &Position,
    at: usize,
) -> Error {
    Error::new(ErrorKind::BadData, "the document is not JSON")
        .with("reason", reason)
        .with("code", code)
        .with("line", position.line)
        .with("column", position.column(at))
}

/// The code of a document that was cut.
pub(super) const EOF: &str = "E_JSON_EOF";
/// The code of a document that is wrong.
pub(super) const SYNTAX: &str = "E_JSON_SYNTAX";

/// Whether a line that begins with an object has all of it.
pub(super) fn object_is_whole(line: &[u8]) -> bool {
    ValueEnd::of(b'{').find(line, &mut 0, &mut Position::default())
}

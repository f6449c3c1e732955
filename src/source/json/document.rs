//! Finding the rows of a document by counting brackets, outside of strings.

use transload_core::{Error, ErrorKind, Result};

use super::JsonRow;

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
    Row(Kind),
}

/// How a row ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// With the bracket that closes the first one.
    Brackets,
    /// With its quote.
    Text,
    /// Before a blank, a comma or a bracket.
    Word,
}

/// Reads a document block by block; keeps nothing but where it stands.
#[derive(Debug)]
pub(super) struct DocumentScanner {
    place: Place,
    in_list: bool,
    depth: usize,
    in_string: bool,
    escaped: bool,
    line: u64,
    /// Bytes of the present line in blocks that are gone; the line begins in the buffer where it is 0 or less.
    line_start: i64,
    row_start: usize,
    row_line: u64,
    row_column: u64,
}

impl Default for DocumentScanner {
    fn default() -> Self {
        Self {
            place: Place::Start,
            in_list: false,
            depth: 0,
            in_string: false,
            escaped: false,
            line: 1,
            line_start: 0,
            row_start: 0,
            row_line: 1,
            row_column: 1,
        }
    }
}

impl DocumentScanner {
    /// The line at which the present row begins.
    pub(super) fn row_line(&self) -> u64 {
        self.row_line
    }

    /// Tells that the first bytes of the buffer were taken away.
    pub(super) fn forget(&mut self, bytes: usize) {
        self.line_start -= bytes as i64;
        self.row_start = self.row_start.saturating_sub(bytes);
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
            if let Place::Row(kind) = self.place {
                let Some(end) = self.row_end(buffer, &mut at, kind) else { break };
                rows.push(JsonRow {
                    range: self.row_start..end,
                    line: self.row_line,
                    column: self.row_column,
                    offset: 0,
                });
                self.place = if self.in_list { Place::After } else { Place::Between };
                consumed = end;
                continue;
            }
            let byte = buffer[at];
            if byte.is_ascii_whitespace() {
                self.blank(byte, at);
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
                (Place::First | Place::Next, _) => {
                    return Err(self.refuse("a row is missing in the list", at));
                }
                (Place::After, _) => {
                    return Err(self.refuse("expected a comma or the end of the list", at));
                }
                (Place::End, _) => {
                    return Err(self.refuse("there is more behind the end of the list", at));
                }
                (Place::Row(_), _) => continue,
            }
            if !matches!(self.place, Place::Row(_)) {
                at += 1;
            }
        }
        if !matches!(self.place, Place::Row(_)) {
            consumed = buffer.len();
        } else if ended {
            if self.place == Place::Row(Kind::Word) && !self.in_list {
                rows.push(JsonRow {
                    range: self.row_start..buffer.len(),
                    line: self.row_line,
                    column: self.row_column,
                    offset: 0,
                });
                self.place = Place::Between;
                return Ok(buffer.len());
            }
            return Err(self
                .refuse("the document ends in the middle of a row", buffer.len())
                .with("row at line", self.row_line));
        }
        if ended && matches!(self.place, Place::First | Place::Next | Place::After) {
            return Err(self.refuse("the document ends before its list does", buffer.len()));
        }
        Ok(consumed)
    }

    fn begin_row(&mut self, byte: u8, at: usize) {
        self.row_start = at;
        self.row_line = self.line;
        self.row_column = (at as i64 - self.line_start + 1) as u64;
        self.depth = 0;
        self.in_string = false;
        self.escaped = false;
        self.place = Place::Row(match byte {
            b'{' | b'[' => Kind::Brackets,
            b'"' => Kind::Text,
            _ => Kind::Word,
        });
    }

    /// Reads on to the end of the row, or to the end of the buffer.
    fn row_end(&mut self, buffer: &[u8], at: &mut usize, kind: Kind) -> Option<usize> {
        while let Some(&byte) = buffer.get(*at) {
            if kind == Kind::Word
                && (byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}'))
                && *at > self.row_start
            {
                return Some(*at);
            }
            *at += 1;
            if byte == b'\n' {
                self.blank(byte, *at - 1);
            }
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                } else if byte == b'\\' {
                    self.escaped = true;
                } else if byte == b'"' {
                    self.in_string = false;
                    if kind == Kind::Text {
                        return Some(*at);
                    }
                }
                continue;
            }
            match byte {
                b'"' if kind != Kind::Word => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 && kind == Kind::Brackets {
                        return Some(*at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn blank(&mut self, byte: u8, at: usize) {
        if byte == b'\n' {
            self.line += 1;
            self.line_start = at as i64 + 1;
        }
    }

    fn refuse(&self, reason: &'static str, at: usize) -> Error {
        Error::new(ErrorKind::BadData, "the document is not JSON")
            .with("reason", reason)
            .with("line", self.line)
            .with("column", at as i64 - self.line_start + 1)
    }
}

/// Whether a line that begins with an object has all of it.
pub(super) fn object_is_whole(line: &[u8]) -> bool {
    let mut scanner = DocumentScanner::default();
    scanner.begin_row(b'{', 0);
    scanner.row_end(line, &mut 0, Kind::Brackets).is_some()
}

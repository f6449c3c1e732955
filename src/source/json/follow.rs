//! Finding the rows at a path inside documents. What is not on the path is passed over; what is held is one frame for each
//! level of the path, however large and deep the document is.

use transload_core::{Error, ErrorKind, Result};

use super::JsonRow;
use super::document::{EOF, RowStart, SYNTAX, not_a_document};
use super::path::{JsonPath, Step};
use super::value::{Kind, Position};
use crate::source::content::damaged;

/// Keys that an error names.
const SHOWN_KEYS: usize = 20;
/// Characters of a key that an error shows.
const SHOWN_CHARS: usize = 60;
/// Bytes of a key that are held. A longer one is on no path.
const KEY_BYTES: usize = 64 << 10;

/// Where the scanner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between documents.
    Top,
    /// Before the first key of an object, or its end.
    FirstKey,
    /// Before a key.
    NextKey,
    /// In a key.
    Key {
        escaped: bool,
    },
    Colon,
    /// Before the value of a member.
    Member,
    /// Before the first element of a list, or its end.
    FirstElement,
    /// Before an element.
    NextElement,
    /// Behind a value, in a container.
    After,
    /// In a value off the path.
    Off,
    /// In a row.
    Row,
}

/// A container on the path.
#[derive(Debug)]
struct Frame {
    is_list: bool,
    /// The step that chooses among its values; none where all are rows.
    step: Option<usize>,
    /// Elements so far.
    index: usize,
    /// Whether the step has found its value.
    found: bool,
    /// The first keys.
    keys: Vec<String>,
}

/// Reads documents that stand one after the other, block by block.
#[derive(Debug)]
pub(super) struct PathScanner {
    path: JsonPath,
    place: Place,
    frames: Vec<Frame>,
    key: Vec<u8>,
    key_is_long: bool,
    position: Position,
    row: RowStart,
    /// Whether a document came.
    has_document: bool,
    /// Whether the path led to something.
    has_found: bool,
    /// Where a path with `*` led to nothing, what was said of it.
    missed: Option<Error>,
}

impl PathScanner {
    pub(super) fn new(path: JsonPath) -> Self {
        let position = Position::default();
        Self {
            path,
            place: Place::Top,
            frames: Vec::new(),
            key: Vec::new(),
            key_is_long: false,
            position,
            row: RowStart::new(b' ', 0, &position),
            has_document: false,
            has_found: false,
            missed: None,
        }
    }

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

    /// Scans the buffer from `from` on. Returns up to where nothing of it is needed but the rows.
    pub(super) fn scan(
        &mut self,
        buffer: &[u8],
        from: usize,
        ended: bool,
        rows: &mut Vec<JsonRow>,
    ) -> Result<usize> {
        let mut at = from;
        while at < buffer.len() {
            match self.place {
                Place::Row | Place::Off => {
                    if !self.row.value.find(buffer, &mut at, &mut self.position) {
                        break;
                    }
                    self.end_value(buffer, at, rows);
                }
                Place::Key { escaped } => {
                    self.key_byte(buffer[at], escaped);
                    self.position.pass(buffer[at], at);
                    at += 1;
                }
                _ => {
                    let byte = buffer[at];
                    if byte.is_ascii_whitespace() {
                        self.position.pass(byte, at);
                        at += 1;
                    } else if self.structure(byte, at)? {
                        at += 1;
                    }
                }
            }
        }
        if ended {
            self.end(buffer, rows)?;
        }
        Ok(if self.place == Place::Row { self.row.at } else { buffer.len() })
    }

    /// The end of the input.
    fn end(&mut self, buffer: &[u8], rows: &mut Vec<JsonRow>) -> Result<()> {
        let ends_here = matches!(self.place, Place::Row | Place::Off)
            && self.frames.is_empty()
            && self.row.value.kind == Kind::Word;
        if ends_here {
            self.end_value(buffer, buffer.len(), rows);
        }
        if self.place == Place::Row {
            let reason = "the document ends in the middle of a row";
            return Err(self.refuse(reason, EOF, buffer.len()).with("row at line", self.row.line));
        }
        if self.place != Place::Top {
            return Err(self.refuse("the document ends before it is complete", EOF, buffer.len()));
        }
        if !self.has_document {
            return Err(self.refuse("the document is empty", EOF, buffer.len()));
        }
        match self.missed.take() {
            Some(missed) if !self.has_found => Err(missed),
            _ => Ok(()),
        }
    }

    /// Takes a byte that is not in a value. Returns whether it is dealt with; else it begins a value.
    fn structure(&mut self, byte: u8, at: usize) -> Result<bool> {
        match (self.place, byte) {
            (_, 0) => return Err(damaged().with("line", self.position.line)),
            (Place::FirstKey, b'}') | (Place::FirstElement, b']') => self.close()?,
            (Place::FirstKey | Place::NextKey, b'"') => {
                self.key.clear();
                self.key_is_long = false;
                self.place = Place::Key { escaped: false };
            }
            (Place::FirstKey | Place::NextKey, _) => {
                return Err(self.refuse("expected a key in quotes", SYNTAX, at));
            }
            (Place::Colon, b':') => self.place = Place::Member,
            (Place::Colon, _) => return Err(self.refuse("expected a colon", SYNTAX, at)),
            (Place::After, _) => {
                let is_list = self.frames.last().is_some_and(|frame| frame.is_list);
                match (byte, is_list) {
                    (b',', true) => self.place = Place::NextElement,
                    (b',', false) => self.place = Place::NextKey,
                    (b']', true) | (b'}', false) => self.close()?,
                    _ => return Err(self.refuse("expected a comma or the end", SYNTAX, at)),
                }
            }
            (_, b',' | b':' | b']' | b'}') => {
                return Err(self.refuse("a value is missing", SYNTAX, at));
            }
            _ => return self.begin_value(byte, at),
        }
        Ok(true)
    }

    /// A value begins. Returns whether its first byte is dealt with: where it is a container on the path.
    fn begin_value(&mut self, byte: u8, at: usize) -> Result<bool> {
        self.has_document = true;
        let step = match self.frames.last().map(|frame| frame.step) {
            None => Some(0),
            Some(None) => Some(self.path.steps.len()),
            Some(Some(step)) => self.is_wanted(step, at)?.then_some(step + 1),
        };
        self.row = RowStart::new(byte, at, &self.position);
        let Some(step) = step else {
            self.place = Place::Off;
            return Ok(false);
        };
        let is_row = self.frames.last().is_some_and(|frame| frame.step.is_none());
        let list_is_row = self.path.steps.last() == Some(&Step::Any);
        if step == self.path.steps.len() {
            self.has_found = true;
            if byte == b'[' && !is_row && !list_is_row {
                self.open(true, None);
                return Ok(true);
            }
            self.place = Place::Row;
            return Ok(false);
        }
        let fits = match (&self.path.steps[step], byte) {
            (Step::Any | Step::Key(_), b'{') | (Step::Any | Step::Index(_), b'[') => true,
            (Step::Key(key), b'[') => key.parse::<usize>().is_ok(),
            _ => false,
        };
        if fits {
            self.open(byte == b'[', Some(step));
            return Ok(true);
        }
        let found = match byte {
            b'{' => "an object",
            b'[' => "a list",
            b'"' => "a text",
            b'n' => "null",
            b't' | b'f' => "a bool",
            _ => "a number",
        };
        let missing = self.missing(step).with("found there", found);
        self.miss(
            step,
            match byte {
                b'[' => missing.with_hint("a list is entered with `[*]`, or with a number: `[0]`"),
                _ => missing,
            },
        )?;
        self.place = Place::Off;
        Ok(false)
    }

    /// Whether the value that begins is the one, or one of those, that a step chooses.
    fn is_wanted(&mut self, step: usize, at: usize) -> Result<bool> {
        let Some(frame) = self.frames.last_mut() else { return Ok(false) };
        let index = frame.index;
        frame.index += 1;
        let is_wanted = match &self.path.steps[step] {
            Step::Any => true,
            Step::Index(wanted) => *wanted == index,
            Step::Key(wanted) if frame.is_list => wanted.parse() == Ok(index),
            Step::Key(wanted) => {
                let key = if self.key_is_long { None } else { decode(&self.key) };
                if frame.keys.len() < SHOWN_KEYS {
                    let shown = key.as_deref().unwrap_or("…").chars().take(SHOWN_CHARS);
                    frame.keys.push(shown.collect());
                }
                key.as_ref() == Some(wanted)
            }
        };
        if is_wanted && frame.found && !frame.is_list && self.path.steps[step] != Step::Any {
            let reason = "a key on the path stands in its object twice";
            return Err(self.refuse(reason, "E_JSON_DUP_KEY", at).with("path", &self.path));
        }
        frame.found |= is_wanted;
        Ok(is_wanted)
    }

    fn open(&mut self, is_list: bool, step: Option<usize>) {
        self.frames.push(Frame { is_list, step, index: 0, found: false, keys: Vec::new() });
        self.place = if is_list { Place::FirstElement } else { Place::FirstKey };
    }

    /// A container on the path ends.
    fn close(&mut self) -> Result<()> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        self.place = if self.frames.is_empty() { Place::Top } else { Place::After };
        let Some(step) = frame.step else { return Ok(()) };
        if self.path.steps[step] == Step::Any {
            // A container without values has no rows, and that is no mistake in the path.
            self.has_found |= frame.index == 0;
            return Ok(());
        }
        if frame.found {
            return Ok(());
        }
        let missing = self.missing(step);
        self.miss(
            step,
            if frame.is_list {
                missing.with("elements there", frame.index)
            } else {
                let more = if frame.index > frame.keys.len() { ", …" } else { "" };
                missing.with("keys there", format!("{}{more}", frame.keys.join(", ")))
            },
        )
    }

    fn missing(&self, step: usize) -> Error {
        let name = match &self.path.steps[step] {
            Step::Key(key) => key.clone(),
            Step::Index(index) => format!("[{index}]"),
            Step::Any => "[*]".to_owned(),
        };
        Error::new(ErrorKind::BadData, "the path to the rows leads to nothing in this document")
            .with("code", "E_JSON_PATH")
            .with("path", &self.path)
            .with("missing", name)
            .with("line", self.position.line)
            .with_hint("look at the keys of the document: jq 'keys' FILE")
    }

    /// Where a `*` stands before, some of many values may lack what the path asks for, only not all.
    fn miss(&mut self, step: usize, error: Error) -> Result<()> {
        if !self.path.steps[..step].contains(&Step::Any) {
            return Err(error);
        }
        self.missed.get_or_insert(error);
        Ok(())
    }

    fn key_byte(&mut self, byte: u8, escaped: bool) {
        if !escaped && byte == b'"' {
            self.place = Place::Colon;
            return;
        }
        self.place = Place::Key { escaped: !escaped && byte == b'\\' };
        if self.key.len() < KEY_BYTES {
            self.key.push(byte);
        } else {
            self.key_is_long = true;
        }
    }

    fn end_value(&mut self, buffer: &[u8], end: usize, rows: &mut Vec<JsonRow>) {
        if self.place == Place::Row {
            // An answer without rows has null instead of its list.
            let is_row = self.frames.last().is_some_and(|frame| frame.step.is_none());
            if is_row || &buffer[self.row.at..end] != b"null" {
                rows.push(self.row.row(end));
            }
        }
        self.place = if self.frames.is_empty() { Place::Top } else { Place::After };
    }

    fn refuse(&self, reason: &'static str, code: &'static str, at: usize) -> Error {
        not_a_document(reason, code, &self.position, at)
    }
}

/// A key as it is meant; none where it is no text.
fn decode(raw: &[u8]) -> Option<String> {
    if !raw.contains(&b'\\') {
        return String::from_utf8(raw.to_vec()).ok();
    }
    let quoted = [b"\"", raw, b"\""].concat();
    serde_json::from_slice(&quoted).ok()
}

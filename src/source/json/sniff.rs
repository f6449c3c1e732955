//! What an input is, told from its beginning.

use transload_core::{Error, ErrorKind, Result};

use super::JsonShape;
use super::document::object_is_whole;
use crate::source::compress::inner_name;
use crate::source::content::{LOOK, UTF8_MARK, looks_like_html, refuse_foreign};

/// How the rows of an input stand. `skip` is the length of the byte order mark.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Lines {
        skip: usize,
    },
    Document {
        skip: usize,
    },
    /// More must be read to tell.
    More,
}

/// Bytes that tell the formats that have their magic bytes at the beginning.
const MAGIC: usize = 16;

/// The code of an input that is something else.
const CODE: &str = "E_NOT_JSONL";

/// Looks at the beginning of an input.
///
/// # Errors
/// [`ErrorKind::BadData`] where it is no JSON in UTF-8.
pub(super) fn look(start: &[u8], ended: bool, shape: &JsonShape, origin: &str) -> Result<Found> {
    if start.len() < MAGIC && !ended {
        return Ok(Found::More);
    }
    refuse_foreign(start, "JSON in UTF-8", CODE)?;
    let skip = if start.starts_with(UTF8_MARK) { UTF8_MARK.len() } else { 0 };
    let text = &start[skip..];
    let Some(first) = text.iter().find(|byte| !byte.is_ascii_whitespace()) else {
        if ended && *shape != JsonShape::Auto {
            return Err(Error::new(ErrorKind::BadData, "the document is empty")
                .with("code", "E_JSON_EOF")
                .with_hint("it was cut short; a document without rows is `[]`"));
        }
        return Ok(if ended { Found::Lines { skip } } else { Found::More });
    };
    if *first == b'<' {
        return Err(looks_like_html(CODE));
    }
    if !matches!(first, b'{' | b'[' | b'"') && start.len() < LOOK && !ended {
        return Ok(Found::More);
    }
    if !may_begin_json(*first) {
        return Err(not_json(text));
    }
    match (shape, first) {
        (JsonShape::Document | JsonShape::Path(_), &RECORD_SEPARATOR) => {
            Err(text_sequence().with("line", 1))
        }
        (JsonShape::Document | JsonShape::Path(_), _) | (JsonShape::Auto, b'[') => {
            Ok(Found::Document { skip })
        }
        (JsonShape::Auto, b'{') => lines_or_document(text, skip, ended, origin),
        (JsonShape::Auto, _) => Ok(Found::Lines { skip }),
    }
}

/// Whether a JSON text, or what a person may take for one, begins with this byte: what is nearly JSON is for the parser to
/// refuse, row by row.
fn may_begin_json(byte: u8) -> bool {
    matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | RECORD_SEPARATOR)
}

/// Where each line of a file would be refused, the file is.
fn not_json(text: &[u8]) -> Error {
    let start = text.len() - text.trim_ascii_start().len();
    let before = &text[..start];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Error::new(ErrorKind::BadData, "the file does not look like JSON lines")
        .with("code", CODE)
        .with("line", before.iter().filter(|byte| **byte == b'\n').count() + 1)
        .with("column", start - line_start + 1)
        .with_hint("each line must be a JSON object; a file of another format needs the ending of that format")
}

/// What stands before each text of a JSON text sequence (RFC 7464).
pub(super) const RECORD_SEPARATOR: u8 = 0x1e;

pub(super) fn text_sequence() -> Error {
    Error::new(ErrorKind::BadData, "a record separator stands before the row")
        .with("code", "E_JSON_CTRL")
        .with_hint("the file is a JSON text sequence (RFC 7464); make lines of it: tr -d '\\036'")
}

/// An object at the beginning is the first of many lines if it ends with its line.
fn lines_or_document(text: &[u8], skip: usize, ended: bool, origin: &str) -> Result<Found> {
    let line_start = text.len() - text.trim_ascii_start().len();
    let line_end =
        text[line_start..].iter().position(|byte| *byte == b'\n').map(|at| line_start + at);
    let Some(line_end) = line_end else {
        return Ok(if ended { Found::Lines { skip } } else { Found::More });
    };
    if object_is_whole(&text[line_start..line_end]) {
        return Ok(Found::Lines { skip });
    }
    let goes_on = !text[line_end..].trim_ascii().is_empty();
    if !goes_on {
        return Ok(if ended { Found::Lines { skip } } else { Found::More });
    }
    if says_lines(origin) {
        // A row that is cut is for the parser to refuse, if rows follow.
        let next = text[line_end..].trim_ascii_start().split(|byte| *byte == b'\n').next();
        if next.is_some_and(|line| line.starts_with(b"{") && object_is_whole(line)) {
            return Ok(Found::Lines { skip });
        }
        return Err(Error::new(
            ErrorKind::BadData,
            "the file looks like pretty-printed JSON, not JSON lines",
        )
        .with("code", CODE)
        .with("line", 1)
        .with_hint("give it the ending .json, or write each row on one line: jq -c . FILE"));
    }
    Ok(Found::Document { skip })
}

/// Whether the name of the file promises JSON lines.
fn says_lines(origin: &str) -> bool {
    let name = inner_name(origin);
    [".jsonl", ".ndjson", ".ldjson"].iter().any(|ending| name.ends_with(ending))
}

//! What an input is, told from its beginning.

use transload_core::{Error, ErrorKind, Result};

use super::JsonShape;
use super::document::object_is_whole;

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

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Looks at the beginning of an input.
///
/// # Errors
/// [`ErrorKind::BadData`] where it is no JSON in UTF-8.
pub(super) fn look(start: &[u8], ended: bool, shape: JsonShape, origin: &str) -> Result<Found> {
    if start.len() < 4 && !ended {
        return Ok(Found::More);
    }
    if let Some(encoding) = foreign_encoding(start) {
        return Err(Error::new(ErrorKind::BadData, "the file is not UTF-8")
            .with("encoding", encoding)
            .with_hint("save the file as UTF-8, or convert it with iconv"));
    }
    if start.starts_with(b"\x1f\x8b") || start.starts_with(b"\x28\xb5\x2f\xfd") {
        return Err(Error::new(
            ErrorKind::BadData,
            "the file is compressed, but its name does not say so",
        )
        .with_hint("unpack it first: `gzip -d`, `zstd -d`; compressed files cannot be read yet"));
    }
    let skip = if start.starts_with(UTF8_MARK) { UTF8_MARK.len() } else { 0 };
    let text = &start[skip..];
    let Some(first) = text.iter().find(|byte| !byte.is_ascii_whitespace()) else {
        if ended && shape == JsonShape::Document {
            return Err(Error::new(ErrorKind::BadData, "the document is empty")
                .with_hint("it was cut short; a document without rows is `[]`"));
        }
        return Ok(if ended { Found::Lines { skip } } else { Found::More });
    };
    if *first == b'<' {
        return Err(Error::new(ErrorKind::BadData, "the file looks like HTML or XML, not JSON")
            .with_hint("look into the file: a web server may have answered with an error page"));
    }
    match (shape, first) {
        (JsonShape::Document, _) | (JsonShape::Auto, b'[') => Ok(Found::Document { skip }),
        (JsonShape::Auto, b'{') => lines_or_document(text, skip, ended, origin),
        (JsonShape::Auto, _) => Ok(Found::Lines { skip }),
    }
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
        return Err(Error::new(
            ErrorKind::BadData,
            "the file looks like pretty-printed JSON, not JSON lines",
        )
        .with("line", 1)
        .with_hint("give it the ending .json, or write each row on one line: jq -c . FILE"));
    }
    Ok(Found::Document { skip })
}

/// Whether the name of the file promises JSON lines.
fn says_lines(origin: &str) -> bool {
    let name = origin.to_ascii_lowercase();
    let name = [".gz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    [".jsonl", ".ndjson", ".ldjson"].iter().any(|ending| name.ends_with(ending))
}

/// UTF-16 and UTF-32, by their mark or by the zeros between ASCII characters.
fn foreign_encoding(start: &[u8]) -> Option<&'static str> {
    Some(match start {
        [0xff, 0xfe, 0, 0, ..] => "UTF-32, little endian",
        [0, 0, 0xfe, 0xff, ..] => "UTF-32, big endian",
        [0xff, 0xfe, ..] => "UTF-16, little endian",
        [0xfe, 0xff, ..] => "UTF-16, big endian",
        [1..=255, 0, 0, 0, ..] => "UTF-32, little endian",
        [0, 0, 0, 1..=255, ..] => "UTF-32, big endian",
        [1..=255, 0, ..] => "UTF-16, little endian",
        [0, 1..=255, ..] => "UTF-16, big endian",
        _ => return None,
    })
}

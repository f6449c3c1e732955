//! What all readers of text ask: is it text, and if not, what is it.

use std::io::{self, ErrorKind as IoKind};

use transload_core::{Error, ErrorKind, Result};

/// The mark that some programs put before UTF-8.
pub(super) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Refuses what is plainly no text in UTF-8 of which `code` (`E_NOT_JSONL`, `E_NOT_CSV`) could be asked. Four bytes are
/// enough to tell most kinds, [`LOOK`] to tell all.
pub(super) fn refuse_foreign(start: &[u8], expected: &str, code: &'static str) -> Result<()> {
    if start.first() == Some(&0) && start.iter().all(|byte| *byte == 0) {
        return Err(damaged());
    }
    if let Some(encoding) = foreign_encoding(start) {
        return Err(Error::new(ErrorKind::BadData, "the file is not UTF-8")
            .with("code", "E_ENCODING")
            .with("encoding", encoding)
            .with_hint("save the file as UTF-8, or convert it with iconv"));
    }
    if let Some(kind) = packed(start) {
        return Err(Error::new(ErrorKind::BadData, "the file holds compressed content")
            .with("code", code)
            .with("content", kind)
            .with("expected", expected)
            .with_hint("one layer of gzip or zstd is opened, and nothing else; unpack it first"));
    }
    let format = match start {
        [b'P', b'A', b'R', b'1', ..] => "Parquet",
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => "Arrow IPC",
        [b'%', b'P', b'D', b'F', b'-', ..] => "PDF",
        [b'S', b'Q', b'L', b'i', b't', b'e', b' ', ..] => "SQLite",
        _ if is_tar(start) => "a tar archive",
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::BadData, "the file is of another format")
        .with("code", code)
        .with("format", format)
        .with("expected", expected)
        .with_hint("give the file the ending that belongs to its format, or convert it"))
}

/// Refuses a page where data should be. `start` begins with what is not blank.
pub(super) fn refuse_html(start: &[u8], code: &'static str) -> Result<()> {
    let begins = |tag: &str| {
        start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
    };
    if ["<!doctype", "<html", "<?xml", "<head", "<body"].into_iter().any(begins) {
        return Err(looks_like_html(code));
    }
    Ok(())
}

pub(super) fn looks_like_html(code: &'static str) -> Error {
    Error::new(ErrorKind::BadData, "the file looks like HTML or XML, not like data")
        .with("code", code)
        .with_hint("look into the file: a web server may have answered with an error page")
}

/// Bytes that [`refuse_foreign`] wants to see at most.
pub(super) const LOOK: usize = 262;

/// What has other magic bytes than text that is compressed, and how one calls it.
pub(super) fn packed(start: &[u8]) -> Option<&'static str> {
    Some(match start {
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => "a zip archive",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "xz",
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => "a 7z archive",
        [b'R', b'a', b'r', b'!', 0x1a, 7, ..] => "a rar archive",
        [4, 0x22, 0x4d, 0x18, ..] => "lz4",
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', b'&', b'S', b'Y', ..] => "bzip2",
        [0x1f, 0x9d, ..] => "compress (.Z)",
        _ => return None,
    })
}

fn is_tar(start: &[u8]) -> bool {
    start.get(257..262) == Some(b"ustar")
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

/// NUL bytes at the end: a file system that lost power gives a file its length before its blocks, and what was not
/// written reads as zeros. How many rows stood there cannot be told.
pub(super) fn damaged() -> Error {
    Error::new(ErrorKind::BadData, "the file is padded with NUL bytes: it was damaged")
        .with("code", "E_FILE_DAMAGED")
        .with_hint("fetch the file again from where it was made; what stood in the padding is lost")
}

/// An error of reading as one of ours. What a reader of ours has wrapped into it is taken out again, with its code.
pub(crate) fn unreadable(error: io::Error, origin: &str) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(error) if error.context("file").is_some() => return error,
        Ok(error) => return error.with("file", origin),
        Err(error) => error,
    };
    let kind = match error.kind() {
        // A decoder says so of what it cannot decode.
        IoKind::InvalidData | IoKind::InvalidInput | IoKind::UnexpectedEof => ErrorKind::BadData,
        _ => ErrorKind::Terminal,
    };
    Error::new(kind, "the file cannot be read").with("file", origin).with_source(error)
}

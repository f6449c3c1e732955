//! Opening one layer of gzip or zstd. The content says what it is, not the name.
//!
//! Memory is bounded by the decoders' windows (32 KiB for gzip, up to 128 MiB for zstd), never by what is unpacked.

mod archive;
mod gzip;
mod zstd;

use std::io::{self, BufReader, Cursor, Read};

use transload_core::{Error, ErrorKind, Result};

use super::content::{packed, unreadable};
use super::warnings::Warnings;

/// How far content may grow when it is unpacked. What grows more is a bomb: a small file made to fill memory or disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnpackLimits {
    /// Bytes out for each byte in. Deflate reaches 1032 at most, and only with one byte repeated.
    pub(crate) max_ratio: u64,
    /// Bytes out that are never held against the ratio.
    pub(crate) free_bytes: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self { max_ratio: 1000, free_bytes: 16 << 20 }
    }
}

/// How an input is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    Plain,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
}

/// An input of which one layer was opened.
pub(crate) struct Unpacked {
    /// The content.
    pub(crate) reader: Box<dyn Read + Send>,
}

/// Opens an input, whatever its name says. What the name says wrongly becomes a warning. Errors that are found while the
/// content is read stand in the [`io::Error`]; [`unreadable`] takes them out.
///
/// # Errors
/// [`ErrorKind::BadData`] for an archive and for compression that is not known; what the input fails with.
pub(crate) fn decompress(
    mut reader: impl Read + Send + 'static,
    origin: &str,
    limits: UnpackLimits,
    warnings: &Warnings,
) -> Result<Unpacked> {
    let mut start = Vec::new();
    let mut ended = false;
    while start.len() < 16 && !ended {
        let read = reader.by_ref().take(16 - start.len() as u64).read_to_end(&mut start);
        ended = read.map_err(|error| unreadable(error, origin))? == 0;
    }
    let named = named(origin);
    let found = match (packed(&start), named) {
        (Some("gzip"), _) => Compression::Gzip,
        (Some("zstd"), _) => Compression::Zstd,
        (Some("a zip archive"), _) => {
            let rest = Cursor::new(start).chain(reader);
            return Err(archive::refuse(rest).with("file", origin));
        }
        (Some(kind), _) => {
            return Err(Error::new(
                ErrorKind::BadData,
                "the file is packed in a way not known here",
            )
            .with("code", if kind.ends_with("archive") { "E_ARCHIVE" } else { "E_COMPRESSION" })
            .with("content", kind)
            .with("file", origin)
            .with_hint("unpack it first; gzip and zstd are read as they are"));
        }
        // A frame that zstd skips may stand before the first.
        (None, _) if is_skippable(&start) => Compression::Zstd,
        // No program that packs writes nothing at all, or less than the magic bytes: the file was cut.
        (None, Named::Gzip) if matches!(start[..], [] | [0x1f]) => Compression::Gzip,
        (None, Named::Zstd) if zstd::MAGIC.starts_with(&start) => Compression::Zstd,
        (None, _) => Compression::Plain,
    };
    match (found, named) {
        (Compression::Gzip, Named::Plain | Named::Zstd) => {
            warnings.add("W_GZIP", origin, "the file is gzip, although its name does not say so");
        }
        (Compression::Zstd, Named::Plain | Named::Gzip) => {
            warnings.add("W_ZSTD", origin, "the file is zstd, although its name does not say so");
        }
        (Compression::Plain, Named::Gzip) => {
            warnings.add("W_NOT_GZIP", origin, "the file is not gzip, although its name says so");
        }
        (Compression::Plain, Named::Zstd) => {
            warnings.add("W_NOT_ZSTD", origin, "the file is not zstd, although its name says so");
        }
        _ => {}
    }
    let input = Cursor::new(start).chain(reader);
    let meter = Meter { limits, read: 0, written: 0 };
    let buffered = |input| BufReader::with_capacity(BLOCK, input);
    Ok(Unpacked {
        reader: match found {
            Compression::Plain => Box::new(input),
            Compression::Gzip => Box::new(gzip::GzipReader::new(
                buffered(input),
                meter,
                warnings.clone(),
                origin.into(),
            )),
            Compression::Zstd => Box::new(
                zstd::ZstdReader::new(buffered(input), meter, warnings.clone(), origin.into())
                    .map_err(|error| unreadable(error, origin))?,
            ),
        },
    })
}

/// Bytes that are read at a time.
const BLOCK: usize = 128 << 10;

/// What a name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Gzip,
    Zstd,
    /// A kind of text.
    Plain,
    /// Nothing: the standard input, an address.
    Nothing,
}

fn named(origin: &str) -> Named {
    let name = origin.to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends(&[".gz", ".gzip"]) {
        Named::Gzip
    } else if ends(&[".zst", ".zstd"]) {
        Named::Zstd
    } else if ends(&[".jsonl", ".ndjson", ".ldjson", ".json", ".csv", ".tsv", ".txt"]) {
        Named::Plain
    } else {
        Named::Nothing
    }
}

/// The ending of a name without that of its compression, in lower case: `csv` of `A.CSV.gz`.
pub(crate) fn inner_name(origin: &str) -> String {
    let name = origin.to_ascii_lowercase();
    let inner = [".gz", ".gzip", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end));
    inner.unwrap_or(&name).to_owned()
}

/// Source: RFC 8878, section 3.1.2, "Skippable Frames".
fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Counts what goes in and out, and refuses bombs.
#[derive(Debug)]
struct Meter {
    limits: UnpackLimits,
    read: u64,
    written: u64,
}

impl Meter {
    fn count(&mut self, read: usize, written: usize) -> io::Result<()> {
        self.read += read as u64;
        self.written += written as u64;
        let UnpackLimits { max_ratio, free_bytes } = self.limits;
        if self.written > free_bytes && self.written / max_ratio.max(1) >= self.read.max(1) {
            return Err(wrap(
                bomb(max_ratio)
                    .with("bytes packed", self.read)
                    .with("bytes unpacked", self.written),
            ));
        }
        Ok(())
    }
}

fn bomb(max_ratio: u64) -> Error {
    Error::new(ErrorKind::BadData, "the file grows too much when it is unpacked")
        .with("code", "E_BOMB")
        .with("max_ratio", max_ratio)
        .with_hint(
            "if the file is what it should be, unpack it first, or raise `max_unpack_ratio` under \
             `[sources.filesystem]`",
        )
}

/// What is wrong with packed content; `at` is the byte of the file, packed.
fn broken(message: &'static str, code: &'static str, at: u64) -> Error {
    Error::new(ErrorKind::BadData, message)
        .with("code", code)
        .with("byte", at)
        .with_hint("fetch the file again from where it was made; nothing of it was loaded")
}

fn wrap(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;

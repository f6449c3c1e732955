//! Archives are never unpacked; what is said of one names what would be wrong with unpacking it.

use std::collections::BTreeSet;
use std::io::Read;

use transload_core::{Error, ErrorKind};

use super::{UnpackLimits, bomb};

/// Bytes of an archive that are looked through.
const LOOK: u64 = 1 << 20;

/// Says of a zip archive that it is one. Entries that would harm who unpacks it are named.
pub(super) fn refuse(input: impl Read) -> Error {
    let mut bytes = Vec::new();
    // What cannot be read is an archive all the same.
    let _ = input.take(LOOK).read_to_end(&mut bytes);
    let hint = "unpack it first, and name the files that are to be loaded";
    let mut names = BTreeSet::new();
    for entry in entries(&bytes) {
        let name = String::from_utf8_lossy(entry.name).into_owned();
        let refused = |message, code| {
            Error::new(ErrorKind::BadData, message)
                .with("code", code)
                .with("entry", name.escape_debug())
                .with_hint("do not unpack this archive before you know where it comes from")
        };
        if entry.leaves_its_folder() {
            return refused(
                "the file is a zip archive with an entry that leads out of its folder",
                "E_ARCHIVE_PATH",
            );
        }
        let UnpackLimits { max_ratio, .. } = UnpackLimits::default();
        if entry.unpacked / max_ratio > entry.packed {
            return bomb(max_ratio).with("entry", name.escape_debug()).with_hint(hint);
        }
        if !names.insert(entry.name) {
            return refused(
                "the file is a zip archive with two entries of one name",
                "E_ARCHIVE_DUP",
            );
        }
    }
    Error::new(ErrorKind::BadData, "the file is a zip archive")
        .with("code", "E_ARCHIVE")
        .with_hint(hint)
}

struct Entry<'a> {
    name: &'a [u8],
    packed: u64,
    unpacked: u64,
    is_link: bool,
}

impl Entry<'_> {
    fn leaves_its_folder(&self) -> bool {
        let has_drive = matches!(self.name, [b'a'..=b'z' | b'A'..=b'Z', b':', ..]);
        self.is_link
            || has_drive
            || self.name.starts_with(b"/")
            || self.name.contains(&b'\\')
            || self.name.split(|byte| *byte == b'/').any(|part| part == b"..")
    }
}

/// The entries that the central directory lists, as far as it stands in these bytes.
///
/// Source: PKWARE, "APPNOTE.TXT - .ZIP File Format Specification", 4.3.12.
fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    const SIGNATURE: &[u8] = b"PK\x01\x02";
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let start = rest.windows(SIGNATURE.len()).position(|window| window == SIGNATURE)?;
        let entry = &rest[start..];
        let short = |at: usize| Some(u16::from_le_bytes([*entry.get(at)?, *entry.get(at + 1)?]));
        let long = |at: usize| Some(u64::from(short(at)?) | u64::from(short(at + 2)?) << 16);
        let name = entry.get(46..46 + usize::from(short(28)?))?;
        // The upper half of the external attributes is the mode of Unix; its upper four bits are the kind of file.
        let is_link = long(38)? >> 28 == 0o12;
        let found = Entry { name, packed: long(20)?, unpacked: long(24)?, is_link };
        rest = &entry[SIGNATURE.len()..];
        Some(found)
    })
}

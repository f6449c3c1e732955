//! Compressed bytes → bytes, in blocks of any size, with a limit on what comes out.

use std::io::{Cursor, Read as _, Write as _};

use flate2::write::GzEncoder;
use transload_core::{ErrorKind, Result};

use crate::source::Warnings;
use crate::source::compress::{UnpackLimits, decompress};
use crate::source::content::unreadable;

const LIMITS: UnpackLimits = UnpackLimits { max_ratio: 50, free_bytes: 64 << 10 };

/// The first byte says what the input is called.
///
/// # Panics
/// Where the result depends on the size of blocks, where more comes out than the limit allows, and where what was
/// packed does not come out again.
pub fn compressed(bytes: &[u8]) {
    let Some((name, input)) = bytes.split_first() else { return };
    let origin = match name ^ b'0' {
        1 => "rows.jsonl.gz",
        2 => "rows.jsonl.zst",
        3 => "rows.jsonl",
        _ => "rows",
    };
    let whole = unpack(input, origin, 1 << 20);
    let bits = unpack(input, origin, 1);
    match (&whole, &bits) {
        (Ok(whole), Ok(bits)) => assert_eq!(whole, bits, "blocks of one byte"),
        (Err(whole), Err(bits)) => assert_eq!(whole, bits, "blocks of one byte"),
        _ => panic!("blocks of one byte: {whole:?}, {bits:?}"),
    }
    if let Ok(whole) = &whole {
        let limit = LIMITS.free_bytes.max(LIMITS.max_ratio * input.len() as u64) + BLOCK;
        assert!(whole.len() as u64 <= limit, "{} bytes of {}", whole.len(), input.len());
    }
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(input).expect("memory takes all");
    let packed = packed.finish().expect("memory takes all");
    // The limit is one on bombs: a long text of one letter looks like one.
    if input.len() as u64 <= LIMITS.free_bytes {
        assert_eq!(unpack(&packed, "rows.gz", 1 << 16).as_deref(), Ok(input), "packed with gzip");
    }
}

/// What is unpacked before it is counted.
const BLOCK: u64 = 1 << 20;

/// What comes out, or the code of the error.
fn unpack(input: &[u8], origin: &str, block: usize) -> Result<Vec<u8>, String> {
    let read = || -> Result<Vec<u8>> {
        let warnings = Warnings::default();
        let input = Cursor::new(input.to_vec());
        let mut unpacked = decompress(input, origin, LIMITS, &warnings)?;
        let (mut out, mut buffer) = (Vec::new(), vec![0; block]);
        loop {
            match unpacked.reader.read(&mut buffer) {
                Ok(0) => return Ok(out),
                Ok(read) => out.extend_from_slice(&buffer[..read]),
                Err(error) => return Err(unreadable(error, origin)),
            }
        }
    };
    read().map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::BadData, "{error:?}");
        error.context("code").unwrap_or_else(|| panic!("without a code: {error:?}")).to_owned()
    })
}

use std::io::Write as _;

use flate2::write::GzEncoder;

use super::*;

const ROWS: &[u8] = b"{\"id\":1,\"v\":\"ok\"}\n{\"id\":3,\"v\":\"ok\"}\n";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// A reader that gives few bytes at a time.
struct Slow<T> {
    bytes: T,
    at: usize,
    step: usize,
}

impl<T: AsRef<[u8]>> Read for Slow<T> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes.as_ref()[self.at..];
        let length = rest.len().min(self.step).min(out.len());
        out[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}

fn unpack_by(
    bytes: &[u8],
    origin: &str,
    limits: UnpackLimits,
    step: usize,
) -> Result<(Vec<u8>, Vec<&'static str>)> {
    let warnings = Warnings::default();
    let input = Slow { bytes: bytes.to_vec(), at: 0, step };
    let mut unpacked = decompress(input, origin, limits, &warnings)?;
    let mut out = Vec::new();
    let mut block = vec![0; step.max(7)];
    loop {
        match unpacked.reader.read(&mut block).map_err(|error| unreadable(error, origin))? {
            0 => break,
            length => out.extend_from_slice(&block[..length]),
        }
    }
    Ok((out, warnings.take().into_iter().map(|warning| warning.code).collect()))
}

/// The content, which must not depend on the steps in which the input comes.
fn unpack(bytes: &[u8], origin: &str) -> Result<(Vec<u8>, Vec<&'static str>)> {
    let whole = unpack_by(bytes, origin, UnpackLimits::default(), 1 << 20);
    for step in [1, 5] {
        let other = unpack_by(bytes, origin, UnpackLimits::default(), step);
        match (&whole, &other) {
            (Ok(whole), Ok(other)) => assert_eq!(whole, other),
            (Err(whole), Err(other)) => assert_eq!(whole.context("code"), other.context("code")),
            _ => panic!("{whole:?} but in steps of {step} {other:?}"),
        }
    }
    whole
}

fn code(bytes: &[u8], origin: &str) -> String {
    let error = unpack(bytes, origin).unwrap_err();
    assert_eq!((error.kind(), error.context("file")), (ErrorKind::BadData, Some(origin)));
    error.context("code").unwrap().to_owned()
}

#[test]
fn members_and_frames_are_one_content() {
    let (first, second) = ROWS.split_at(9);
    for (pack, name) in [(gzip as fn(&[u8]) -> Vec<u8>, "a.jsonl.gz"), (zstd, "a.jsonl.zst")] {
        let parts = [pack(first), pack(b""), pack(second)].concat();
        assert_eq!(unpack(&parts, name).unwrap(), (ROWS.to_vec(), vec![]));
        assert_eq!(unpack(&pack(b""), name).unwrap(), (vec![], vec![]));
        let large: Vec<u8> =
            (0..300_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        assert_eq!(unpack_by(&pack(&large), name, UnpackLimits::default(), 4096).unwrap().0, large);
    }
    // A frame that a program put there for itself.
    let skippable = [b"\x50\x2a\x4d\x18\x03\0\0\0abc", &zstd(ROWS)[..]].concat();
    assert_eq!(unpack(&skippable, "a.zst").unwrap(), (ROWS.to_vec(), vec![]));
}

#[test]
fn a_header_may_hold_a_name_a_comment_and_more() {
    let mut encoder = flate2::GzBuilder::new()
        .filename("rows.jsonl")
        .comment("rows")
        .extra(vec![7; 300])
        .write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(ROWS).unwrap();
    let bytes = encoder.finish().unwrap();
    assert_eq!(unpack(&bytes, "a.gz").unwrap().0, ROWS);
    assert_eq!(code(&bytes[..100], "a.gz"), "E_GZIP_EOF");

    // With a checksum of its own (FHCRC).
    let plain = gzip(ROWS);
    let mut header = plain[..10].to_vec();
    header[3] = 2;
    let mut crc = flate2::Crc::new();
    crc.update(&header);
    let sum = (crc.sum() as u16).to_le_bytes();
    assert_eq!(unpack(&[&header, &sum[..], &plain[10..]].concat(), "a.gz").unwrap().0, ROWS);
    let wrong = [sum[0] ^ 1, sum[1]];
    assert_eq!(code(&[&header, &wrong[..], &plain[10..]].concat(), "a.gz"), "E_GZIP_CRC");
}

#[test]
fn the_content_says_what_it_is() {
    for (bytes, name, warning) in [
        (gzip(ROWS), "a.jsonl", Some("W_GZIP")),
        (gzip(ROWS), "A.CSV", Some("W_GZIP")),
        (gzip(ROWS), "a.jsonl.zst", Some("W_GZIP")),
        (gzip(ROWS), "standard input", None),
        (zstd(ROWS), "a.jsonl", Some("W_ZSTD")),
        (zstd(ROWS), "a.jsonl.gz", Some("W_ZSTD")),
        (ROWS.to_vec(), "a.jsonl.gz", Some("W_NOT_GZIP")),
        (ROWS.to_vec(), "a.jsonl.zst", Some("W_NOT_ZSTD")),
        (ROWS.to_vec(), "a.jsonl", None),
    ] {
        let expected = (ROWS.to_vec(), warning.into_iter().collect::<Vec<_>>());
        assert_eq!(unpack(&bytes, name).unwrap(), expected, "{name}");
    }
    for name in ["a.jsonl", "a.csv", "standard input"] {
        assert_eq!(unpack(b"", name).unwrap(), (vec![], vec![]));
    }
}

#[test]
fn a_file_that_is_cut_is_refused_wherever_it_is_cut() {
    let two = |pack: fn(&[u8]) -> Vec<u8>| (pack(ROWS), [pack(b"{}\n"), pack(ROWS)].concat());
    for ((one, both), name, expected) in
        [(two(gzip), "a.gz", "E_GZIP_EOF"), (two(zstd), "a.zst", "E_ZSTD_EOF")]
    {
        for end in 0..one.len() {
            assert_eq!(code(&one[..end], name), expected, "{end}");
        }
        let first = both.len() - one.len();
        for end in first + 1..both.len() {
            assert_eq!(code(&both[..end], name), expected, "{end}");
        }
    }
}

#[test]
fn damage_is_found() {
    let good = gzip(ROWS);
    let length = good.len();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= byte;
        bytes
    };
    for (bytes, expected) in [
        (with(length - 8, 1), "E_GZIP_CRC"),
        (with(length - 1, 1), "E_GZIP_DATA"),
        // The flag that says what kind of block this is, to one that there is not.
        (with(10, good[10] & 6 ^ 6), "E_GZIP_DATA"),
        (with(3, 0x80), "E_GZIP_DATA"),
        (with(2, 1), "E_GZIP_DATA"),
    ] {
        assert_eq!(code(&bytes, "a.gz"), expected);
    }
    let good = zstd(ROWS);
    for at in [4, 6, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        assert!(code(&bytes, "a.zst").starts_with("E_ZSTD_"), "{at}");
    }
    let mut checksum = good;
    *checksum.last_mut().unwrap() ^= 1;
    assert_eq!(code(&checksum, "a.zst"), "E_ZSTD_DATA");
    // A frame that says how much it holds, in each of the ways to say it, and ends with a last block of nothing.
    let frame = |layout: &[u8], blocks: &[u8]| [zstd::MAGIC, layout, blocks].concat();
    let (nothing, one) = ([1, 0, 0], [9, 0, 0, b'x']);
    for layout in [
        &[0x20, 64][..],
        &[0x60, 1, 0],
        &[0xa0, 2, 0, 0, 0],
        &[0xe0, 2, 0, 0, 0, 0, 0, 0, 0],
        &[0x80, 8, 2, 0, 0, 0],
    ] {
        for blocks in [&nothing[..], &one] {
            assert_eq!(code(&frame(layout, blocks), "a.zst"), "E_ZSTD_DATA", "{layout:?}");
        }
    }
    assert_eq!(unpack(&frame(&[0x20, 1], &one), "a.zst").unwrap().0, b"x");
    assert_eq!(unpack(&frame(&[0x20, 0], &nothing), "a.zst").unwrap().0, b"");
    assert_eq!(unpack(&frame(&[0, 8], &one), "a.zst").unwrap().0, b"x");
}

#[test]
fn no_flipped_bit_goes_through() {
    for (good, name) in [(gzip(ROWS), "a.gz"), (zstd(ROWS), "a.zst")] {
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // Time and system in a header of gzip say nothing of the content; without its magic bytes a file is plain.
            if let Ok((out, _)) = unpack_by(&bytes, name, UnpackLimits::default(), 1 << 20) {
                assert!(out == ROWS || out == bytes, "{name} {bit}");
            }
        }
    }
}

#[test]
fn padding_is_accepted_and_garbage_is_not() {
    for (packed, name, expected) in
        [(gzip(ROWS), "a.gz", "E_GZIP_TRAILING"), (zstd(ROWS), "a.zst", "E_ZSTD_TRAILING")]
    {
        for zeros in [4, 512, 300_000] {
            let padded = [&packed[..], &vec![0; zeros]].concat();
            let out = unpack_by(&padded, name, UnpackLimits::default(), 4096).unwrap();
            assert_eq!(out, (ROWS.to_vec(), vec!["W_PADDING"]));
        }
        for garbage in [&b"garbage"[..], b"\0\0\0\0\0\0\0\0garbage", b"\n"] {
            assert_eq!(code(&[&packed[..], garbage].concat(), name), expected, "{garbage:?}");
        }
    }
}

#[test]
fn one_layer_is_opened() {
    assert_eq!(unpack(&gzip(&gzip(ROWS)), "a.gz").unwrap().0, gzip(ROWS));
    assert_eq!(unpack(&gzip(&zstd(ROWS)), "a.gz").unwrap().0, zstd(ROWS));
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() {
    let text = vec![b'\n'; 20 << 20];
    for (bomb, name) in [(gzip(&text), "a.gz"), (zstd(&text), "a.zst")] {
        let warnings = Warnings::default();
        let input = Cursor::new(bomb.clone());
        let limits = UnpackLimits::default();
        let mut reader = decompress(input, name, limits, &warnings).unwrap().reader;
        let mut block = vec![0; 1 << 16];
        let mut length = 0;
        let error = loop {
            match reader.read(&mut block) {
                Ok(read) => length += read,
                Err(error) => break unreadable(error, name),
            }
        };
        assert!(length <= limits.free_bytes as usize + block.len());
        assert_eq!(
            (error.context("code"), error.context("max_ratio"), error.context("file")),
            (Some("E_BOMB"), Some("1000"), Some(name))
        );
        let wide = UnpackLimits { max_ratio: 1_000_000, ..limits };
        assert_eq!(unpack_by(&bomb, name, wide, 1 << 20).unwrap().0.len(), text.len());
    }
}

/// A zip archive of stored entries: name, bytes said to be in it unpacked, and mode.
fn zip(entries: &[(&[u8], u32, u32)]) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend_from_slice(&[0; 26]);
    for (name, unpacked, mode) in entries {
        bytes.extend_from_slice(b"PK\x01\x02");
        let mut fields = [0; 42];
        fields[16] = 10;
        fields[20..24].copy_from_slice(&unpacked.to_le_bytes());
        fields[24] = name.len() as u8;
        fields[34..38].copy_from_slice(&(mode << 16).to_le_bytes());
        bytes.extend_from_slice(&fields);
        bytes.extend_from_slice(name);
    }
    bytes
}

#[test]
fn archives_are_refused_for_what_is_wrong_with_them() {
    for (bytes, expected) in [
        (zip(&[(b"a.jsonl", 36, 0o100644)]), "E_ARCHIVE"),
        (zip(&[(b"a.jsonl", 36, 0), (b"a.jsonl", 36, 0)]), "E_ARCHIVE_DUP"),
        (zip(&[(b"ok", 1, 0), (b"../../evil.jsonl", 36, 0)]), "E_ARCHIVE_PATH"),
        (zip(&[(b"/etc/evil", 36, 0)]), "E_ARCHIVE_PATH"),
        (zip(&[(b"..\\evil", 36, 0)]), "E_ARCHIVE_PATH"),
        (zip(&[(b"link", 11, 0o120777)]), "E_ARCHIVE_PATH"),
        (zip(&[(b"a.jsonl", 1 << 20, 0)]), "E_BOMB"),
        (b"PK\x05\x06".to_vec(), "E_ARCHIVE"),
        (b"PK\x03\x04PK\x01\x02PK\x01\x02".to_vec(), "E_ARCHIVE"),
        (b"7z\xbc\xaf\x27\x1c\0\0".to_vec(), "E_ARCHIVE"),
        (b"\xfd7zXZ\0\0\0".to_vec(), "E_COMPRESSION"),
        (b"BZh91AY&SY".to_vec(), "E_COMPRESSION"),
    ] {
        assert_eq!(code(&bytes, "a.jsonl"), expected);
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_behind_magic_bytes_end_well(
        magic in 0..4_usize,
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
    ) {
        let magic: &[u8] = [b"\x1f\x8b\x08\0", MAGIC, b"PK\x03\x04", b""][magic];
        let limits = UnpackLimits { max_ratio: 100, free_bytes: 1 << 16 };
        let input = [magic, &bytes].concat();
        if let Ok((out, _)) = unpack_by(&input, "a.gz", limits, 1 << 12) {
            proptest::prop_assert!(out.len() <= (1 << 16) + (1 << 12) + 100 * input.len());
        }
    }

    #[test]
    fn what_was_packed_comes_out(
        parts in proptest::collection::vec(proptest::collection::vec(0..4_u8, 0..300), 1..4),
        step in 1..50_usize,
    ) {
        for pack in [gzip, zstd] {
            let packed: Vec<u8> = parts.iter().flat_map(|part| pack(part)).collect();
            let out = unpack_by(&packed, "x", UnpackLimits::default(), step).unwrap().0;
            proptest::prop_assert_eq!(out, parts.concat());
        }
    }
}

const MAGIC: &[u8] = super::zstd::MAGIC;

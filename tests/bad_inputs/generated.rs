//! Inputs that are too large to be stored.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::index::Entry;

const GOOD: &str = "{\"id\":1,\"v\":\"ok\"}\n";
const LAST: &str = "{\"id\":3,\"v\":\"ok\"}\n";
const MEBIBYTE: usize = 1 << 20;

/// The bytes of an input.
pub(crate) fn input(entry: &Entry) -> Vec<u8> {
    match std::fs::read(entry.path()) {
        Ok(bytes) => bytes,
        Err(_) => made(&entry.file),
    }
}

fn made(name: &str) -> Vec<u8> {
    match name {
        "values/super_16mb.jsonl" => {
            let item = format!("\"{}\",", "x".repeat(1022));
            between(&format!("{{\"id\":2,\"v\":{{\"a\":[{}\"\"]}}}}\n", item.repeat(16 * 1024)))
        }
        "values/string_100mb.jsonl" => {
            between(&format!("{{\"id\":2,\"v\":\"{}\"}}\n", "x".repeat(100 * MEBIBYTE)))
        }
        "values/row_130mb.jsonl" => {
            between(&format!("{{\"id\":2,\"v\":\"{}\"}}\n", "x".repeat(130 * MEBIBYTE)))
        }
        "structure/depth_10k.jsonl" => between(&nested("[", "]", 10_000)),
        "structure/depth_1m.jsonl" => between(&nested("[", "]", 1_000_000)),
        "structure/depth_1m_objects.jsonl" => between(&nested("{\"a\":", "}", 1_000_000)),
        "structure/depth_1m_open.jsonl" => between(&nested("[", "", 1_000_000)),
        "structure/depth_1m.json" => format!("[{}]", nested("[", "]", 1_000_000)).into_bytes(),
        "structure/keys_5k.jsonl" => {
            let keys: Vec<String> = (0..5_000)
                .map(|n| format!("\"one_long_prefix_for_all_of_them_{n}\":{n}"))
                .collect();
            format!("{{{}}}\n", keys.join(",")).into_bytes()
        }
        "compressed/bomb_spaces.jsonl.gz" => packed(&[b' '; MEBIBYTE], 200),
        "compressed/bomb_one_line.jsonl.gz" => {
            let mut text = packed(b"{\"v\":\"", 1);
            // A second member goes on where the first one ends.
            text.extend(packed(&[b'x'; MEBIBYTE], 200));
            text
        }
        _ => panic!("{name} is neither stored nor made"),
    }
}

/// A row between two good ones.
fn between(row: &str) -> Vec<u8> {
    [GOOD, row, LAST].concat().into_bytes()
}

fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{{\"id\":2,\"a\":{}1{}}}\n", open.repeat(levels), close.repeat(levels))
}

fn packed(block: &[u8], times: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..times {
        encoder.write_all(block).expect("memory takes it");
    }
    encoder.finish().expect("memory takes it")
}

use std::io::ErrorKind as IoKind;

use super::*;

fn read(
    text: &[u8],
    origin: &str,
    shape: JsonShape,
    chunk_bytes: usize,
) -> Result<Vec<(String, u64, u64)>> {
    let mut found = Vec::new();
    // An input that gives few bytes at a time.
    for chunk in JsonReader::new(
        text.chain(&b""[..]),
        origin,
        shape,
        JsonLimits { chunk_bytes, max_row_bytes: 200 },
    ) {
        let chunk = chunk?;
        for row in &chunk.rows {
            let bytes = chunk.bytes[row.range.clone()].to_vec();
            found.push((String::from_utf8(bytes).unwrap(), row.line, row.column));
        }
    }
    Ok(found)
}

/// The rows, whatever the size of a chunk is.
fn rows(text: &str, origin: &str) -> Vec<(String, u64, u64)> {
    let whole = read(text.as_bytes(), origin, JsonShape::Auto, 1 << 20).unwrap();
    for chunk_bytes in 1..text.len().min(40) {
        assert_eq!(
            read(text.as_bytes(), origin, JsonShape::Auto, chunk_bytes).unwrap(),
            whole,
            "{chunk_bytes}"
        );
    }
    whole
}

fn fault(text: &[u8], origin: &str) -> Error {
    let error = read(text, origin, JsonShape::Auto, 1 << 20).unwrap_err();
    for chunk_bytes in [1, 3, 7] {
        let other = read(text, origin, JsonShape::Auto, chunk_bytes).unwrap_err();
        assert_eq!(other.to_string(), error.to_string());
    }
    error
}

fn row(text: &str, line: u64, column: u64) -> (String, u64, u64) {
    (text.to_owned(), line, column)
}

#[test]
fn lines_are_rows() {
    let expected = [row("{\"a\":1}", 1, 1), row("{\"a\":2}", 2, 1)];
    assert_eq!(rows("{\"a\":1}\n{\"a\":2}\n", "f.jsonl"), expected);
    assert_eq!(rows("{\"a\":1}\r\n{\"a\":2}", "f.json"), expected);
    assert_eq!(rows("\u{feff}{\"a\":1}\n{\"a\":2}\r\n\r\n", "-"), expected);
    assert_eq!(
        rows("\n  \n{\"a\":1}\n\n{\"a\":2}", "f"),
        [row("{\"a\":1}", 3, 1), row("{\"a\":2}", 5, 1)]
    );
    for nothing in ["", "\n", " \r\n ", "\u{feff}"] {
        assert_eq!(rows(nothing, "f.jsonl"), []);
    }
}

#[test]
fn the_elements_of_a_list_are_rows() {
    assert_eq!(
        rows("[\n  {\"a\": \"]},\\\"\"},\n  {\"a\": [1, {}]}, 7,\"x,\\\"]\" , null\n]\n", "f.json"),
        [
            row("{\"a\": \"]},\\\"\"}", 2, 3),
            row("{\"a\": [1, {}]}", 3, 3),
            row("7", 3, 19),
            row("\"x,\\\"]\"", 3, 21),
            row("null", 3, 31),
        ]
    );
    assert_eq!(rows("[]", "f.jsonl"), []);
    assert_eq!(rows(" [ ] ", "f.json"), []);
    assert_eq!(rows("[{\"a\":\n1},{}]", "f"), [row("{\"a\":\n1}", 1, 2), row("{}", 2, 4)]);
}

#[test]
fn an_empty_document_was_cut_and_empty_lines_are_no_rows() {
    for text in ["", " \n"] {
        let read = |shape| read(text.as_bytes(), "f.json", shape, 1 << 20);
        assert_eq!(read(JsonShape::Document).unwrap_err().message(), "the document is empty");
        assert!(read(JsonShape::Auto).unwrap().is_empty());
    }
}

#[test]
fn a_document_of_objects_is_rows() {
    let pretty = "{\n  \"a\": {\n    \"b\": 1\n  }\n}";
    assert_eq!(rows(pretty, "f.json"), [row(pretty, 1, 1)]);
    assert_eq!(rows(&format!("{pretty}\n{pretty}\n"), "-"), [row(pretty, 1, 1), row(pretty, 6, 1)]);
}

#[test]
fn pretty_printed_json_is_no_json_lines() {
    for name in ["f.jsonl", "f.ndjson.gz", "F.JSONL"] {
        assert_eq!(
            fault(b"{\n  \"a\": 1\n}\n", name).message(),
            "the file looks like pretty-printed JSON, not JSON lines"
        );
    }
    // A row that is cut off in the middle is for the parser to refuse.
    assert_eq!(rows("{\"a\":", "f.jsonl"), [row("{\"a\":", 1, 1)]);
    assert_eq!(rows("{\"a\":\n", "f.jsonl"), [row("{\"a\":", 1, 1)]);
    assert_eq!(
        rows("{\"a\":\n{\"a\":2}\n", "f.jsonl"),
        [row("{\"a\":", 1, 1), row("{\"a\":2}", 2, 1)]
    );
}

#[test]
fn what_is_not_json_in_utf8_is_refused() {
    for (text, encoding) in [
        (&b"\xff\xfe{\0}\0"[..], "UTF-16, little endian"),
        (b"\xfe\xff\0{\0}", "UTF-16, big endian"),
        (b"{\0\"\0a\0", "UTF-16, little endian"),
        (b"\0{\0\"", "UTF-16, big endian"),
        (b"\xff\xfe\0\0{\0\0\0", "UTF-32, little endian"),
        (b"\0\0\xfe\xff\0\0\0{", "UTF-32, big endian"),
        (b"{\0\0\0", "UTF-32, little endian"),
    ] {
        let error = fault(text, "f.json");
        assert_eq!(
            (error.message(), error.context("encoding"), error.context("code")),
            ("the file is not UTF-8", Some(encoding), Some("E_ENCODING"))
        );
        assert_eq!((error.kind(), error.context("file")), (ErrorKind::BadData, Some("f.json")));
    }
}

#[test]
fn what_is_no_json_is_refused_as_a_whole() {
    for (text, message, line, column) in [
        (&b" \n<html>"[..], "the file looks like HTML or XML, not like data", None, None),
        (b"\x1f\x8b\x08\0\0\0", "the file holds compressed content", None, None),
        (b"PK\x03\x04\x14\0\0\0", "the file holds compressed content", None, None),
        (b"PAR1\x15\x04", "the file is of another format", None, None),
        (b"id,v\n1,a\n", "the file does not look like JSON lines", Some("1"), Some("1")),
        (b"\n\n  'a'\n{}", "the file does not look like JSON lines", Some("3"), Some("3")),
        (b"\xef\xbb\xbf\n id", "the file does not look like JSON lines", Some("2"), Some("2")),
    ] {
        let error = fault(text, "f.jsonl");
        assert_eq!((error.message(), error.context("code")), (message, Some("E_NOT_JSONL")));
        assert_eq!((error.context("line"), error.context("column")), (line, column));
        assert_eq!(error.context("file"), Some("f.jsonl"));
    }
    // What a person may take for JSON is for the parser to refuse, row by row.
    for text in ["nope\n{}", "-", "1.2.3\n", "\"a", "{'a':1}\n", "True\n".to_lowercase().as_str()] {
        rows(text, "f.jsonl");
    }
}

#[test]
fn a_file_that_ends_with_nul_is_damaged() {
    for text in [
        "{\"id\":1}\n\0\0\0\0",
        "{\"id\":1}\0",
        "{\"id\":1}\n{\"v\":\"cut\0\0\0\0",
        "[{\"id\":1}]\0\0",
        "[{\"id\":1}]\n\0\0\n",
        "[{\"id\":1}\0\0",
        "[{\"id\":1},\0\0",
        "{\n\"id\":1\n}\n\0\0\0",
    ] {
        let text = format!("{text}{}", "\0".repeat(if text.ends_with('\0') { 300 } else { 0 }));
        let error = fault(text.as_bytes(), "f.json");
        assert_eq!(error.context("code"), Some("E_FILE_DAMAGED"), "{text:?}");
        assert!(error.context("line").is_some());
    }
    let zeros = fault(&[0; 100], "f.jsonl");
    assert_eq!(zeros.context("code"), Some("E_FILE_DAMAGED"));
    // One in the middle is for the parser to refuse.
    assert_eq!(rows("{\"id\":1,\0\"v\":2}\n{}", "f.jsonl").len(), 2);
}

#[test]
fn the_rows_of_a_text_sequence_are_refused_one_by_one() {
    let text = b"\x1e{\"id\":1}\n{\"id\":2}\n\x1e{\"id\":3}\r\n";
    for chunk_bytes in [1, 9, 100] {
        let limits = JsonLimits { chunk_bytes, max_row_bytes: 100 };
        let reader = JsonReader::new(&text[..], "f.jsonl", JsonShape::Auto, limits);
        let chunks: Vec<_> = reader.collect::<Result<_>>().unwrap();
        assert_eq!(chunks.iter().map(|chunk| chunk.rows.len()).sum::<usize>(), 1);
        let refused: Vec<&Refused> = chunks.iter().flat_map(|chunk| &chunk.refused).collect();
        let found: Vec<_> =
            refused.iter().map(|row| (row.line, row.offset, row.bytes.as_slice())).collect();
        let expected = [(1, 0, &b"\x1e{\"id\":1}"[..]), (3, 19, b"\x1e{\"id\":3}")];
        assert_eq!(found, expected, "{chunk_bytes}");
        for row in refused {
            assert_eq!(row.error.context("code"), Some("E_JSON_CTRL"));
            assert_eq!(row.error.context("file"), Some("f.jsonl"));
            assert!(row.error.hint().unwrap().contains("JSON text sequence"));
        }
    }
    let error = read(text, "f.json", JsonShape::Document, 1 << 20).unwrap_err();
    assert_eq!(error.context("code"), Some("E_JSON_CTRL"));
}

#[test]
fn a_list_that_is_cut_or_wrong_is_refused_with_its_place() {
    for (text, reason, line, column) in [
        ("[{\"a\":1},\n {\"a\"", "the document ends in the middle of a row", "2", "6"),
        ("[{\"a\":1},\n", "the document ends before its list does", "2", "1"),
        ("[{\"a\":1}\n", "the document ends before its list does", "2", "1"),
        ("[", "the document ends before its list does", "1", "2"),
        ("[{\"a\":1},]", "a row is missing in the list", "1", "10"),
        ("[,{\"a\":1}]", "a row is missing in the list", "1", "2"),
        ("[{\"a\":1} {\"a\":2}]", "expected a comma or the end of the list", "1", "10"),
        ("[{\"a\":1}]\n[2]", "there is more behind the end of the list", "2", "1"),
    ] {
        let error = fault(text.as_bytes(), "f.json");
        assert_eq!(error.kind(), ErrorKind::BadData);
        assert_eq!(error.context("reason"), Some(reason), "{text}");
        let code = match reason {
            "there is more behind the end of the list" => "E_JSON_TRAILING",
            _ if reason.starts_with("the document ends") => "E_JSON_EOF",
            _ => "E_JSON_SYNTAX",
        };
        assert_eq!(error.context("code"), Some(code), "{text}");
        assert_eq!(
            (error.context("line"), error.context("column")),
            (Some(line), Some(column)),
            "{text}"
        );
    }
}

#[test]
fn rows_have_a_limit() {
    let long = format!("{{\"a\":1}}\n{{\"a\":\"{}\"}}\n{{\"a\":2}}\n", "x".repeat(300));
    for (text, line) in
        [(long.clone(), "2"), (format!("[{}]", long.trim_end().replace('\n', ",\n")), "2")]
    {
        for chunk_bytes in [1, 64, 1 << 20] {
            let error = read(text.as_bytes(), "f.json", JsonShape::Auto, chunk_bytes).unwrap_err();
            assert_eq!(
                (error.message(), error.context("line")),
                ("a row is too large", Some(line))
            );
        }
    }
    // A row may be larger than a chunk.
    let row = format!("{{\"a\":\"{}\"}}", "x".repeat(150));
    let text = format!("{row}\n{{}}\n{row}");
    assert_eq!(rows(&text, "f.jsonl").len(), 3);
    // Blanks are no row.
    assert_eq!(rows(&format!("{{}}\n{}\n{{}}", " ".repeat(150)), "f").len(), 2);
}

#[test]
fn chunks_have_about_the_size_that_was_asked_for() {
    let text = "{\"a\":1}\n".repeat(1000);
    let limits = JsonLimits { chunk_bytes: 800, max_row_bytes: 100 };
    let chunks: Vec<JsonRows> = JsonReader::new(text.as_bytes(), "f", JsonShape::Auto, limits)
        .collect::<Result<_>>()
        .unwrap();
    assert_eq!(chunks.len(), 10);
    assert!(chunks.iter().all(|chunk| chunk.bytes.len() <= 800));
    assert_eq!(chunks.iter().map(|chunk| chunk.rows.len()).sum::<usize>(), 1000);
}

#[test]
fn the_reader_stops_at_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::new(IoKind::InvalidData, "corrupt deflate stream"))
        }
    }
    let mut reader = JsonReader::new(
        (&b"{}\n"[..]).chain(Broken),
        "f.gz",
        JsonShape::Auto,
        JsonLimits::default(),
    );
    let error = reader.next().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::BadData, "the file cannot be read"));
    assert!(reader.next().is_none());
}

#[test]
fn an_error_of_ours_keeps_its_code_on_the_way_through_the_reader() {
    let packed = {
        let mut bytes = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01\x03\0\xfc\xff{}\n".to_vec();
        // The trailer: a checksum that is not that of the content.
        bytes.extend_from_slice(&[0, 0, 0, 0, 3, 0, 0, 0]);
        bytes
    };
    let limits = crate::source::compress::UnpackLimits::default();
    let warnings = crate::source::Warnings::default();
    let input = std::io::Cursor::new(packed);
    let unpacked =
        crate::source::compress::decompress(input, "f.jsonl.gz", limits, &warnings).unwrap();
    let reader = unpacked.reader;
    let mut chunks = JsonReader::new(reader, "f.jsonl.gz", JsonShape::Auto, JsonLimits::default());
    let error = chunks.next().unwrap().unwrap_err();
    assert_eq!(
        (error.context("code"), error.context("file")),
        (Some("E_GZIP_CRC"), Some("f.jsonl.gz"))
    );
}

mod paths;

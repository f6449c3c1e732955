use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

fn shape(path: &str) -> JsonShape {
    JsonShape::Path(JsonPath::parse(path).unwrap())
}

/// The rows at a path, whatever the size of a chunk is.
fn at(path: &str, text: &str) -> Result<Vec<(String, u64, u64)>> {
    let whole = read(text.as_bytes(), "f.json", shape(path), 1 << 20);
    for chunk_bytes in 1..text.len().min(40) {
        let other = read(text.as_bytes(), "f.json", shape(path), chunk_bytes);
        match (&whole, &other) {
            (Ok(whole), Ok(other)) => assert_eq!(whole, other),
            (Err(whole), Err(other)) => assert_eq!(whole.to_string(), other.to_string()),
            _ => panic!("{whole:?}, but in chunks of {chunk_bytes} {other:?}"),
        }
    }
    whole
}

fn texts(path: &str, text: &str) -> Vec<String> {
    at(path, text).unwrap().into_iter().map(|(text, _, _)| text).collect()
}

const PAGE: &str = "{\"next\": [1, {\"items\": \"]}\"}], \"data\":\n {\"n\": 2, \"items\": [\n  {\"id\": 1}, {\"id\": [2]}],\n \"x\": {}}, \"t\": \"\\\"data\"}";

#[test]
fn the_rows_of_the_list_at_a_path_come_out_one_by_one() {
    let expected = [row("{\"id\": 1}", 3, 3), row("{\"id\": [2]}", 3, 14)];
    for path in ["data.items", "$.data.items[*]", "/data/items", "data[*].items[*]"] {
        if path == "data[*].items[*]" {
            // Neither member of `data` is an object that has items.
            assert!(at(path, PAGE).is_err());
        } else {
            assert_eq!(at(path, PAGE).unwrap(), expected, "{path}");
        }
    }
    assert_eq!(at("data.items[1]", PAGE).unwrap(), expected[1..]);
    assert_eq!(at("/data/items/0", PAGE).unwrap(), expected[..1]);
    assert_eq!(texts("data.n", PAGE), ["2"]);
    assert_eq!(texts("t", PAGE), ["\"\\\"data\""]);
    assert_eq!(texts("data.x", PAGE), ["{}"]);
    assert_eq!(texts("$.next", PAGE), ["1", "{\"items\": \"]}\"}"]);
    assert_eq!(texts("$", PAGE), [PAGE]);
}

#[test]
fn rows_know_the_byte_at_which_they_stand() {
    for chunk_bytes in [1, 7, 1000] {
        let limits = JsonLimits { chunk_bytes, max_row_bytes: 200 };
        for chunk in JsonReader::new(PAGE.as_bytes(), "f.json", shape("data.items"), limits) {
            let chunk = chunk.unwrap();
            for row in chunk.rows {
                let text = &chunk.bytes[row.range];
                assert_eq!(PAGE.as_bytes()[row.offset as usize..][..text.len()], *text);
            }
        }
    }
}

#[test]
fn a_star_leads_through_all_members_and_elements() {
    let text =
        r#"{"pages":[{"items":[{"a":1},{"a":2}]},{"items":[]},{"none":0},{"items":[{"a":3}]}]}"#;
    let expected = [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#];
    assert_eq!(texts("pages[*].items", text), expected);
    assert_eq!(texts("pages.*.items[*]", text), expected);
    let users = r#"{"users":{"x":{"a":1},"y":{"a":2}}}"#;
    assert_eq!(texts("users.*", users), &expected[..2]);
    assert_eq!(texts("users[*].a", users), ["1", "2"]);
    // A list of lists: the inner lists are the rows, or with one more star their elements.
    assert_eq!(texts("$[*]", "[[1],[2,3]]"), ["[1]", "[2,3]"]);
    assert_eq!(texts("$", "[[1],[2,3]]"), ["[1]", "[2,3]"]);
    assert_eq!(texts("$[*][*]", "[[1],[2,3]]"), ["1", "2", "3"]);
    for nothing in [r#"{"pages":[]}"#, r#"{"pages":{}}"#] {
        assert!(texts("pages[*].items", nothing).is_empty());
    }
}

#[test]
fn documents_may_stand_one_after_the_other() {
    let lines = "{\"d\":[1,2]}\n{\"d\":[]}\n\n{\"d\":[3]}{\"d\":null}\n";
    assert_eq!(texts("d", lines), ["1", "2", "3"]);
    assert_eq!(at("d", lines).unwrap()[2], row("3", 4, 7));
    assert_eq!(texts("$", "1 2\n3"), ["1", "2", "3"]);
}

#[test]
fn keys_are_compared_as_they_are_meant() {
    let text = r#"{"a\u002eb":{"d\"é":[1]}}"#;
    assert_eq!(texts("$['a.b']['d\"é']", text), ["1"]);
    // A path of a key that is a number leads into objects and lists.
    assert_eq!(texts("/0/1", r#"[["a","b"]]"#), ["\"b\""]);
    assert_eq!(texts("/0/1", r#"{"0":{"1":7}}"#), ["7"]);
}

#[test]
fn a_path_that_leads_nowhere_is_an_error_that_names_what_is_there() {
    for (path, text, missing, name, there) in [
        ("data.rows", r#"{"data":{"items":[],"n":1}}"#, "rows", "keys there", "items, n"),
        ("rows", "{}", "rows", "keys there", ""),
        ("data[2]", r#"{"data":[1,2]}"#, "[2]", "elements there", "2"),
        ("data.rows", r#"{"data":[{"rows":[]}]}"#, "rows", "found there", "a list"),
        ("data[0]", r#"{"data":{"a":1}}"#, "[0]", "found there", "an object"),
        ("data.rows", r#"{"data":null}"#, "rows", "found there", "null"),
        ("d[*].rows", r#"{"d":[{"a":1},{"b":2}]}"#, "rows", "keys there", "a"),
        ("d[*].rows", r#"{"d":[1,2]}"#, "rows", "found there", "a number"),
    ] {
        let error = at(path, text).unwrap_err();
        assert_eq!(
            (error.kind(), error.context("code")),
            (ErrorKind::BadData, Some("E_JSON_PATH"))
        );
        assert_eq!(error.context("path"), Some(path));
        assert_eq!(error.context("file"), Some("f.json"));
        assert_eq!((error.context("missing"), error.context(name)), (Some(missing), Some(there)));
    }
    let many: Vec<String> = (0..1000).map(|n| format!("\"k{n}\":0")).collect();
    let error = at("x", &format!("{{{}}}", many.join(","))).unwrap_err();
    assert!(error.context("keys there").unwrap().ends_with("k19, …"));
}

#[test]
fn what_is_wrong_on_the_way_is_refused_with_its_place() {
    for (text, reason, code, column) in [
        (r#"{"d":[1,2"#, "the document ends in the middle of a row", "E_JSON_EOF", "10"),
        (r#"{"d":[1,{"a""#, "the document ends in the middle of a row", "E_JSON_EOF", "13"),
        (r#"{"d":[1],"#, "the document ends before it is complete", "E_JSON_EOF", "10"),
        (r#"{"d":[1],"x":[2"#, "the document ends before it is complete", "E_JSON_EOF", "16"),
        (r#"{"d":[1,]}"#, "a value is missing", "E_JSON_SYNTAX", "9"),
        (r#"{"d":[1 2]}"#, "expected a comma or the end", "E_JSON_SYNTAX", "9"),
        (r#"{"d" [1]}"#, "expected a colon", "E_JSON_SYNTAX", "6"),
        (r#"{d:[1]}"#, "expected a key in quotes", "E_JSON_SYNTAX", "2"),
        (r#"{"d":[1],}"#, "expected a key in quotes", "E_JSON_SYNTAX", "10"),
        (r#"{"d":[1]}]"#, "a value is missing", "E_JSON_SYNTAX", "10"),
        (
            r#"{"d":[1],"d":[2]}"#,
            "a key on the path stands in its object twice",
            "E_JSON_DUP_KEY",
            "14",
        ),
    ] {
        let error = at("d", text).unwrap_err();
        assert_eq!(error.context("reason"), Some(reason), "{text}");
        assert_eq!((error.context("code"), error.context("column")), (Some(code), Some(column)));
    }
    assert_eq!(at("d", " \n").unwrap_err().message(), "the document is empty");
    assert_eq!(at("d", "{\"d\":[1]}\0\0").unwrap_err().context("code"), Some("E_FILE_DAMAGED"));
}

#[test]
fn what_is_off_the_path_is_not_held_and_depth_does_no_harm() {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let text = format!(
        "{{\"x\":{deep},\"long\":\"{}\",\"{}\":1,\"d\":[{{\"id\":1}}],\"y\":{deep}}}",
        "x".repeat(100_000),
        "k".repeat(100_000)
    );
    // Far less than the document has.
    let limits = JsonLimits { chunk_bytes: 64, max_row_bytes: 200 };
    let chunks: Vec<_> = JsonReader::new(text.as_bytes(), "f.json", shape("d"), limits)
        .collect::<Result<_>>()
        .unwrap();
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks[0].bytes[chunks[0].rows[0].range.clone()], *b"{\"id\":1}");
    // A row that is so deep is a row; the parser refuses it.
    for shape in [JsonShape::Auto, JsonShape::Document, shape("$[*]")] {
        let limits = JsonLimits { chunk_bytes: 999, max_row_bytes: 200_000 };
        let text = format!("[{deep},{deep}]");
        let rows: usize = JsonReader::new(text.as_bytes(), "f.json", shape, limits)
            .map(|chunk| chunk.unwrap().rows.len())
            .sum();
        assert_eq!(rows, 2);
    }
}

fn any_row() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<i64>().prop_map(Json::from),
        "[a\"\\\\\\[\\]{},:\n é]{0,9}".prop_map(Json::from),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a\"\\\\ {]{0,3}", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-c\"\\\\]{0,3}", value, 0..4)
        .prop_map(|map| Json::Object(map.into_iter().collect()))
}

proptest! {
    #[test]
    fn however_rows_are_written_they_come_out_the_same(
        rows in prop::collection::vec(any_row(), 0..8),
        other in any_row(),
        chunk_bytes in 1..300_usize,
    ) {
        let lines: Vec<String> = rows.iter().map(Json::to_string).collect();
        let pretty: Vec<String> =
            rows.iter().map(|row| serde_json::to_string_pretty(row).unwrap()).collect();
        let list = format!("[{}]", lines.join(" ,\n"));
        let inside = format!("{{\"o\":{other},\"d\":{{\"x\":[{other}],\"r\":{list},\"z\":0}}}}\n");
        let inside_pretty = serde_json::to_string_pretty(
            &serde_json::json!({"o": other, "d": {"r": rows, "z": [other]}}),
        )
        .unwrap();
        let mut spellings = vec![
            (format!("{}\n", lines.join("\n")), JsonShape::Auto),
            (lines.join("\r\n\r\n"), JsonShape::Auto),
            (list.clone(), JsonShape::Auto),
            (list.clone(), JsonShape::Document),
            (list, shape("$")),
            (inside.clone(), shape("d.r")),
            (inside, shape("$.d['r'][*]")),
            (inside_pretty, shape("/d/r")),
        ];
        if !rows.is_empty() {
            spellings.push((pretty.join("\n"), JsonShape::Document));
            spellings.push((lines.concat(), JsonShape::Document));
            let pages = lines.iter().map(|row| format!("{{\"r\":[{row}]}}"));
            spellings.push((pages.collect::<Vec<_>>().join(" "), shape("r")));
        }
        for (text, shape) in spellings {
            let limits = JsonLimits { chunk_bytes, max_row_bytes: 1 << 20 };
            let mut found = Vec::new();
            for chunk in JsonReader::new(text.as_bytes(), "f.json", shape.clone(), limits) {
                let chunk = chunk.unwrap();
                for row in &chunk.rows {
                    let bytes = &chunk.bytes[row.range.clone()];
                    prop_assert_eq!(&text.as_bytes()[row.offset as usize..][..bytes.len()], bytes);
                    let before = &text.as_bytes()[..row.offset as usize];
                    let line = before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
                    prop_assert_eq!(row.line, line);
                    found.push(serde_json::from_slice::<Json>(bytes).unwrap());
                }
            }
            prop_assert_eq!(&found, &rows, "{:?} {}", shape, text);
        }
    }

    #[test]
    fn any_bytes_end_well_and_are_not_held(
        bytes in prop::collection::vec(
            prop_oneof![
                prop::sample::select(&b"{}[]\",:\\ \n\0\x1edrn01"[..]),
                any::<u8>(),
            ],
            0..300,
        ),
        chunk_bytes in 1..40_usize,
    ) {
        for shape in [JsonShape::Auto, JsonShape::Document, shape("d.r"), shape("$[*][*]")] {
            let limits = JsonLimits { chunk_bytes, max_row_bytes: 50 };
            let mut reader = JsonReader::new(&bytes[..], "f", shape, limits);
            while let Some(Ok(chunk)) = reader.next() {
                prop_assert!(chunk.bytes.len() <= 262 + 50 + 2 * chunk_bytes + 16);
                for row in chunk.rows {
                    prop_assert!(chunk.bytes.get(row.range).is_some_and(|row| row.len() <= 50));
                }
            }
            prop_assert!(reader.next().is_none());
        }
    }
}

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

const LIMITS: CsvLimits = CsvLimits {
    chunk_bytes: 1 << 20,
    max_row_bytes: 4000,
    sample_bytes: 1 << 20,
    sample_rows: 100,
};

/// What a reader gave: rows, refused rows with their code and line, and columns.
#[derive(Debug, PartialEq)]
struct Read {
    rows: Vec<Json>,
    refused: Vec<(Vec<u8>, String, u64)>,
    columns: Vec<CsvColumn>,
}

fn read_by(text: &[u8], name: &str, options: &CsvOptions, limits: CsvLimits) -> Result<Read> {
    let mut reader = CsvReader::new(text, name, options.clone(), limits);
    let columns = reader.columns()?.to_vec();
    let mut read = Read { rows: Vec::new(), refused: Vec::new(), columns };
    for chunk in &mut reader {
        let chunk = chunk?;
        assert!(!chunk.rows.is_empty() || !chunk.refused.is_empty());
        assert_eq!(&*chunk.origin, name);
        let source = chunk.source.unwrap();
        assert_eq!(source.ranges.len(), chunk.rows.len());
        for (row, range) in chunk.rows.iter().zip(source.ranges) {
            let original = &source.bytes[range];
            assert_eq!(&text[row.offset as usize..][..original.len()], original);
            read.rows.push(serde_json::from_slice(&chunk.bytes[row.range.clone()]).unwrap());
        }
        for row in chunk.refused {
            assert_eq!(text[row.offset as usize..][..row.bytes.len()], row.bytes);
            assert_eq!(row.error.context("line"), Some(row.line.to_string().as_str()));
            assert_eq!(row.error.context("file"), Some(name));
            let code = row.error.context("code").unwrap().to_owned();
            read.refused.push((row.bytes, code, row.line));
        }
    }
    assert!(reader.next().is_none());
    Ok(read)
}

/// What comes out, whatever the size of a chunk is.
fn try_read(text: &[u8], name: &str, options: &CsvOptions) -> Result<Read> {
    let whole = read_by(text, name, options, LIMITS);
    for chunk_bytes in [1, 5, 40] {
        let other = read_by(text, name, options, CsvLimits { chunk_bytes, ..LIMITS });
        match (&whole, &other) {
            (Ok(whole), Ok(other)) => assert_eq!(whole, other),
            (Err(whole), Err(other)) => assert_eq!(whole.to_string(), other.to_string()),
            _ => panic!("{whole:?}, but in chunks of {chunk_bytes} {other:?}"),
        }
    }
    whole
}

fn read(text: &str) -> Read {
    try_read(text.as_bytes(), "f.csv", &CsvOptions::default()).unwrap()
}

fn rows(text: &str) -> Vec<Json> {
    let read = read(text);
    assert_eq!(read.refused, []);
    read.rows
}

fn fault(text: &[u8]) -> Error {
    let error = try_read(text, "f.csv", &CsvOptions::default()).unwrap_err();
    assert_eq!((error.kind(), error.context("file")), (ErrorKind::BadData, Some("f.csv")));
    error
}

fn options(toml: &str) -> CsvOptions {
    toml::from_str(toml).unwrap()
}

fn types(read: &Read) -> Vec<(&str, DataType)> {
    read.columns.iter().map(|column| (column.name.as_str(), column.data_type)).collect()
}

#[test]
fn records_are_rows_with_typed_values() {
    let read = read("id,price,ok,name,at\n1,2.5,true,a,2026-01-02T03:04:05Z\n-2,3,false,007,\n");
    assert_eq!(
        read.rows,
        [
            json!({"id": 1, "price": 2.5, "ok": true, "name": "a", "at": "2026-01-02T03:04:05Z"}),
            json!({"id": -2, "price": 3.0, "ok": false, "name": "007", "at": null}),
        ]
    );
    assert_eq!(
        types(&read),
        [
            ("id", DataType::Bigint),
            ("price", DataType::Double),
            ("ok", DataType::Bool),
            ("name", DataType::Text),
            ("at", DataType::Text),
        ]
    );
}

#[test]
fn line_ends_of_all_kinds_end_rows() {
    let expected = [json!({"id": 1, "v": "a"}), json!({"id": 2, "v": "b"})];
    for text in [
        "id,v\n1,a\n2,b\n",
        "id,v\n1,a\n2,b",
        "id,v\r\n1,a\r\n2,b\r\n",
        "id,v\r\n1,a\n2,b\r\n",
        "id,v\r1,a\r2,b\r",
        "\u{feff}id,v\n1,a\n2,b\n",
        "\n\nid,v\n\n1,a\n  \n\r\n2,b\n\n",
        "\"id\",\"v\"\r\n\"1\",\"a\"\r\n\"2\",\"b\"",
    ] {
        assert_eq!(rows(text), expected, "{text:?}");
    }
}

#[test]
fn quotes_hold_delimiters_line_ends_and_quotes() {
    assert_eq!(
        rows("id,v\n1,\"a\nb\"\n2,c\n3,\"x,\"\"y\"\"\r\n\"\n4,\"\"\"\"\n5,5\" pipe\n"),
        [
            json!({"id": 1, "v": "a\nb"}),
            json!({"id": 2, "v": "c"}),
            json!({"id": 3, "v": "x,\"y\"\r\n"}),
            json!({"id": 4, "v": "\""}),
            json!({"id": 5, "v": "5\" pipe"}),
        ]
    );
    // Numbers in quotes are numbers: many programs put every value in quotes.
    assert_eq!(rows("\"id\"\n\"1\"\n\"-7\"\n"), [json!({"id": 1}), json!({"id": -7})]);
}

#[test]
fn nothing_is_null_and_quotes_around_nothing_are_a_text() {
    assert_eq!(
        rows("id,v\n1,\n2,\"\"\n"),
        [json!({"id": 1, "v": null}), json!({"id": 2, "v": ""})]
    );
    let words = "id,v\n1,NULL\n2,null\n3,\\N\n4,NA\n5,NaN\n6,\"NULL\"\n";
    let texts: Vec<_> = rows(words).into_iter().map(|row| row["v"].clone()).collect();
    assert_eq!(texts, ["NULL", "null", "\\N", "NA", "NaN", "NULL"]);
    let chosen = options("null_values = ['NULL', '\\N', 'NA', 'NaN', 'null']");
    let read = try_read(words.as_bytes(), "f.csv", &chosen).unwrap();
    let texts: Vec<_> = read.rows.into_iter().map(|row| row["v"].clone()).collect();
    assert_eq!(texts[..5], [Json::Null, Json::Null, Json::Null, Json::Null, Json::Null]);
    assert_eq!(texts[5], "NULL");
}

#[test]
fn a_header_alone_makes_columns_of_text() {
    let read = read("id,v\n");
    assert_eq!(types(&read), [("id", DataType::Text), ("v", DataType::Text)]);
    assert_eq!(read.rows, Vec::<Json>::new());
    for nothing in ["", "\n\n", "\u{feff}"] {
        assert_eq!(rows(nothing), Vec::<Json>::new());
    }
}

#[test]
fn columns_without_a_name_are_called_by_their_position() {
    assert_eq!(rows("id,,v\n1,x,a\n"), [json!({"id": 1, "_col2": "x", "v": "a"})]);
    assert_eq!(rows(" id ,\"v \"\n1,2\n"), [json!({"id": 1, "v": 2})]);
    let read = try_read(b"1,x\n2,y\n", "f.csv", &options("header = false")).unwrap();
    assert_eq!(read.rows, [json!({"_col1": 1, "_col2": "x"}), json!({"_col1": 2, "_col2": "y"})]);
}

#[test]
fn a_header_that_cannot_be_used_is_refused() {
    for (text, code) in [
        (&b"id,v,v\n1,a,b\n"[..], "E_NAME_COLLISION"),
        (b"id,_col3,\n1,a,b\n", "E_NAME_COLLISION"),
        (b"id,\xff\n1,a\n", "E_UTF8"),
        (b"id,a\0b\n1,a\n", "E_NUL"),
        (b"id,\"a\"b\n1,a\n", "E_CSV_FIELDS"),
    ] {
        let error = fault(text);
        assert_eq!((error.context("code"), error.context("line")), (Some(code), Some("1")));
    }
    assert_eq!(fault(b"id,v,v\n").context("column"), Some("v"));
    assert_eq!(fault(b"id,v,v\n").context("positions"), Some("2 and 3"));
}

#[test]
fn a_row_that_is_not_as_the_header_says_is_refused_by_itself() {
    for (text, row, code, line) in [
        (&b"id,v\n1,a\n2,b,EXTRA\n3,c\n"[..], &b"2,b,EXTRA"[..], "E_CSV_FIELDS", 3),
        (b"id,v\n1,a\n2\n3,c\n", b"2", "E_CSV_FIELDS", 3),
        (b"id,v\n1,a\r\n2,b\r3,c\n3,c\n", b"2,b\r3,c", "E_CSV_FIELDS", 3),
        (b"id,v\n1,a\n2,b\0\n3,c\n", b"2,b\0", "E_NUL", 3),
        (b"id,v\n1,a\n2,caf\xe9\n3,c\n", b"2,caf\xe9", "E_UTF8", 3),
        (b"id,v\n1,a\n2, \"b\"\n3,c\n", b"2, \"b\"", "E_CSV_FIELDS", 3),
        (b"id,v\n1,a\n2, \"b, c\"\n3,c\n", b"2, \"b, c\"", "E_CSV_FIELDS", 3),
        (b"id,v\n1,a\n2,\"b\" \n3,c\n", b"2,\"b\" ", "E_CSV_FIELDS", 3),
        (b"id,v\n1,a\n2,\"b\"c\"\n3,c\n", b"2,\"b\"c\"", "E_CSV_FIELDS", 3),
        (b"id,v\n1,\"a\"\n\n\"2\n\",b,\"\n\"\n3,c\n", b"\"2\n\",b,\"\n\"", "E_CSV_FIELDS", 4),
    ] {
        let read = try_read(text, "f.csv", &CsvOptions::default()).unwrap();
        assert_eq!(read.refused, [(row.to_vec(), code.to_owned(), line)], "{row:?}");
        assert_eq!(read.rows, [json!({"id": 1, "v": "a"}), json!({"id": 3, "v": "c"})]);
    }
}

#[test]
fn a_value_of_one_column_that_holds_the_other_line_end_is_refused() {
    let read = read("v\na\nb\rc\n");
    assert_eq!(read.rows, [json!({"v": "a"})]);
    assert_eq!(read.refused, [(b"b\rc".to_vec(), "E_CSV_FIELDS".to_owned(), 3)]);
}

#[test]
fn blanks_around_quotes_are_taken_away_where_that_was_asked_for() {
    let text = b"id, v\n1, \"a, b\"\n 2 ,\t\"c\" \n3, d e \n4,  \n";
    let read = try_read(text, "f.csv", &options("trim = true\ndelimiter = ','")).unwrap();
    assert_eq!(read.refused, []);
    let values: Vec<_> =
        read.rows.iter().map(|row| (row["id"].clone(), row["v"].clone())).collect();
    assert_eq!(
        values,
        [
            (json!(1), json!("a, b")),
            (json!(2), json!("c")),
            (json!(3), json!("d e")),
            (json!(4), Json::Null)
        ]
    );
    let strict = try_read(text, "f.csv", &options("delimiter = ','")).unwrap();
    assert_eq!(strict.refused.len(), 2);
}

#[test]
fn a_quote_that_is_not_closed_is_an_error_of_the_file() {
    let error = fault(b"id,v\n1,a\n2,\"b\n3,c\n");
    assert_eq!((error.context("code"), error.context("line")), (Some("E_CSV_QUOTE"), Some("3")));
    let error = fault(b"id,v\n1,a\n\"x\n\ny\",\"b\n3,c\n");
    assert_eq!((error.context("line"), error.context("row at line")), (Some("5"), Some("3")));
    assert_eq!(fault(b"\"id,v\n1,a\n").context("line"), Some("1"));
    // Not the whole of a large file is held for that.
    let long = format!("id,v\n1,a\n2,\"b\n{}", "3,c\n".repeat(10_000));
    let limits = CsvLimits { chunk_bytes: 100, sample_bytes: 300, ..LIMITS };
    let error = read_by(long.as_bytes(), "f.csv", &CsvOptions::default(), limits).unwrap_err();
    assert_eq!((error.context("code"), error.context("line")), (Some("E_CSV_QUOTE"), Some("3")));
}

#[test]
fn rows_have_a_limit() {
    let text = format!("id\n1\n{}\n2\n", "x".repeat(5000));
    for (chunk_bytes, sample_bytes) in [(1, 300), (100, 300), (1 << 20, 1 << 20)] {
        let limits = CsvLimits { chunk_bytes, sample_bytes, ..LIMITS };
        let mut reader = CsvReader::new(text.as_bytes(), "f.csv", CsvOptions::default(), limits);
        let error = reader.find_map(Result::err).unwrap();
        assert_eq!(
            (error.message(), error.context("code"), error.context("line")),
            ("a row is too large", Some("E_CSV_TOO_LARGE"), Some("3"))
        );
        assert!(reader.next().is_none());
    }
}

#[test]
fn what_is_no_csv_in_utf8_is_refused() {
    for (text, code) in [
        (&b"\xff\xfei\0d\0\n\0"[..], "E_ENCODING"),
        (b"i\0d\0\n\x001\0", "E_ENCODING"),
        (b"\n <!DOCTYPE html><html>", "E_NOT_CSV"),
        (b"{\"id\":1}\n{\"id\":2}\n", "E_NOT_CSV"),
        (b"[\n{\"id\":1}\n]", "E_NOT_CSV"),
        (b"PAR1\x15\x04", "E_NOT_CSV"),
        (b"\x1f\x8b\x08\0\0\0", "E_NOT_CSV"),
        (b"id,v\n1,a\n\0\0\0\0", "E_FILE_DAMAGED"),
        (b"\0\0\0\0", "E_FILE_DAMAGED"),
        (b"id,v\n1,a\n2,\"b\0\0\0\0", "E_FILE_DAMAGED"),
    ] {
        assert_eq!(fault(text).context("code"), Some(code), "{text:?}");
    }
    let tar = [&b"a.csv"[..], &[0; 252], b"ustar\x0000", &[0; 300]].concat();
    assert_eq!(fault(&tar).context("code"), Some("E_NOT_CSV"));
}

#[test]
fn the_delimiter_is_told_from_the_rows() {
    for (text, values) in [
        ("a;b;c\n1,5;2,5;x\n3,5;4,5;y\n", 3),
        ("a\tb\n1,5\t2;5\n", 2),
        ("a|b|c|d\n1|2|3|4", 4),
        ("name, first;v;w\nx;1;2\ny;3;4\n", 3),
        ("a;b\n\"1,2,3\";\"4,5,6\"\n\"1,2,3\";\"4,5,6\"\n", 2),
        ("a,b,c\n1,2,3\n1,2\n1,2,3\n", 3),
        ("text\none\ntwo words\n", 1),
    ] {
        assert_eq!(read(text).columns.len(), values, "{text:?}");
    }
    let tsv = try_read(b"a,b\n1,2\n", "F.TSV.gz", &CsvOptions::default()).unwrap();
    assert_eq!(tsv.rows, [json!({"a,b": "1,2"})]);
    let chosen = try_read(b"a,b;c\n1,2;3\n", "f.csv", &options("delimiter = ';'")).unwrap();
    assert_eq!(chosen.rows, [json!({"a,b": "1,2", "c": 3})]);
}

#[test]
fn options_are_read_from_toml_and_checked() {
    let all = options(
        "delimiter = \"\\t\"\nquote = \"'\"\nheader = false\nnull_values = [\"-\"]\ntypes = false\ntrim = true",
    );
    let read = try_read(b"1\t'a\tb'\t-\n", "f.csv", &all).unwrap();
    assert_eq!(read.rows, [json!({"_col1": "1", "_col2": "a\tb", "_col3": null})]);
    assert_eq!(options(""), CsvOptions::default());
    let unquoted = try_read(b"a,b\n\"x,5\"\n", "f.csv", &options("quote = ''")).unwrap();
    assert_eq!(unquoted.rows, [json!({"a": "\"x", "b": "5\""})]);
    for wrong in ["delimiter = ';;'", "delimiter = 'é'", "quote = 'ab'", "separator = ','"] {
        assert!(toml::from_str::<CsvOptions>(wrong).is_err(), "{wrong}");
    }
    for (wrong, setting) in [
        ("delimiter = '\"'", "quote"),
        ("delimiter = \"\\n\"", "delimiter"),
        ("quote = \"\\r\"", "quote"),
    ] {
        let error = try_read(b"a\n", "f.csv", &options(wrong)).unwrap_err();
        assert_eq!(
            (error.kind(), error.context("setting")),
            (ErrorKind::Configuration, Some(setting))
        );
    }
}

#[test]
fn the_first_rows_decide_and_later_values_are_kept_all_the_same() {
    let text = format!("id,v,late\n{}x,2.5,9\n", "1,2,\n".repeat(200));
    for (limits, last) in [
        (CsvLimits { sample_rows: 50, ..LIMITS }, json!({"id": "x", "v": "2.5", "late": "9"})),
        (CsvLimits { sample_bytes: 500, ..LIMITS }, json!({"id": "x", "v": "2.5", "late": "9"})),
        (CsvLimits { sample_rows: 1000, ..LIMITS }, json!({"id": "x", "v": 2.5, "late": 9})),
    ] {
        for chunk_bytes in [1, 64, 1 << 20] {
            let limits = CsvLimits { chunk_bytes, ..limits };
            let read = read_by(text.as_bytes(), "f.csv", &CsvOptions::default(), limits).unwrap();
            assert_eq!((read.rows.len(), read.rows.last()), (201, Some(&last)));
        }
    }
}

#[test]
fn chunks_have_about_the_size_that_was_asked_for() {
    let text = format!("a long name of a column,b\n{}", "1,2\n".repeat(5000));
    let limits = CsvLimits { chunk_bytes: 4000, sample_bytes: 1000, ..LIMITS };
    let reader = CsvReader::new(text.as_bytes(), "f.csv", CsvOptions::default(), limits);
    let chunks: Vec<JsonRows> = reader.collect::<Result<_>>().unwrap();
    assert!(chunks.iter().all(|chunk| chunk.bytes.len() < 4100));
    assert_eq!(chunks.iter().map(|chunk| chunk.rows.len()).sum::<usize>(), 5000);
    let source = chunks[3].source.as_ref().unwrap();
    assert_eq!((&*source.header, source.extension), (&b"a long name of a column,b\n"[..], "csv"));
}

fn cell() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        "[a,;\t|\"\r\n é0]{0,6}".prop_map(Some),
        any::<i64>().prop_map(|number| Some(number.to_string())),
        any::<f64>().prop_map(|number| Some(number.to_string())),
        any::<bool>().prop_map(|value| Some(value.to_string())),
        "(0|00|-0|1e5|1e400|007|NULL|NaN|[0-9]{15,22})".prop_map(Some),
    ]
}

/// Whether a value that came back is the one that was written.
fn same(value: &Json, text: &str) -> bool {
    match value {
        Json::String(value) => value == text,
        Json::Bool(value) => text == value.to_string(),
        Json::Number(value) if value.is_i64() => text == value.to_string(),
        // serde_json reads the last bit of a double only about.
        Json::Number(value) => {
            let (value, text) = (value.as_f64().unwrap(), text.parse::<f64>().unwrap());
            (value - text).abs() <= text.abs() * 1e-15
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn a_table_comes_back_cell_for_cell(
        columns in 1..5_usize,
        cells in prop::collection::vec(cell(), 0..40),
        delimiter in prop::sample::select(&b",;\t|"[..]),
        line_end in prop::sample::select(&["\n", "\r\n"][..]),
        chunk_bytes in 1..200_usize,
        sample_bytes in 1..400_usize,
        sample_rows in 1..10_usize,
    ) {
        let write = |cells: Vec<String>| cells.join(&char::from(delimiter).to_string()) + line_end;
        let mut text = write((0..columns).map(|n| format!("\"c{n}\"")).collect());
        // A row of one column that has no value is an empty line.
        let cells: Vec<_> = if columns == 1 { cells.into_iter().flatten().map(Some).collect() } else { cells };
        for row in cells.chunks_exact(columns) {
            text += &write(row.iter().map(|cell| match cell {
                None => String::new(),
                Some(text) => format!("\"{}\"", text.replace('"', "\"\"")),
            }).collect());
        }
        let options = CsvOptions { delimiter: Some(delimiter), ..CsvOptions::default() };
        let limits = CsvLimits { chunk_bytes, sample_bytes, sample_rows, ..LIMITS };
        let read = read_by(text.as_bytes(), "f", &options, limits).unwrap();
        prop_assert_eq!(&read.refused, &[]);
        let expected: Vec<_> = cells.chunks_exact(columns).collect();
        prop_assert_eq!(read.rows.len(), expected.len());
        for (row, cells) in read.rows.iter().zip(expected) {
            for (index, cell) in cells.iter().enumerate() {
                let value = &row[format!("c{index}")];
                match cell {
                    None => prop_assert!(value.is_null()),
                    Some(text) => prop_assert!(same(value, text), "{} {}", value, text),
                }
            }
        }
    }

    #[test]
    fn any_bytes_end_well_and_are_not_held(
        bytes in prop::collection::vec(
            prop_oneof![prop::sample::select(&b"a1,;\"\n\r \0\xff"[..]), any::<u8>()],
            0..600,
        ),
        chunk_bytes in 1..40_usize,
        trim in any::<bool>(),
        header in any::<bool>(),
        delimiter in prop::option::of(Just(b',')),
    ) {
        let options = CsvOptions { trim, header: Some(header), delimiter, ..CsvOptions::default() };
        let limits = CsvLimits { chunk_bytes, max_row_bytes: 50, sample_bytes: 20, sample_rows: 3 };
        let mut reader = CsvReader::new(&bytes[..], "f", options, limits);
        let (mut next, mut lines) = (0, 0);
        while let Some(Ok(chunk)) = reader.next() {
            let source = chunk.source.unwrap();
            prop_assert!(source.bytes.len() <= 262 + 200 + 2 * chunk_bytes);
            for row in &chunk.rows {
                prop_assert!(serde_json::from_slice::<Json>(&chunk.bytes[row.range.clone()]).is_ok());
                prop_assert!(row.offset >= next && row.line > lines);
                (next, lines) = (row.offset + 1, row.line);
            }
        }
        prop_assert!(reader.next().is_none());
    }
}

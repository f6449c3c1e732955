//! What stands in the files.

use transload_core::ErrorKind;

use crate::write::TableWriter;
use std::fs::File;
use std::sync::Arc;

use ::parquet::file::metadata::ParquetMetaDataReader;
use ::parquet::schema::printer::print_schema;
use arrow::array::{
    Array as _, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, TimeUnit, i256};
use proptest::prelude::*;
use transload_core::{Column, DataType, FileFormat};

use super::{batch, integers, options, parquet_rows, text, text_of, write};
use crate::arrow_types::{Defaults, arrow_type};

/// Every type that a column has, with a usual value, the least, the greatest, and NULL.
fn every_type() -> (Vec<Column>, RecordBatch) {
    let of = |name: &str, data_type, precision: Option<u32>| Column {
        precision,
        ..Column::new(name, data_type)
    };
    let naive = |column: Column| Column { timezone: Some(false), ..column };
    let digits = "9".repeat(76);
    let max256 = i256::from_string(&digits).unwrap();
    let max128: i128 = "9".repeat(38).parse().unwrap();
    let second = 1_704_164_645; // 2024-01-02T03:04:05
    let times: [(u32, i64); 4] = [(0, 1), (3, 1_000), (6, 1_000_000), (9, 1_000_000_000)];
    let mut columns = vec![
        of("text", DataType::Text, None),
        of("json", DataType::Json, None),
        of("double", DataType::Double, None),
        of("bool", DataType::Bool, None),
        of("i8", DataType::Bigint, Some(8)),
        of("i16", DataType::Bigint, Some(16)),
        of("i32", DataType::Bigint, Some(32)),
        of("i64", DataType::Bigint, None),
        of("binary", DataType::Binary, None),
        of("date", DataType::Date, None),
        of("decimal", DataType::Decimal, None),
        of("wei", DataType::Wei, None),
        Column { scale: Some(20), ..of("wide", DataType::Decimal, Some(76)) },
    ];
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("a'b\"\\\n,"), Some(""), Some("Ā😀\u{0}\r\t"), None])),
        Arc::new(StringArray::from(vec![Some("{\"k\": [1]}"), Some("null"), Some("\"é\""), None])),
        Arc::new(Float64Array::from(vec![Some(2.0), Some(f64::MIN), Some(5e-324), None])),
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None])),
        Arc::new(Int8Array::from(vec![Some(1), Some(i8::MIN), Some(i8::MAX), None])),
        Arc::new(Int16Array::from(vec![Some(1), Some(i16::MIN), Some(i16::MAX), None])),
        Arc::new(Int32Array::from(vec![Some(1), Some(i32::MIN), Some(i32::MAX), None])),
        Arc::new(Int64Array::from(vec![Some(1), Some(i64::MIN), Some(i64::MAX), None])),
        Arc::new(BinaryArray::from_opt_vec(vec![
            Some(b"ab"),
            Some(b""),
            Some(&[0, 255, 254]),
            None,
        ])),
        Arc::new(Date32Array::from(vec![Some(19_724), Some(i32::MIN), Some(i32::MAX), None])),
        Arc::new(
            Decimal128Array::from(vec![Some(1_500_000_000), Some(-max128), Some(max128), None])
                .with_precision_and_scale(38, 9)
                .unwrap(),
        ),
        Arc::new(
            Decimal128Array::from(vec![Some(100), Some(-max128), Some(max128), None])
                .with_precision_and_scale(38, 0)
                .unwrap(),
        ),
        Arc::new(
            Decimal256Array::from(vec![Some(i256::ONE), Some(-max256), Some(max256), None])
                .with_precision_and_scale(76, 20)
                .unwrap(),
        ),
    ];
    for (precision, per_second) in times {
        let point = of(&format!("at_{precision}"), DataType::Timestamp, Some(precision));
        let local = naive(of(&format!("local_{precision}"), DataType::Timestamp, Some(precision)));
        let time = of(&format!("time_{precision}"), DataType::Time, Some(precision));
        let half = per_second / 2;
        // Seconds and milliseconds become microseconds, which reach less far.
        let (least, greatest) = if precision < 6 {
            (-62_135_596_800 * per_second, 253_402_300_799 * per_second)
        } else {
            (i64::MIN, i64::MAX)
        };
        let values: ArrayRef = Arc::new(Int64Array::from(vec![
            Some(second * per_second + half),
            Some(least),
            Some(greatest),
            None,
        ]));
        let day: ArrayRef = Arc::new(Int64Array::from(vec![
            Some(3661 * per_second + half),
            Some(0),
            Some(86_400 * per_second - 1),
            None,
        ]));
        for (column, values) in [(point, &values), (local, &values), (time, &day)] {
            let arrow_type = arrow_type(&column, &Defaults::default()).unwrap();
            let values = match arrow_type {
                ArrowType::Time32(_) => cast(values, &ArrowType::Int32).unwrap(),
                _ => Arc::clone(values),
            };
            arrays.push(cast(&values, &arrow_type).unwrap());
            columns.push(column);
        }
    }
    let batch = batch(&columns, arrays);
    for (column, field) in columns.iter().zip(batch.schema().fields()) {
        assert_eq!(arrow_type(column, &Defaults::default()).unwrap(), *field.data_type());
    }
    (columns, batch)
}

#[test]
fn parquet_gives_back_every_type() {
    let folder = tempfile::tempdir().unwrap();
    let (columns, batch) = every_type();
    let files = write(options(FileFormat::Parquet, folder.path(), u64::MAX), &[(&columns, &batch)]);
    let rows = parquet_rows(folder.path(), &files[0]);
    for (index, column) in columns.iter().enumerate() {
        let expected = batch.column(index);
        let expected = match expected.data_type() {
            ArrowType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
                cast(expected, &ArrowType::Timestamp(TimeUnit::Microsecond, zone.clone())).unwrap()
            }
            ArrowType::Time32(_) => {
                cast(expected, &ArrowType::Time64(TimeUnit::Microsecond)).unwrap()
            }
            _ => Arc::clone(expected),
        };
        assert_eq!(rows.column(index), &expected, "{}", column.name);
    }
    assert_eq!(files[0].columns, columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>());
}

#[test]
fn parquet_says_what_columns_are_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let columns = [
        Column::new("id", DataType::Bigint).not_null(),
        Column::new("doc", DataType::Json),
        Column::new("at", DataType::Timestamp),
        Column::new("kind", DataType::Text),
    ];
    let at =
        cast(&integers(0, 4), &ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    let arrays = vec![integers(0, 4), text(["1", "2", "3", "4"]), at.unwrap(), text(["x"; 4])];
    let files = write(
        options(FileFormat::Parquet, folder.path(), u64::MAX),
        &[(&columns, &batch(&columns, arrays))],
    );
    let opened = File::open(folder.path().join(files[0].path())).unwrap();
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&opened).unwrap();
    let mut schema = Vec::new();
    print_schema(&mut schema, metadata.file_metadata().schema_descr().root_schema());
    insta::assert_snapshot!(String::from_utf8(schema).unwrap(), @r"
    message schema {
      REQUIRED INT64 id;
      OPTIONAL BYTE_ARRAY doc (JSON);
      OPTIONAL INT64 at (TIMESTAMP(MICROS,true));
      OPTIONAL BYTE_ARRAY kind (STRING);
    }
    ");
    assert_eq!(metadata.file_metadata().created_by(), Some("transload"));
    assert_eq!(metadata.file_metadata().key_value_metadata(), None);
    let dictionaries: Vec<bool> = metadata
        .row_group(0)
        .columns()
        .iter()
        .map(|column| column.dictionary_page_offset().is_some())
        .collect();
    assert_eq!(dictionaries, [false, false, false, true]);
}

#[test]
fn text_formats_write_every_type() {
    let (columns, batch) = every_type();
    let of = |format| text_of(format, &columns, batch.columns().to_vec());
    let jsonl = of(FileFormat::Jsonl);
    for line in jsonl.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert_eq!(jsonl.lines().count(), 4);
    assert_eq!(jsonl.lines().last(), Some("{}"));
    // Raw, these would be lost in an editor.
    let shown =
        |text: String| text.replace('\r', "<CR>").replace('\0', "<NUL>").replace('\t', "<TAB>");
    assert_eq!(shown(jsonl), include_str!("every_type.jsonl"));
    assert_eq!(shown(of(FileFormat::Csv)), include_str!("every_type.csv"));
    assert_eq!(shown(of(FileFormat::InsertValues)), include_str!("every_type.sql").trim_end());
}

#[test]
fn a_redshift_literal_stays_inside_its_quotes() {
    let columns = [Column::new("a", DataType::Text)];
    let sql = text_of(FileFormat::InsertValues, &columns, vec![text([", NULL'); DROP TABLE --"])]);
    assert_eq!(sql, "INSERT INTO {}(\"a\")\nVALUES\n(', NULL''); DROP TABLE --');");
}

#[test]
fn csv_tells_null_from_an_empty_text() {
    let columns = ["a", "b c", "d,e", "f"].map(|name| Column::new(name, DataType::Text));
    let column = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let arrays = vec![column(None), column(Some("")), column(Some(" x")), column(Some("a b"))];
    assert_eq!(text_of(FileFormat::Csv, &columns, arrays), "a,b c,\"d,e\",f\n,\"\",\" x\",a b\n");
}

#[test]
fn doubles_that_are_not_finite_are_kept_or_refused_never_changed() {
    let columns = [Column::new("x", DataType::Double)];
    let arrays = || -> Vec<ArrayRef> {
        vec![Arc::new(Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]))]
    };
    assert_eq!(text_of(FileFormat::Csv, &columns, arrays()), "x\nNaN\ninf\n-inf\n");
    for format in [FileFormat::Jsonl, FileFormat::InsertValues] {
        let folder = tempfile::tempdir().unwrap();
        let options = options(format, folder.path(), u64::MAX);
        let mut writer = TableWriter::new("t", Arc::new(options));
        let written = writer.write(&columns, &batch(&columns, arrays()));
        let error = written.and_then(|()| writer.finish().map(drop)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadData, "{format}");
        assert_eq!(error.context("column"), Some("x"), "{format}");
    }
}

#[test]
fn json_stands_in_one_line_and_is_json() {
    let columns = [Column::new("j", DataType::Json)];
    let jsonl = text_of(FileFormat::Jsonl, &columns, vec![text([" {\"a\":\r\n[1,\n2]}\n"])]);
    assert_eq!(jsonl, "{\"j\":{\"a\":  [1, 2]}}\n");
}

proptest! {
    #[test]
    fn any_text_survives_text_formats(
        first in proptest::collection::vec(proptest::option::of(any_text()), 5),
        second in proptest::collection::vec(proptest::option::of(any_text()), 5),
    ) {
        let columns = [Column::new("first", DataType::Text), Column::new("second\"", DataType::Text)];
        let arrays = || -> Vec<ArrayRef> {
            [&first, &second].map(|c| Arc::new(StringArray::from(c.clone())) as ArrayRef).to_vec()
        };
        let expected: Vec<Vec<Option<String>>> =
            first.iter().zip(&second).map(|(a, b)| vec![a.clone(), b.clone()]).collect();

        let csv = parse_csv(&text_of(FileFormat::Csv, &columns, arrays()));
        prop_assert_eq!(&csv[1..], expected.as_slice());

        let jsonl = text_of(FileFormat::Jsonl, &columns, arrays());
        for (line, row) in jsonl.lines().zip(&expected) {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
            for (column, value) in columns.iter().zip(row) {
                prop_assert_eq!(object.get(&column.name).map(|v| v.as_str().unwrap()), value.as_deref());
            }
        }

        let sql = text_of(FileFormat::InsertValues, &columns, arrays());
        let lines: Vec<&str> = sql.split('\n').collect();
        prop_assert_eq!(lines[..2].join("\n"), "INSERT INTO {}(\"first\",\"second\"\"\")\nVALUES");
        for (line, row) in lines[2..].iter().zip(&expected) {
            let literals: Vec<String> = row.iter().map(|v| v.as_deref().map_or("NULL".into(), literal)).collect();
            prop_assert_eq!(line.trim_end_matches([',', ';']), format!("({})", literals.join(",")));
        }
    }
}

/// Texts rich in what formats trip over.
fn any_text() -> impl Strategy<Value = String> {
    const AWKWARD: [&str; 13] =
        ["'", "\"", "\\", "\n", "\r", "\t", "\0", ",", " ", "😀", "\u{2028}", "{}", ";"];
    let piece = prop_oneof![
        proptest::sample::select(&AWKWARD[..]).prop_map(str::to_owned),
        any::<String>()
    ];
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

/// A text as Redshift takes it.
fn literal(text: &str) -> String {
    let text =
        text.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n").replace('\r', "\\r");
    format!("'{text}'")
}

/// Reads CSV as RFC 4180 has it. A field is `None` where it is empty and not quoted.
fn parse_csv(text: &str) -> Vec<Vec<Option<String>>> {
    let (mut records, mut record, mut rest) = (vec![], vec![], text);
    while !rest.is_empty() {
        let (field, behind) = match rest.strip_prefix('"') {
            Some(mut inner) => {
                let mut field = String::new();
                loop {
                    let (part, behind) = inner.split_once('"').unwrap();
                    field.push_str(part);
                    let Some(more) = behind.strip_prefix('"') else { break (Some(field), behind) };
                    field.push('"');
                    inner = more;
                }
            }
            None => {
                let end = rest.find([',', '\n', '"', '\r']).unwrap();
                ((end > 0).then(|| rest[..end].to_owned()), &rest[end..])
            }
        };
        record.push(field);
        match behind.as_bytes()[0] {
            b'\n' => records.push(std::mem::take(&mut record)),
            separator => assert_eq!(separator, b','),
        }
        rest = &behind[1..];
    }
    assert!(record.is_empty());
    records
}

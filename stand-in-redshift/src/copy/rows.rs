//! The rows of a file, as the fields of PostgreSQL's COPY.

use std::collections::BTreeMap;
use std::io::Read as _;

use arrow::array::{Array, ArrayRef, AsArray as _, make_array};
use arrow::datatypes::DataType as ArrowType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::value::RawValue;

use super::{BadRow, Copy, Failure, Format};

/// A column of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: String,
    /// Its type, in the words of the catalog.
    pub(crate) data_type: String,
}

/// A row: a value or NULL for each column.
type Row = Vec<Option<String>>;

/// The rows of a file.
///
/// # Errors
/// What Redshift says of a file that it cannot read.
pub(crate) fn rows(
    copy: &Copy,
    columns: &[Column],
    url: &str,
    bytes: Bytes,
) -> Result<Vec<Row>, Failure> {
    if copy.format == Format::Parquet {
        return parquet_rows(copy, columns, url, bytes);
    }
    let mut text = Vec::new();
    let read = match copy.gzip {
        true => flate2::read::MultiGzDecoder::new(&*bytes).read_to_end(&mut text),
        false => (&*bytes).read_to_end(&mut text),
    };
    read.map_err(|_| Failure::said("Problem reading manifest file or data file: not gzip", url))?;
    let bad = |line: u64, code: i32, reason: &str| {
        Failure::Row(Box::new(BadRow {
            file: url.to_owned(),
            line,
            code,
            reason: reason.to_owned(),
            ..BadRow::default()
        }))
    };
    let text = String::from_utf8(text)
        .map_err(|_| bad(1, 1220, "String contains invalid or unsupported UTF8 codepoints"))?;
    match copy.format {
        Format::Json => {
            let mut rows = Vec::new();
            for (number, line) in (1..).zip(text.lines()) {
                if !line.trim().is_empty() {
                    rows.push(
                        json_row(columns, line)
                            .ok_or_else(|| bad(number, 1230, "Invalid JSON object"))?,
                    );
                }
            }
            Ok(rows)
        }
        _ => csv_rows(copy, columns, &text).map_err(|(line, code, reason)| bad(line, code, reason)),
    }
}

/// Guide, "COPY from JSON format", option 'auto': keys are the names of columns.
fn json_row(columns: &[Column], line: &str) -> Option<Row> {
    let object: BTreeMap<String, Box<RawValue>> = serde_json::from_str(line).ok()?;
    let value = |column: &Column| {
        let raw = object.get(&column.name)?.get();
        if raw == "null" {
            return None;
        }
        if column.data_type == "super" {
            return Some(raw.to_owned());
        }
        // A text without its quotes, all else as it stands.
        Some(serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned()))
    };
    Some(columns.iter().map(value).collect())
}

fn csv_rows(
    copy: &Copy,
    columns: &[Column],
    text: &str,
) -> Result<Vec<Row>, (u64, i32, &'static str)> {
    let mut rows = Vec::new();
    for (number, fields) in (1..).zip(csv_fields(text)) {
        if number <= copy.ignore_header {
            continue;
        }
        let fields = fields.ok_or((number, 1201, "Invalid quote formatting for CSV"))?;
        if fields.len() > columns.len() {
            return Err((number, 1202, "Extra column(s) found"));
        }
        if fields.len() < columns.len() && !copy.fill {
            return Err((number, 1214, "Delimiter not found"));
        }
        let value = |(index, column): (usize, &Column)| {
            let field = fields.get(index).map_or("", String::as_str);
            let is_text = column.data_type.starts_with("character");
            // Guide, "Data conversion parameters": what is empty is NULL, and in texts only with EMPTYASNULL.
            (!field.is_empty() || (is_text && !copy.empty_as_null)).then(|| field.to_owned())
        };
        rows.push(columns.iter().enumerate().map(value).collect());
    }
    Ok(rows)
}

/// The fields of each record, `None` for one that is broken.
fn csv_fields(text: &str) -> Vec<Option<Vec<String>>> {
    let mut records = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut fields = Vec::new();
        loop {
            let field;
            if let Some(inner) = rest.strip_prefix('"') {
                let Some((value, after)) = quoted(inner) else {
                    records.push(None);
                    return records;
                };
                field = value;
                rest = after;
            } else {
                let end = rest.find([',', '\n']).unwrap_or(rest.len());
                field = rest[..end].trim_end_matches('\r').to_owned();
                rest = &rest[end..];
            }
            fields.push(field);
            match rest.strip_prefix(',') {
                Some(after) => rest = after,
                None => {
                    rest = rest.strip_prefix('\r').unwrap_or(rest);
                    rest = rest.strip_prefix('\n').unwrap_or(rest);
                    break;
                }
            }
        }
        records.push(Some(fields));
    }
    records
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let at = rest.find('"')?;
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                value.push('"');
                rest = after;
            }
            None => return Some((value, rest)),
        }
    }
}

/// Guide, "COPY from columnar data formats": by place, with as many columns as are listed, each of a type that fits.
fn parquet_rows(
    copy: &Copy,
    columns: &[Column],
    url: &str,
    bytes: Bytes,
) -> Result<Vec<Row>, Failure> {
    let scan = |code: u32, context: String| {
        Failure::said(
            "Spectrum Scan Error",
            format!("error:  Spectrum Scan Error\ncode:      {code}\ncontext:   {context}"),
        )
    };
    let unreadable = |error: &dyn std::fmt::Display| {
        scan(15_001, format!("File '{url}' cannot be read: {error}"))
    };
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| unreadable(&error))?;
    let fields = reader.schema().fields().clone();
    if fields.len() > columns.len() || (fields.len() < columns.len() && !copy.fill) {
        return Err(Failure::said(
            format!(
                "Unmatched number of columns between table and file. Table columns: {}, Data columns: {}",
                columns.len(),
                fields.len()
            ),
            format!("code:      15007\ncontext:   File name: {url}"),
        ));
    }
    for (column, field) in columns.iter().zip(&fields) {
        if !fits(&column.data_type, field.data_type(), copy.serialize_to_json) {
            return Err(scan(
                15_007,
                format!(
                    "File '{url}' has an incompatible Parquet schema for column '{}'. Column type: {}, Parquet \
                     schema: {}",
                    column.name,
                    column.data_type,
                    field.data_type()
                ),
            ));
        }
    }
    let mut rows = Vec::new();
    for batch in reader.build().map_err(|error| unreadable(&error))? {
        let batch = batch.map_err(|error| unreadable(&error))?;
        let texts = batch.columns().iter().map(texts_of).collect::<Option<Vec<_>>>();
        let texts = texts.ok_or_else(|| unreadable(&"a type is not known to the stand-in"))?;
        for row in 0..batch.num_rows() {
            let value = |index: usize| texts.get(index).and_then(|column| column[row].clone());
            rows.push((0..columns.len()).map(value).collect());
        }
    }
    Ok(rows)
}

fn fits(column: &str, file: &ArrowType, serialize_to_json: bool) -> bool {
    use ArrowType as A;
    match column.split('(').next().unwrap_or_default() {
        "bigint" => file.is_integer(),
        "integer" => matches!(file, A::Int8 | A::Int16 | A::Int32 | A::UInt8 | A::UInt16),
        "smallint" => matches!(file, A::Int8 | A::Int16 | A::UInt8),
        "double precision" => matches!(file, A::Float64 | A::Float32),
        "boolean" => *file == A::Boolean,
        "character varying" => matches!(file, A::Utf8 | A::LargeUtf8 | A::Utf8View),
        "super" => {
            serialize_to_json && (file.is_nested() || matches!(file, A::Utf8 | A::LargeUtf8))
        }
        "numeric" => match file {
            A::Decimal128(_, scale) => {
                let wanted =
                    column.rsplit(',').next().and_then(|s| s.trim_end_matches(')').parse().ok());
                wanted == Some(*scale)
            }
            _ => false,
        },
        "date" => *file == A::Date32,
        "timestamp with time zone" | "timestamp without time zone" => {
            matches!(file, A::Timestamp(_, _))
        }
        "binary varying" => matches!(file, A::Binary | A::LargeBinary),
        // COPY has no conversion into TIME here.
        _ => false,
    }
}

/// The values of a column as PostgreSQL reads them.
fn texts_of(array: &ArrayRef) -> Option<Vec<Option<String>>> {
    let present = |row: usize| array.is_valid(row);
    if let Some(bytes) = array.as_binary_opt::<i32>() {
        let hex = |row: usize| {
            let digits: String =
                bytes.value(row).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\\x{digits}")
        };
        return Some((0..array.len()).map(|row| present(row).then(|| hex(row))).collect());
    }
    if let ArrowType::Timestamp(unit, Some(_)) = array.data_type() {
        // Points in time are kept in UTC, whatever the zone that they are shown in.
        let local = ArrowType::Timestamp(*unit, None);
        let local = array.to_data().into_builder().data_type(local).build().ok()?;
        let texts = texts_of(&make_array(local))?;
        let in_utc = |text: Option<String>| text.map(|text| format!("{text}+00"));
        return Some(texts.into_iter().map(in_utc).collect());
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options).ok()?;
    let text = |row: usize| present(row).then(|| formatter.value(row).to_string());
    Some((0..array.len()).map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::parse;
    use crate::sql::statements;

    fn columns(types: &[(&str, &str)]) -> Vec<Column> {
        types
            .iter()
            .map(|(name, data_type)| Column {
                name: (*name).into(),
                data_type: (*data_type).into(),
            })
            .collect()
    }

    fn read(options: &str, types: &[(&str, &str)], text: &str) -> Result<Vec<Row>, Failure> {
        let sql = format!("COPY t FROM 's3://b/k' IAM_ROLE 'r' {options}");
        let copy = parse(&statements(&sql)[0], false).unwrap();
        rows(&copy, &columns(types), "s3://b/k", Bytes::copy_from_slice(text.as_bytes()))
    }

    fn some(texts: &[&str]) -> Row {
        texts.iter().map(|text| Some((*text).to_owned())).collect()
    }

    #[test]
    fn json_is_read_by_name() {
        let types = [("a", "bigint"), ("s", "super"), ("t", "character varying(10)")];
        let text = "{\"t\":\"x\\n\",\"a\":1,\"s\":{\"k\": [1]}, \"other\": 1}\n\n{\"s\":\"text\",\"a\":null}\n";
        let rows = read("FORMAT AS JSON 'auto'", &types, text).unwrap();
        assert_eq!(rows[0], some(&["1", "{\"k\": [1]}", "x\n"]));
        assert_eq!(rows[1], [None, Some("\"text\"".into()), None]);
        let Failure::Row(bad) = read("FORMAT AS JSON 'auto'", &types, "{}\n{").unwrap_err() else {
            panic!("a row")
        };
        assert_eq!((bad.line, bad.code), (2, 1230));
    }

    #[test]
    fn csv_is_read_by_place() {
        let types = [("a", "bigint"), ("t", "character varying(10)")];
        let text = "a,t\n1,\"x,\"\"\n\"\n,\n2,\"\"\n";
        let rows = read("FORMAT AS CSV IGNOREHEADER 1", &types, text).unwrap();
        assert_eq!(rows[0], some(&["1", "x,\"\n"]));
        assert_eq!(
            rows[1],
            [None, Some(String::new())],
            "an empty text is none without EMPTYASNULL"
        );
        let rows = read("FORMAT AS CSV IGNOREHEADER 1 EMPTYASNULL", &types, text).unwrap();
        assert_eq!(rows[2], [Some("2".into()), None]);
        assert!(read("FORMAT AS CSV", &types, "1\n").is_err());
        assert_eq!(
            read("FORMAT AS CSV FILLRECORD EMPTYASNULL", &types, "1\n").unwrap()[0],
            [Some("1".into()), None]
        );
        assert!(read("FORMAT AS CSV", &types, "1,2,3\n").is_err());
    }

    #[test]
    fn a_decimal_of_another_scale_does_not_fit() {
        assert!(fits("numeric(38,9)", &ArrowType::Decimal128(38, 9), false));
        assert!(!fits("numeric(38,9)", &ArrowType::Decimal128(38, 0), false));
        assert!(!fits("super", &ArrowType::Utf8, false) && fits("super", &ArrowType::Utf8, true));
        assert!(!fits("integer", &ArrowType::Int64, false));
    }
}

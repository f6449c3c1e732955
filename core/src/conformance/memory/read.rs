//! Reading JSON lines into records.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use serde_json::Value;

use super::Record;
use crate::conformance::canonical::canonical;
use crate::{Column, DataFile, DataType, Error, ErrorKind, Result, Table, canonical_json};

/// The rows of a file, held against its number of rows.
pub(super) fn read(path: &Path, file: &DataFile, table: &Table) -> Result<Vec<Record>> {
    let failed = |kind, message: &'static str| {
        Error::new(kind, message).with("table", &file.table).with("file", &file.name)
    };
    let bytes = std::fs::read(path).map_err(|error| {
        failed(ErrorKind::Terminal, "the file cannot be read").with_source(error)
    })?;
    let mut text = String::new();
    let read = match file.gzip {
        true => flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text),
        false => bytes.as_slice().read_to_string(&mut text),
    };
    read.map_err(|error| failed(ErrorKind::BadData, "the file is no text").with_source(error))?;
    let mut records = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let record = record(line, table)
            .map_err(|error| error.with("file", &file.name).with("line", number + 1))?;
        records.push(record);
    }
    match records.len() as u64 == file.rows {
        true => Ok(records),
        false => Err(failed(ErrorKind::Terminal, "rows do not reconcile")
            .with("expected", file.rows)
            .with("found", records.len())),
    }
}

fn record(line: &str, table: &Table) -> Result<Record> {
    let bad =
        |message: &'static str| Error::new(ErrorKind::BadData, message).with("table", &table.name);
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else {
        return Err(bad("a line is no JSON object"));
    };
    let mut record = Record::new();
    for (name, value) in fields {
        let column = table.columns.get(&name).ok_or_else(|| bad("the table has no such column"))?;
        if let Some(text) = text_of(column, &value) {
            // The value itself is not shown: it may be somebody's secret.
            let text = text.and_then(|text| canonical(column, &text));
            record.insert(
                name,
                text.ok_or_else(|| bad("a value is not of its type").with("column", &column.name))?,
            );
        }
    }
    Ok(record)
}

/// The text of a value; `None` for NULL, and within it `None` for what no text can be made of.
fn text_of(column: &Column, value: &Value) -> Option<Option<String>> {
    Some(match (column.data_type, value) {
        (Some(DataType::Json), value) => Some(canonical_json(value)),
        (_, Value::Null) => return None,
        (Some(DataType::Binary), Value::String(text)) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok();
            bytes.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        }
        (_, Value::String(text)) => Some(text.clone()),
        (_, Value::Bool(_) | Value::Number(_)) => Some(value.to_string()),
        _ => None,
    })
}

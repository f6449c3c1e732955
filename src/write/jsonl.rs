//! JSON lines: one object a line, without what is NULL.
//!
//! Decimals are texts, since readers of JSON take numbers for doubles; bytes are base64; points in time are ISO 8601
//! with `+00:00`, local ones without. JSON columns stand as what they are, not as texts.

use serde::de::IgnoredAny;
use transload_core::{Error, ErrorKind, Result};

use super::layout::Layout;
use super::text::RowFormat;
use super::values::{Cells, Value, not_finite, write_base64, write_plain};

/// The writer of rows.
#[derive(Debug)]
pub(super) struct Jsonl {
    columns: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    name: String,
    /// The name as JSON, with the colon.
    json: Vec<u8>,
}

impl Jsonl {
    pub(super) fn new(layout: &Layout) -> Self {
        let columns = layout.columns.iter().map(|column| {
            let mut json = Vec::new();
            write_text(&column.name, &mut json);
            json.push(b':');
            Key { name: column.name.clone(), json }
        });
        Self { columns: columns.collect() }
    }
}

impl RowFormat for Jsonl {
    fn begin(&self, _out: &mut Vec<u8>) {}

    fn row(&self, cells: &[Cells<'_>], row: usize, out: &mut Vec<u8>) -> Result<()> {
        out.push(b'{');
        let mut separated = true;
        for (key, cells) in self.columns.iter().zip(cells) {
            let Some(value) = cells.value(row) else { continue };
            if !separated {
                out.push(b',');
            }
            separated = false;
            out.extend_from_slice(&key.json);
            match value {
                Value::Text(text) => write_text(text, out),
                Value::Json(text) => write_json(text, &key.name, out)?,
                Value::Bytes(bytes) => {
                    out.push(b'"');
                    write_base64(bytes, out);
                    out.push(b'"');
                }
                Value::Double(double) if !double.is_finite() => {
                    return Err(not_finite(double, &key.name));
                }
                Value::Boolean(_) | Value::Integer(_) | Value::Double(_) => {
                    write_plain(&value, out)
                }
                _ => {
                    out.push(b'"');
                    write_plain(&value, out);
                    out.push(b'"');
                }
            }
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    fn end(&self, _out: &mut Vec<u8>) {}
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a Vec takes all bytes, and a text is always JSON");
}

/// Writes JSON as it stands. It is checked first: one bad value would make the whole file unreadable.
fn write_json(text: &str, column: &str, out: &mut Vec<u8>) -> Result<()> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| {
        Error::new(ErrorKind::BadData, "a JSON column holds something else")
            .with("column", column)
            .with_hint("give the column the type text, or mend the source")
            .with_source(error)
    })?;
    let start = out.len();
    out.extend_from_slice(text.trim_ascii().as_bytes());
    // In valid JSON a raw line end can only be a blank between values.
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    Ok(())
}

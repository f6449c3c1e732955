//! CSV as RFC 4180 has it, with a header, and with `\n` for line ends.
//!
//! NULL is an empty field without quotes, an empty text is `""`. Texts are quoted where they hold a comma, a quote or a
//! line end, or begin or end with a blank; JSON always. Bytes are base64, doubles that are not finite are `NaN`, `inf`
//! and `-inf`. A NULL in a table of one column makes an empty line, which many readers skip.

use transload_core::Result;

use super::layout::Layout;
use super::text::RowFormat;
use super::values::{Cells, Value, write_base64, write_plain};

/// The writer of rows.
#[derive(Debug)]
pub(super) struct Csv {
    names: Vec<String>,
}

impl Csv {
    pub(super) fn new(layout: &Layout) -> Self {
        Self { names: layout.names() }
    }
}

impl RowFormat for Csv {
    fn begin(&self, out: &mut Vec<u8>) {
        for (index, name) in self.names.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_text(name, out);
        }
        out.push(b'\n');
    }

    fn row(&self, cells: &[Cells<'_>], row: usize, out: &mut Vec<u8>) -> Result<()> {
        for (index, cells) in cells.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match cells.value(row) {
                None => {}
                Some(Value::Text(text)) => write_text(text, out),
                Some(Value::Json(text)) => write_quoted(text, out),
                // No bytes are not NULL.
                Some(Value::Bytes([])) => write_quoted("", out),
                Some(Value::Bytes(bytes)) => write_base64(bytes, out),
                Some(value) => write_plain(&value, out),
            }
        }
        out.push(b'\n');
        Ok(())
    }

    fn end(&self, _out: &mut Vec<u8>) {}
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    let is_blank = |byte: Option<&u8>| matches!(byte, None | Some(b' ' | b'\t'));
    let bytes = text.as_bytes();
    if is_blank(bytes.first())
        || is_blank(bytes.last())
        || bytes.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'))
    {
        write_quoted(text, out);
    } else {
        out.extend_from_slice(bytes);
    }
}

fn write_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for (index, part) in text.split('"').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

//! `insert_values`: one SQL statement a file, in dlt's shape, with the literals of the destination.
//!
//! ```sql
//! INSERT INTO {}("c1","c2")
//! VALUES
//! (1,'a'),
//! (2,NULL);
//! ```
//!
//! `{}` stands for the table. Doubles that are not finite are refused. A NUL in a text stands as it is: where an engine has
//! no such character, its destination must refuse it.

use transload_core::{BinaryEncoding, LiteralRules, Result};

use super::layout::Layout;
use super::text::RowFormat;
use super::values::{Cells, Value, not_finite, write_base64, write_plain};

/// The writer of rows.
#[derive(Debug)]
pub(super) struct InsertValues {
    names: Vec<String>,
    rules: LiteralRules,
}

impl InsertValues {
    pub(super) fn new(layout: &Layout, rules: LiteralRules) -> Self {
        Self { names: layout.names(), rules }
    }

    fn write_value(&self, value: &Value<'_>, out: &mut Vec<u8>) {
        let rules = &self.rules;
        match value {
            Value::Text(text) => self.write_text(text, out),
            Value::Json(text) => {
                out.extend_from_slice(rules.json.0.as_bytes());
                self.write_text(text, out);
                out.extend_from_slice(rules.json.1.as_bytes());
            }
            Value::Bytes(bytes) => {
                out.extend_from_slice(rules.binary.before.as_bytes());
                match rules.binary.encoding {
                    BinaryEncoding::Hex => write_hex(bytes, out),
                    BinaryEncoding::Base64 => write_base64(bytes, out),
                }
                out.extend_from_slice(rules.binary.after.as_bytes());
            }
            Value::Boolean(true) => out.extend_from_slice(b"TRUE"),
            Value::Boolean(false) => out.extend_from_slice(b"FALSE"),
            // An engine reads `-0.0` as an exact number, which has no sign, and many digits as a double, which rounds
            // them. A text in quotes becomes what the column is.
            Value::Double(double) if *double == 0.0 && double.is_sign_negative() => {
                out.extend_from_slice(b"'-0.0'");
            }
            Value::Integer(_) | Value::Double(_) => write_plain(value, out),
            Value::Decimal128(..)
            | Value::Decimal256(..)
            | Value::Date(_)
            | Value::Time(_)
            | Value::Timestamp { .. } => {
                out.push(b'\'');
                write_plain(value, out);
                out.push(b'\'');
            }
        }
    }

    fn write_text(&self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(self.rules.text_prefix.as_bytes());
        out.push(b'\'');
        let bytes = text.as_bytes();
        let mut copied = 0;
        for (index, byte) in bytes.iter().enumerate() {
            let escaped: &[u8] = match byte {
                b'\'' => b"''",
                b'\\' if self.rules.backslash_escapes => b"\\\\",
                b'\n' if self.rules.backslash_escapes => b"\\n",
                b'\r' if self.rules.backslash_escapes => b"\\r",
                _ => continue,
            };
            out.extend_from_slice(&bytes[copied..index]);
            out.extend_from_slice(escaped);
            copied = index + 1;
        }
        out.extend_from_slice(&bytes[copied..]);
        out.push(b'\'');
    }
}

impl RowFormat for InsertValues {
    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"INSERT INTO {}(");
        for (index, name) in self.names.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(name.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b")\nVALUES\n");
    }

    fn separator(&self) -> &'static [u8] {
        b",\n"
    }

    fn row(&self, cells: &[Cells<'_>], row: usize, out: &mut Vec<u8>) -> Result<()> {
        out.push(b'(');
        for (index, (cells, name)) in cells.iter().zip(&self.names).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match cells.value(row) {
                None => out.extend_from_slice(b"NULL"),
                Some(Value::Double(double)) if !double.is_finite() => {
                    return Err(not_finite(double, name));
                }
                Some(value) => self.write_value(&value, out),
            }
        }
        out.push(b')');
        Ok(())
    }

    fn end(&self, out: &mut Vec<u8>) {
        out.push(b';');
    }
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use transload_core::BinaryLiteral;

    use super::*;

    fn literal(rules: LiteralRules, value: Value<'_>) -> String {
        let mut out = Vec::new();
        InsertValues::new(&Layout::default(), rules).write_value(&value, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn rules(prefix: &str, backslash_escapes: bool, json: (&str, &str)) -> LiteralRules {
        LiteralRules {
            text_prefix: prefix.into(),
            backslash_escapes,
            binary: BinaryLiteral {
                before: "from_base64('".into(),
                encoding: BinaryEncoding::Base64,
                after: "')".into(),
            },
            json: (json.0.into(), json.1.into()),
        }
    }

    #[test]
    fn backslashes_and_line_ends_stay_where_nothing_escapes_them() {
        let of = |value| literal(rules("", false, ("", "")), value);
        assert_eq!(of(Value::Text("it's\\n\r\n")), "'it''s\\n\r\n'");
        assert_eq!(of(Value::Bytes(b"hello")), "from_base64('aGVsbG8=')");
    }

    #[test]
    fn exact_numbers_are_quoted_so_that_no_engine_rounds_them() {
        let of = |value| literal(rules("E", true, ("", "")), value);
        assert_eq!(of(Value::Decimal128(12345, 2)), "'123.45'");
        assert_eq!(of(Value::Double(-0.0)), "'-0.0'");
        assert_eq!(of(Value::Double(0.5)), "0.5");
    }

    #[test]
    fn json_is_a_text_with_something_around_it() {
        let of = |json| literal(rules("E", true, json), Value::Json(r#"{"a":"\n'"}"#));
        assert_eq!(of(("", "")), r#"E'{"a":"\\n''"}'"#);
        assert_eq!(of(("parse(", ")")), r#"parse(E'{"a":"\\n''"}')"#);
    }
}

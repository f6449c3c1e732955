//! JSON lines, CSV and `insert_values`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::bytes_of;
use crate::conformance::case::Outcome;
use crate::sql::Row;
use crate::{BinaryEncoding, Column, DataType, LiteralRules};

/// A time in the words of the engine: ISO 8601, and an offset only where it is a point in time.
fn time_text(column: &Column, text: &str) -> String {
    match column.data_type {
        Some(DataType::Timestamp) if column.has_timezone() => {
            format!("{}+00:00", text.trim_end_matches('Z'))
        }
        _ => text.trim_end_matches('Z').to_owned(),
    }
}

fn is_plain_number(column: &Column) -> bool {
    match column.data_type {
        Some(DataType::Bool | DataType::Double) => true,
        Some(DataType::Bigint) => column.precision.unwrap_or(64) <= 64,
        _ => false,
    }
}

/// One object a line, without what is NULL.
pub(super) fn jsonl(columns: &[Column], rows: &[Row]) -> Outcome<Vec<u8>> {
    let mut out = String::new();
    for row in rows {
        let mut fields = Vec::new();
        for (column, value) in columns.iter().zip(row) {
            let Some(value) = value else { continue };
            let text = match column.data_type {
                _ if is_plain_number(column) => value.clone(),
                Some(DataType::Json) => value.clone(),
                Some(DataType::Binary) => format!("\"{}\"", STANDARD.encode(bytes_of(value)?)),
                _ => serde_json::Value::from(time_text(column, value)).to_string(),
            };
            let name = serde_json::Value::from(column.name.as_str());
            fields.push(format!("{name}:{text}"));
        }
        out.push_str(&format!("{{{}}}\n", fields.join(",")));
    }
    Ok(out.into_bytes())
}

/// RFC 4180 with a header; NULL is an empty field, an empty text is `""`.
pub(super) fn csv(columns: &[Column], rows: &[Row]) -> Outcome<Vec<u8>> {
    let names: Vec<String> = columns.iter().map(|column| field(&column.name)).collect();
    let mut out = names.join(",");
    out.push('\n');
    for row in rows {
        let mut fields = Vec::new();
        for (column, value) in columns.iter().zip(row) {
            fields.push(match (column.data_type, value) {
                (_, None) => String::new(),
                (Some(DataType::Json), Some(value)) => quoted(value),
                (Some(DataType::Binary), Some(value)) if value.is_empty() => quoted(""),
                (Some(DataType::Binary), Some(value)) => STANDARD.encode(bytes_of(value)?),
                (_, Some(value)) => field(&time_text(column, value)),
            });
        }
        out.push_str(&fields.join(","));
        out.push('\n');
    }
    Ok(out.into_bytes())
}

fn field(text: &str) -> String {
    let is_blank = |c: Option<char>| matches!(c, None | Some(' ' | '\t'));
    let plain = !is_blank(text.chars().next())
        && !is_blank(text.chars().last())
        && !text.contains([',', '"', '\n', '\r']);
    if plain { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// One statement with the destination's own literals, one row a line.
pub(super) fn insert_values(
    columns: &[Column],
    rows: &[Row],
    rules: &LiteralRules,
) -> Outcome<Vec<u8>> {
    let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let mut lines = Vec::new();
    for row in rows {
        let mut values = Vec::new();
        for (column, value) in columns.iter().zip(row) {
            values.push(match value {
                None => "NULL".to_owned(),
                Some(value) => literal(column, value, rules)?,
            });
        }
        lines.push(format!("({})", values.join(",")));
    }
    let text = format!("INSERT INTO {{}}({})\nVALUES\n{};\n", names.join(","), lines.join(",\n"));
    Ok(text.into_bytes())
}

fn literal(column: &Column, value: &str, rules: &LiteralRules) -> Outcome<String> {
    Ok(match column.data_type {
        Some(DataType::Bool) => value.to_uppercase(),
        Some(DataType::Double) if value.starts_with("-0") => format!("'{value}'"),
        _ if is_plain_number(column) => value.to_owned(),
        Some(DataType::Text) => text_literal(value, rules),
        Some(DataType::Json) => {
            format!("{}{}{}", rules.json.0, text_literal(value, rules), rules.json.1)
        }
        Some(DataType::Binary) => {
            let bytes = match rules.binary.encoding {
                BinaryEncoding::Hex => value.to_owned(),
                BinaryEncoding::Base64 => STANDARD.encode(bytes_of(value)?),
            };
            format!("{}{bytes}{}", rules.binary.before, rules.binary.after)
        }
        _ => format!("'{}'", time_text(column, value)),
    })
}

fn text_literal(text: &str, rules: &LiteralRules) -> String {
    let text = if rules.backslash_escapes {
        text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
    } else {
        text.to_owned()
    };
    format!("{}'{}'", rules.text_prefix, text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BinaryLiteral;
    use crate::conformance::case::{Cell, NULL, rows};

    fn columns() -> Vec<Column> {
        [DataType::Bigint, DataType::Text, DataType::Binary, DataType::Timestamp, DataType::Json]
            .map(|data_type| Column::new(data_type.as_str(), data_type))
            .to_vec()
    }

    fn sample() -> Vec<Row> {
        let _ = Cell::cell(NULL);
        rows![
            [1, "it's \"x\", \\ \n", "00ff", "2024-02-29T01:02:03Z", "{\"a\":1}"],
            [NULL, "", NULL, NULL, NULL],
        ]
    }

    #[test]
    fn files_are_as_the_engine_writes_them() {
        let rules = LiteralRules {
            text_prefix: "E".into(),
            backslash_escapes: true,
            binary: BinaryLiteral {
                before: "'\\x".into(),
                encoding: BinaryEncoding::Hex,
                after: "'".into(),
            },
            json: (String::new(), String::new()),
        };
        let text = |bytes: Outcome<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
        insta::assert_snapshot!(
            [
                text(jsonl(&columns(), &sample())),
                text(csv(&columns(), &sample())),
                text(insert_values(&columns(), &sample(), &rules)),
            ]
            .join("---\n")
        );
    }
}

//! One text for each value: engines write the same value in many ways.

use serde_json::Value;

use super::moment;
use crate::sql::Row;
use crate::{Column, DataType, canonical_json};

/// The text of a value of this column in its one form, or `None` where it is none of its type.
pub(super) fn canonical(column: &Column, text: &str) -> Option<String> {
    Some(match column.data_type? {
        DataType::Text => text.to_owned(),
        DataType::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" | "yes" => "true".to_owned(),
            "false" | "f" | "0" | "no" => "false".to_owned(),
            _ => return None,
        },
        DataType::Double => {
            let number: f64 = text.trim().parse().ok()?;
            format!("{number:?}")
        }
        DataType::Bigint | DataType::Decimal | DataType::Wei => number(text.trim())?,
        DataType::Binary => {
            let hex = text.strip_prefix("\\x").unwrap_or(text).to_ascii_lowercase();
            let is_hex =
                hex.len().is_multiple_of(2) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            return is_hex.then_some(hex);
        }
        DataType::Json => canonical_json(&serde_json::from_str::<Value>(text).ok()?),
        DataType::Date => {
            moment::days(text)?;
            text.to_owned()
        }
        DataType::Time => moment::shortest_time(text.strip_suffix("+00").unwrap_or(text))?,
        DataType::Timestamp => {
            let (date, time) = moment::date_and_time(text)?;
            moment::days(date)?;
            format!("{date}T{}", moment::shortest_time(time)?)
        }
    })
}

/// Digits without what can be left out: `+1.50` is `1.5`.
fn number(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !digits.is_empty()
        && (!whole.is_empty() || !fraction.is_empty())
        && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if !is_number {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let number = match fraction {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    };
    Some(if number == "0" { number } else { format!("{sign}{number}") })
}

/// Rows in their one form and order. A value that is none of its type is kept as it is, with a mark.
pub(super) fn canonical_rows(columns: &[Column], rows: Vec<Row>) -> Vec<Row> {
    let cell = |column: &Column, text: String| match canonical(column, &text) {
        Some(text) => text,
        None => format!("<not of the type: {text}>"),
    };
    let mut rows: Vec<Row> = rows
        .into_iter()
        .map(|row| {
            let width = row.len();
            let mut cells: Row = row
                .into_iter()
                .zip(columns)
                .map(|(value, column)| value.map(|text| cell(column, text)))
                .collect();
            if width != columns.len() {
                cells.push(Some(format!("<{width} values for {} columns>", columns.len())));
            }
            cells
        })
        .collect();
    rows.sort();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_text() {
        for (data_type, texts, expected) in [
            (DataType::Bool, &["t", "TRUE", "1"][..], "true"),
            (DataType::Decimal, &["1.50", "+01.5", "1.5"], "1.5"),
            (DataType::Bigint, &["-0", "0", "00"], "0"),
            (DataType::Double, &["1e2", "100", "100.0"], "100.0"),
            (DataType::Binary, &["\\x00FF", "00ff"], "00ff"),
            (DataType::Json, &["{\"b\": 1, \"a\": [null]}"], "{\"a\":[null],\"b\":1}"),
            (DataType::Time, &["23:59:59.500000", "23:59:59.5"], "23:59:59.5"),
            (
                DataType::Timestamp,
                &["2024-02-29 01:02:03+00", "2024-02-29T01:02:03.000000Z"],
                "2024-02-29T01:02:03",
            ),
        ] {
            for text in texts {
                let found = canonical(&Column::new("c", data_type), text);
                assert_eq!(found.as_deref(), Some(expected), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_value_of_its_type_has_no_text() {
        for (data_type, text) in [
            (DataType::Bool, "2"),
            (DataType::Decimal, "1e5"),
            (DataType::Bigint, ""),
            (DataType::Binary, "abc"),
            (DataType::Json, "{"),
            (DataType::Date, "no date"),
            (DataType::Timestamp, "2024-02-29"),
        ] {
            assert_eq!(canonical(&Column::new("c", data_type), text), None, "{text}");
        }
    }
}

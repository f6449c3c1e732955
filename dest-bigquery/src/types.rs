//! Types of columns, in the words of SQL and in those of the API.

use serde_json::{Value, json};
use transload_core::{Column, DataType, Error, ErrorKind, Result};

/// The hint for a text that is a point set on the surface of the earth.
pub(crate) const GEOGRAPHY: &str = "x-bigquery-geography";

/// A type: its word in SQL, and what stands in brackets behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Type {
    word: String,
    numbers: Vec<u32>,
}

impl Type {
    /// The type of a column, as dlt chooses it.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where BigQuery has none.
    pub(crate) fn of(column: &Column) -> Result<Self> {
        let refused = |reason: &str| {
            Error::new(ErrorKind::Configuration, "BigQuery has no type for a column")
                .with("column", &column.name)
                .with("reason", reason)
        };
        let Some(data_type) = column.data_type else {
            return Err(Error::new(ErrorKind::Bug, "a column without a type cannot be made")
                .with("column", &column.name));
        };
        let sized = |word: &str| Self::new(word, column.precision);
        match data_type {
            DataType::Text | DataType::Binary if column.precision == Some(0) => {
                Err(refused("a length is one or more"))
            }
            // Well-known text, or GeoJSON. "Work with geospatial data", load geospatial data.
            DataType::Text if column.has_hint(GEOGRAPHY) => Ok(Self::new("GEOGRAPHY", None)),
            DataType::Text => Ok(sized("STRING")),
            DataType::Binary => Ok(sized("BYTES")),
            DataType::Double => Ok(Self::new("FLOAT64", None)),
            DataType::Bool => Ok(Self::new("BOOL", None)),
            DataType::Date => Ok(Self::new("DATE", None)),
            DataType::Time => Ok(Self::new("TIME", None)),
            DataType::Json => Ok(Self::new("JSON", None)),
            DataType::Bigint => match column.precision {
                None | Some(0..=64) => Ok(Self::new("INT64", None)),
                Some(_) => Err(refused("an integer has at most 64 bits")),
            },
            DataType::Timestamp if column.precision.is_some_and(|decimals| decimals > 6) => {
                Err(refused("a second has at most 6 decimals"))
            }
            // Local times too, as dlt has it: a column that either tool made is one that the other one knows.
            DataType::Timestamp => Ok(Self::new("TIMESTAMP", None)),
            DataType::Decimal | DataType::Wei => {
                let default = if data_type == DataType::Wei { (76, 38) } else { (38, 9) };
                let (precision, scale) = match column.precision {
                    Some(precision) => (precision, column.scale.unwrap_or(0)),
                    None => default,
                };
                Self::decimal(precision, scale).ok_or_else(|| {
                    refused("a decimal has at most 38 digits before the point and 38 behind it")
                        .with("precision", precision)
                        .with("scale", scale)
                })
            }
        }
    }

    fn new(word: &str, number: impl IntoIterator<Item = u32>) -> Self {
        Self { word: word.to_owned(), numbers: number.into_iter().collect() }
    }

    /// "Data types", decimal types: NUMERIC has 29 digits before the point and 9 behind it, BIGNUMERIC 38 and 38.
    fn decimal(precision: u32, scale: u32) -> Option<Self> {
        let whole = precision.checked_sub(scale).filter(|_| precision > 0)?;
        match (whole, scale) {
            (29, 9) => Some(Self::new("NUMERIC", None)),
            (38, 38) => Some(Self::new("BIGNUMERIC", None)),
            (0..=29, 0..=9) => Some(Self::new("NUMERIC", [precision, scale])),
            (0..=38, 0..=38) => Some(Self::new("BIGNUMERIC", [precision, scale])),
            _ => None,
        }
    }

    /// The type of a field of a table, from the API.
    pub(crate) fn of_field(field: &Value) -> Self {
        // REST reference, `TableFieldSchema`: the older words stand for the newer ones.
        let word = match field["type"].as_str().unwrap_or_default() {
            "INTEGER" => "INT64",
            "FLOAT" => "FLOAT64",
            "BOOLEAN" => "BOOL",
            "RECORD" => "STRUCT",
            other => other,
        };
        let number = |name: &str| {
            let value = &field[name];
            value.as_str().and_then(|text| text.parse().ok()).or(value.as_u64())
        };
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let found = match (number("maxLength"), number("precision"), number("scale")) {
            (Some(length), ..) => Self::new(word, [small(length)]),
            (_, Some(precision), scale) => {
                let (precision, scale) = (small(precision), small(scale.unwrap_or(0)));
                // In words of ours: a full one is one without numbers.
                let full =
                    matches!((word, precision, scale), ("NUMERIC", 38, 9) | ("BIGNUMERIC", 76, 38));
                match full {
                    true => Self::new(word, None),
                    false => Self::new(word, [precision, scale]),
                }
            }
            _ => Self::new(word, None),
        };
        match field["mode"] == "REPEATED" {
            true => Self::new(&format!("ARRAY<{}>", found.sql()), None),
            false => found,
        }
    }

    /// The words of SQL: `NUMERIC(10,2)`.
    pub(crate) fn sql(&self) -> String {
        let numbers: Vec<String> = self.numbers.iter().map(u32::to_string).collect();
        match numbers.is_empty() {
            true => self.word.clone(),
            false => format!("{}({})", self.word, numbers.join(",")),
        }
    }

    fn of_sql(text: &str) -> Option<Self> {
        let Some((word, rest)) = text.split_once('(') else { return Some(Self::new(text, None)) };
        let numbers = rest.strip_suffix(')')?.split(',').map(|number| number.parse().ok());
        Some(Self { word: word.to_owned(), numbers: numbers.collect::<Option<_>>()? })
    }

    /// Digits before and behind the point.
    fn digits(&self) -> Option<(u32, u32)> {
        match (self.word.as_str(), &self.numbers[..]) {
            ("INT64", []) => Some((19, 0)),
            ("NUMERIC", []) => Some((29, 9)),
            ("BIGNUMERIC", []) => Some((38, 38)),
            ("NUMERIC" | "BIGNUMERIC", [precision, scale]) => {
                Some((precision.checked_sub(*scale)?, *scale))
            }
            _ => None,
        }
    }
}

/// The column as a field of a schema. Every one may be NULL here: staging tables hold what the files hold, and whether a
/// column may is asked when its rows are published.
pub(crate) fn field(column: &Column) -> Result<Value> {
    let Type { word, numbers } = Type::of(column)?;
    let mut field = json!({"name": column.name, "type": word, "mode": "NULLABLE"});
    match &numbers[..] {
        [length] => field["maxLength"] = length.to_string().into(),
        [precision, scale] => {
            field["precision"] = precision.to_string().into();
            field["scale"] = scale.to_string().into();
        }
        _ => {}
    }
    Ok(field)
}

/// Whether `ALTER COLUMN … SET DATA TYPE` makes the one from the other with every value unchanged. "Modify table schemas",
/// change a column's data type; not to FLOAT64, which has fewer digits.
pub(crate) fn widens(from: &str, to: &str) -> bool {
    let (Some(from), Some(to)) = (Type::of_sql(from), Type::of_sql(to)) else { return false };
    if from == to {
        return false;
    }
    if from.word == to.word && matches!(from.word.as_str(), "STRING" | "BYTES") {
        return match (from.numbers.first(), to.numbers.first()) {
            (Some(_), None) => true,
            (Some(from), Some(to)) => from < to,
            (None, _) => false,
        };
    }
    let order =
        |word: &str| ["INT64", "NUMERIC", "BIGNUMERIC"].iter().position(|known| *known == word);
    match (from.digits(), to.digits()) {
        (Some((whole, scale)), Some((to_whole, to_scale))) => {
            order(&from.word) <= order(&to.word) && whole <= to_whole && scale <= to_scale
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(data_type: DataType, precision: Option<u32>, scale: Option<u32>) -> Column {
        Column { precision, scale, ..Column::new("c", data_type) }
    }

    #[test]
    fn every_type_has_its_words_and_comes_back_from_the_api() {
        let mut shown = String::new();
        for column in DataType::ALL.map(|data_type| of(data_type, None, None)).into_iter().chain([
            of(DataType::Text, Some(5), None),
            of(DataType::Binary, Some(5), None),
            of(DataType::Text, None, None).with_hint(GEOGRAPHY),
            of(DataType::Bigint, Some(16), None),
            of(DataType::Decimal, Some(10), Some(2)),
            of(DataType::Decimal, Some(38), None),
            of(DataType::Decimal, Some(29), None),
            of(DataType::Decimal, Some(30), Some(20)),
            of(DataType::Wei, Some(38), Some(9)),
            of(DataType::Timestamp, Some(3), None),
        ]) {
            let (sql, field) = (Type::of(&column).unwrap().sql(), field(&column).unwrap());
            assert_eq!(Type::of_field(&field).sql(), sql);
            shown.push_str(&format!("{sql}: {field}\n"));
        }
        insta::assert_snapshot!(shown);
        for column in [
            of(DataType::Decimal, Some(77), Some(38)),
            of(DataType::Decimal, Some(40), Some(1)),
            of(DataType::Decimal, Some(0), None),
            of(DataType::Timestamp, Some(9), None),
            of(DataType::Bigint, Some(128), None),
        ] {
            assert_eq!(Type::of(&column).unwrap_err().kind(), ErrorKind::Configuration);
        }
    }

    #[test]
    fn older_words_of_the_api_are_known() {
        for (field, sql) in [
            (json!({"type": "INTEGER"}), "INT64"),
            (json!({"type": "FLOAT"}), "FLOAT64"),
            (json!({"type": "STRING", "mode": "REPEATED"}), "ARRAY<STRING>"),
            (json!({"type": "NUMERIC", "precision": "38", "scale": "9"}), "NUMERIC"),
            (json!({"type": "GEOGRAPHY"}), "GEOGRAPHY"),
        ] {
            assert_eq!(Type::of_field(&field).sql(), sql);
        }
    }

    #[test]
    fn a_column_is_widened_where_no_value_changes() {
        for (from, to, expected) in [
            ("INT64", "NUMERIC", true),
            ("INT64", "BIGNUMERIC(38,0)", true),
            ("INT64", "NUMERIC(10,2)", false),
            ("INT64", "FLOAT64", false),
            ("INT64", "STRING", false),
            ("NUMERIC", "BIGNUMERIC", true),
            ("NUMERIC(10,2)", "NUMERIC(12,2)", true),
            ("NUMERIC(10,2)", "NUMERIC(12,5)", false),
            ("BIGNUMERIC(10,2)", "NUMERIC", false),
            ("STRING(5)", "STRING", true),
            ("STRING(5)", "STRING(6)", true),
            ("STRING", "STRING(6)", false),
            ("BYTES(5)", "STRING", false),
            ("STRING", "STRING", false),
        ] {
            assert_eq!(widens(from, to), expected, "{from} to {to}");
        }
    }
}

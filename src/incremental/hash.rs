//! Hashes by which rows with the last value of the cursor are known again: dlt's, so that either tool can go on with
//! what the other remembers.
//!
//! Source: dlt, `digest128` in `dlt/common/utils.py` over the JSON of the key or of the row, with sorted keys.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    i256,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use simd_json::Node;
use transload_core::{Error, ErrorKind, Result};

use super::path::field_at;
use super::time;
use super::value::{Cursor, decimal_text};
use crate::normalize::{push_json_string, push_sorted_json, shake128};

/// The hash of a row or of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowHash([u8; 15]);

impl RowHash {
    pub(super) fn of(text: &str) -> Self {
        Self(shake128(text.as_bytes()))
    }

    pub(super) fn to_text(self) -> String {
        STANDARD_NO_PAD.encode(self.0)
    }

    /// `None` for what no hash is: it then matches no row.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        Some(Self(STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }
}

/// What is hashed of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// All of it.
    Row,
    /// These fields.
    Fields(Vec<String>),
}

/// The hash that is stored, and one more that stands for the same key: dlt writes the key `id` and the key `["id"]` in
/// two ways.
pub(super) struct Hashes {
    pub(super) stored: RowHash,
    pub(super) other: Option<RowHash>,
}

impl Hashes {
    fn of_parts(parts: &[String]) -> Self {
        let list = RowHash::of(&format!("[{}]", parts.join(",")));
        match parts {
            [one] => Self { stored: RowHash::of(one), other: Some(list) },
            _ => Self { stored: list, other: None },
        }
    }
}

fn missing(field: &str) -> Error {
    Error::new(ErrorKind::BadData, "a row lacks a part of the key that tells rows apart")
        .with("field", field)
        .with_hint("names of the key are those of the source; `primary_key` of the incremental names other fields")
}

/// The hashes of the row at the start of `nodes`.
pub(super) fn of_row(key: &Key, nodes: &[Node<'_>]) -> Result<Hashes> {
    let text = |nodes: &[Node<'_>]| {
        let mut text = String::new();
        push_sorted_json(&mut text, nodes, &|_| true);
        text
    };
    match key {
        Key::Row => Ok(Hashes { stored: RowHash::of(&text(nodes)), other: None }),
        Key::Fields(fields) => {
            let part = |field: &String| {
                let at = field_at(nodes, 0, field).ok_or_else(|| missing(field))?;
                Ok(text(&nodes[at..]))
            };
            Ok(Hashes::of_parts(&fields.iter().map(part).collect::<Result<Vec<_>>>()?))
        }
    }
}

/// Hashes the rows of one batch.
pub(super) struct BatchHasher<'b> {
    /// Name, array, in the order in which they are written.
    columns: Vec<(&'b str, &'b dyn Array)>,
    whole: bool,
}

impl<'b> BatchHasher<'b> {
    /// # Errors
    /// [`ErrorKind::BadData`] where a column of the key is missing.
    pub(super) fn new(key: &'b Key, batch: &'b RecordBatch) -> Result<Self> {
        match key {
            Key::Row => {
                let schema = batch.schema_ref();
                let mut columns: Vec<(&str, &dyn Array)> = schema
                    .fields()
                    .iter()
                    .zip(batch.columns())
                    .map(|(field, array)| (field.name().as_str(), array.as_ref()))
                    .collect();
                columns.sort_by_key(|(name, _)| *name);
                Ok(Self { columns, whole: true })
            }
            Key::Fields(fields) => {
                let column = |field: &'b String| match batch.column_by_name(field) {
                    Some(array) => Ok((field.as_str(), array.as_ref())),
                    None => Err(missing(field)),
                };
                Ok(Self {
                    columns: fields.iter().map(column).collect::<Result<_>>()?,
                    whole: false,
                })
            }
        }
    }

    pub(super) fn hash(&self, row: usize) -> Result<Hashes> {
        if !self.whole {
            let part = |(_, array): &(&str, &dyn Array)| {
                let mut text = String::new();
                push_value(&mut text, *array, row)?;
                Ok(text)
            };
            return Ok(Hashes::of_parts(
                &self.columns.iter().map(part).collect::<Result<Vec<_>>>()?,
            ));
        }
        let mut text = String::from("{");
        push_fields(&mut text, self.columns.iter().copied(), row)?;
        text.push('}');
        Ok(Hashes { stored: RowHash::of(&text), other: None })
    }
}

fn push_fields<'b>(
    out: &mut String,
    fields: impl Iterator<Item = (&'b str, &'b dyn Array)>,
    row: usize,
) -> Result<()> {
    for (index, (name, array)) in fields.enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_json_string(out, name);
        out.push(':');
        push_value(out, array, row)?;
    }
    Ok(())
}

/// A value as dlt writes it: times in ISO form, decimals as texts, bytes as base64.
fn push_value(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    if array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    if let Some(value) = scalar(array, row) {
        match value {
            Cursor::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Cursor::Integer(value) => out.push_str(&value.to_string()),
            Cursor::Double(value) => out.push_str(&serde_json::Value::from(value).to_string()),
            Cursor::Text(text) => push_json_string(out, &text),
            Cursor::Decimal { digits, scale } => {
                push_json_string(out, &decimal_text(digits, scale))
            }
            Cursor::Timestamp { nanos, offset } => {
                let text = match offset {
                    Some(0) => format!("{}Z", time::timestamp_text(nanos, None)),
                    offset => time::timestamp_text(nanos, offset),
                };
                push_json_string(out, &text);
            }
            Cursor::Date(days) => push_json_string(out, &time::date_text(days)),
            Cursor::Time(nanos) => push_json_string(out, &time::time_text(nanos)),
        }
        return Ok(());
    }
    let bytes = |out: &mut String, value: &[u8]| push_json_string(out, &STANDARD.encode(value));
    match array.data_type() {
        // NaN is the one double that is no value of a cursor.
        ArrowType::Float16 | ArrowType::Float32 | ArrowType::Float64 => out.push_str("null"),
        ArrowType::Binary => bytes(out, array.as_binary::<i32>().value(row)),
        ArrowType::LargeBinary => bytes(out, array.as_binary::<i64>().value(row)),
        ArrowType::BinaryView => bytes(out, array.as_binary_view().value(row)),
        ArrowType::FixedSizeBinary(_) => bytes(out, array.as_fixed_size_binary().value(row)),
        ArrowType::Struct(_) => {
            let array = array.as_struct();
            let mut fields: Vec<(&str, &dyn Array)> = array
                .column_names()
                .into_iter()
                .zip(array.columns().iter().map(AsRef::as_ref))
                .collect();
            fields.sort_by_key(|(name, _)| *name);
            out.push('{');
            push_fields(out, fields.into_iter(), row)?;
            out.push('}');
        }
        ArrowType::List(_) => push_list(out, array.as_list::<i32>().value(row).as_ref())?,
        ArrowType::LargeList(_) => push_list(out, array.as_list::<i64>().value(row).as_ref())?,
        ArrowType::FixedSizeList(..) => {
            push_list(out, array.as_fixed_size_list().value(row).as_ref())?
        }
        ArrowType::Map(..) => {
            let entries = array.as_map().value(row);
            out.push('[');
            for index in 0..entries.len() {
                out.push_str(if index > 0 { ",[" } else { "[" });
                push_value(out, entries.column(0).as_ref(), index)?;
                out.push(',');
                push_value(out, entries.column(1).as_ref(), index)?;
                out.push(']');
            }
            out.push(']');
        }
        ArrowType::Dictionary(..) => {
            let array = array.as_any_dictionary();
            let key = array.normalized_keys().get(row).copied().unwrap_or_default();
            push_value(out, array.values().as_ref(), key)?;
        }
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "rows with such a column cannot be told apart by their values",
            )
            .with("type", other)
            .with_hint("name the columns that tell rows apart: `primary_key` of the incremental"));
        }
    }
    Ok(())
}

fn push_list(out: &mut String, items: &dyn Array) -> Result<()> {
    out.push('[');
    for index in 0..items.len() {
        if index > 0 {
            out.push(',');
        }
        push_value(out, items, index)?;
    }
    out.push(']');
    Ok(())
}

/// The offset of a zone in seconds. What a zone with a name had at a time is not known here; it is shown in UTC.
fn offset_of(zone: &str) -> i32 {
    let digits = |text: &str| text.parse::<i32>().ok();
    let offset = || {
        let sign = match zone.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (hours, minutes) = match zone.get(1..)?.split_once(':') {
            Some(parts) => parts,
            None => zone.get(1..)?.split_at_checked(2)?,
        };
        let minutes = if minutes.is_empty() { 0 } else { digits(minutes)? };
        Some(sign * (digits(hours)? * 3600 + minutes * 60))
    };
    offset().unwrap_or(0)
}

/// A value that a cursor can have; `None` for others, for NULL and for NaN.
pub(super) fn scalar(array: &dyn Array, row: usize) -> Option<Cursor<'_>> {
    if array.is_null(row) {
        return None;
    }
    macro_rules! number {
        ($type:ty) => {
            array.as_primitive::<$type>().value(row)
        };
    }
    let integer = |value: i128| Some(Cursor::Integer(value));
    let double = |value: f64| (!value.is_nan()).then_some(Cursor::Double(value));
    let decimal = |digits: i256, scale: i8| Some(Cursor::Decimal { digits, scale });
    match array.data_type() {
        ArrowType::Boolean => Some(Cursor::Bool(array.as_boolean().value(row))),
        ArrowType::Int8 => integer(number!(Int8Type).into()),
        ArrowType::Int16 => integer(number!(Int16Type).into()),
        ArrowType::Int32 => integer(number!(Int32Type).into()),
        ArrowType::Int64 => integer(number!(Int64Type).into()),
        ArrowType::UInt8 => integer(number!(UInt8Type).into()),
        ArrowType::UInt16 => integer(number!(UInt16Type).into()),
        ArrowType::UInt32 => integer(number!(UInt32Type).into()),
        ArrowType::UInt64 => integer(number!(UInt64Type).into()),
        ArrowType::Float16 => double(number!(Float16Type).to_f64()),
        ArrowType::Float32 => double(number!(Float32Type).into()),
        ArrowType::Float64 => double(number!(Float64Type)),
        ArrowType::Utf8 => Some(Cursor::Text(array.as_string::<i32>().value(row).into())),
        ArrowType::LargeUtf8 => Some(Cursor::Text(array.as_string::<i64>().value(row).into())),
        ArrowType::Utf8View => Some(Cursor::Text(array.as_string_view().value(row).into())),
        ArrowType::Decimal32(_, scale) => {
            decimal(i256::from_i128(number!(Decimal32Type).into()), *scale)
        }
        ArrowType::Decimal64(_, scale) => {
            decimal(i256::from_i128(number!(Decimal64Type).into()), *scale)
        }
        ArrowType::Decimal128(_, scale) => {
            decimal(i256::from_i128(number!(Decimal128Type)), *scale)
        }
        ArrowType::Decimal256(_, scale) => decimal(number!(Decimal256Type), *scale),
        ArrowType::Date32 => Some(Cursor::Date(number!(Date32Type))),
        ArrowType::Date64 => {
            Some(Cursor::Date(i32::try_from(number!(Date64Type).div_euclid(86_400_000)).ok()?))
        }
        ArrowType::Time32(TimeUnit::Second) => {
            Some(Cursor::Time(i64::from(number!(Time32SecondType)).checked_mul(1_000_000_000)?))
        }
        ArrowType::Time32(_) => {
            Some(Cursor::Time(i64::from(number!(Time32MillisecondType)).checked_mul(1_000_000)?))
        }
        ArrowType::Time64(TimeUnit::Nanosecond) => {
            Some(Cursor::Time(number!(Time64NanosecondType)))
        }
        ArrowType::Time64(_) => {
            Some(Cursor::Time(number!(Time64MicrosecondType).checked_mul(1000)?))
        }
        ArrowType::Timestamp(unit, zone) => {
            let nanos = match unit {
                TimeUnit::Second => i128::from(number!(TimestampSecondType)) * 1_000_000_000,
                TimeUnit::Millisecond => i128::from(number!(TimestampMillisecondType)) * 1_000_000,
                TimeUnit::Microsecond => i128::from(number!(TimestampMicrosecondType)) * 1000,
                TimeUnit::Nanosecond => number!(TimestampNanosecondType).into(),
            };
            Some(Cursor::Timestamp { nanos, offset: zone.as_deref().map(offset_of) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(key: &Key, text: &str) -> Result<String> {
        let mut bytes = text.as_bytes().to_vec();
        let tape = simd_json::to_tape(&mut bytes).unwrap();
        Ok(of_row(key, &tape.0)?.stored.to_text())
    }

    #[test]
    fn hashes_of_rows_are_those_of_dlt() {
        let row = |text| hash(&Key::Row, text).unwrap();
        assert_eq!(row(r#"{"c":3,"id":5}"#), "kh9qjwkTY69oGWiLFCKn");
        assert_eq!(row(r#" { "id" : 2, "c": 2 }"#), "iOJG2tLJhrrCqyvv+bUA");
        assert_eq!(row(r#"{"id":1,"a":{"b":[{"c":4}]}}"#), "5W+ngo+NsMQDaB8LTcbl");
        assert_eq!(row(r#"{"id":1,"Updated At":4}"#), "Yxts1CzPQYavNUpyngc1");
        assert_eq!(row(r#"{"id":1,"c":"2024-01-01T00:00:00Z"}"#), "4HXTBsZ7Y8HHsGxrRW6a");
    }

    #[test]
    fn hashes_of_keys_are_those_of_dlt() {
        let fields =
            |names: &[&str]| Key::Fields(names.iter().map(|name| (*name).to_owned()).collect());
        let text = r#"{"id":1,"k":2,"c":1}"#;
        assert_eq!(hash(&fields(&["id"]), text).unwrap(), "669czW83KR00ut4bv/U5");
        assert_eq!(hash(&fields(&["k"]), text).unwrap(), "Tp44cKMYfAuJiBfxLAqu");
        assert_eq!(
            hash(&fields(&["id", "c"]), r#"{"id":12,"c":2}"#).unwrap(),
            "CTxMwEBfbDn4DBZ7v/BF"
        );
        let error = hash(&fields(&["zz"]), text).unwrap_err();
        assert_eq!((error.kind(), error.context("field")), (ErrorKind::BadData, Some("zz")));
        let mut bytes = text.as_bytes().to_vec();
        let tape = simd_json::to_tape(&mut bytes).unwrap();
        let both = of_row(&fields(&["id"]), &tape.0).unwrap();
        assert_eq!(both.other.map(RowHash::to_text).as_deref(), Some("Lj3E34tIJ/ZxYHsNLfaH"));
    }

    #[test]
    fn a_hash_is_read_again_and_what_is_none_matches_nothing() {
        let text = "pIY9NBilOlYdoygDdtwF";
        assert_eq!(RowHash::from_text(text).map(RowHash::to_text).as_deref(), Some(text));
        assert!(RowHash::from_text("").is_none() && RowHash::from_text("pIY9").is_none());
    }

    #[test]
    fn zones_have_offsets() {
        assert_eq!(
            ["+02:00", "-0330", "+02", "UTC", "Z", "Europe/Berlin"].map(offset_of),
            [7200, -12_600, 7200, 0, 0, 0]
        );
    }
}

//! Parquet, by the writer below Arrow: the contract has no Arrow, and neither has a stranger to.

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use super::bytes_of;
use crate::conformance::case::{Failure, Outcome};
use crate::conformance::moment;
use crate::sql::Row;
use crate::{Capabilities, Column, DataType};

impl From<ParquetError> for Failure {
    fn from(error: ParquetError) -> Self {
        Self::untrue(format!("the suite could not write a Parquet file: {error}"))
    }
}

/// A file with one row group.
pub(super) fn parquet(
    columns: &[Column],
    rows: &[Row],
    capabilities: &Capabilities,
) -> Outcome<Vec<u8>> {
    let fields: Vec<TypePtr> = columns
        .iter()
        .map(|column| field(column, capabilities).map(Arc::new))
        .collect::<Outcome<_>>()?;
    let schema = Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default())?;
    if !rows.is_empty() {
        let mut group = writer.next_row_group()?;
        for (index, column) in columns.iter().enumerate() {
            let values: Vec<&str> =
                rows.iter().filter_map(|row| row.get(index)?.as_deref()).collect();
            let levels: Vec<i16> = rows
                .iter()
                .map(|row| i16::from(row.get(index).is_some_and(Option::is_some)))
                .collect();
            let mut target = group
                .next_column()?
                .ok_or_else(|| Failure::untrue("a Parquet file lacks a column of its own"))?;
            write(column, capabilities, &values, &levels, target.untyped())?;
            target.close()?;
        }
        group.close()?;
    }
    Ok(writer.into_inner()?)
}

/// Digits and those behind the point, as the engine would take them.
fn digits(column: &Column, capabilities: &Capabilities) -> (u32, u32) {
    let or = |claimed: (u32, u32), usual| if claimed.0 == 0 { usual } else { claimed };
    match (column.precision, column.data_type) {
        (Some(precision), _) => (precision, column.scale.unwrap_or(0)),
        (None, Some(DataType::Wei)) => or(capabilities.wei, (38, 0)),
        _ => or(capabilities.decimal, (38, 9)),
    }
}

/// Nanoseconds of the unit in which a time is kept, and the unit.
fn unit(column: &Column) -> (i128, TimeUnit) {
    match column.precision.unwrap_or(6) {
        0..=3 => (1_000_000, TimeUnit::MILLIS),
        4..=6 => (1000, TimeUnit::MICROS),
        _ => (1, TimeUnit::NANOS),
    }
}

/// Bytes that hold a decimal of so many digits.
fn width(precision: u32) -> i32 {
    if precision > 38 { 32 } else { 16 }
}

fn field(column: &Column, capabilities: &Capabilities) -> Outcome<Type> {
    let builder = |physical, logical| {
        Type::primitive_type_builder(&column.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
    };
    let integer = |bit_width| Some(LogicalType::Integer { bit_width, is_signed: true });
    let builder = match column.data_type {
        Some(DataType::Text | DataType::Json) => {
            builder(Physical::BYTE_ARRAY, Some(LogicalType::String))
        }
        Some(DataType::Double) => builder(Physical::DOUBLE, None),
        Some(DataType::Bool) => builder(Physical::BOOLEAN, None),
        Some(DataType::Binary) => builder(Physical::BYTE_ARRAY, None),
        Some(DataType::Date) => builder(Physical::INT32, Some(LogicalType::Date)),
        Some(DataType::Bigint) => match column.precision.unwrap_or(64) {
            0..=8 => builder(Physical::INT32, integer(8)),
            9..=16 => builder(Physical::INT32, integer(16)),
            17..=32 => builder(Physical::INT32, integer(32)),
            _ => builder(Physical::INT64, integer(64)),
        },
        Some(DataType::Time) => {
            let logical = LogicalType::Time { is_adjusted_to_u_t_c: false, unit: unit(column).1 };
            let physical =
                if unit(column).0 == 1_000_000 { Physical::INT32 } else { Physical::INT64 };
            builder(physical, Some(logical))
        }
        Some(DataType::Timestamp) => {
            let is_adjusted_to_u_t_c = column.has_timezone();
            let logical = LogicalType::Timestamp { is_adjusted_to_u_t_c, unit: unit(column).1 };
            builder(Physical::INT64, Some(logical))
        }
        Some(DataType::Decimal | DataType::Wei) => {
            let (precision, scale) = digits(column, capabilities);
            let (precision, scale) = (small(precision)?, small(scale)?);
            builder(Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Decimal { scale, precision }))
                .with_length(width(digits(column, capabilities).0))
                .with_precision(precision)
                .with_scale(scale)
        }
        None => return Err(Failure::untrue("a column of the suite has no type")),
    };
    Ok(builder.build()?)
}

fn small(number: u32) -> Outcome<i32> {
    i32::try_from(number).map_err(|_| Failure::untrue(format!("no decimal has {number} digits")))
}

fn write(
    column: &Column,
    capabilities: &Capabilities,
    values: &[&str],
    levels: &[i16],
    target: &mut ColumnWriter<'_>,
) -> Outcome {
    let none = |value: &str| Failure::untrue(format!("{value:?} is no value of {}", column.name));
    macro_rules! batch {
        ($writer:expr, $parse:expr) => {{
            let parse = $parse;
            let parsed: Vec<_> = values
                .iter()
                .map(|value| parse(value).ok_or_else(|| none(value)))
                .collect::<Outcome<_>>()?;
            $writer.write_batch(&parsed, Some(levels), None)?;
        }};
    }
    let scaled = |nanoseconds: i128| nanoseconds / unit(column).0;
    match (target, column.data_type) {
        (ColumnWriter::BoolColumnWriter(writer), _) => {
            batch!(writer, |value: &str| value.parse::<bool>().ok());
        }
        (ColumnWriter::DoubleColumnWriter(writer), _) => {
            batch!(writer, |value: &str| value.parse::<f64>().ok());
        }
        (ColumnWriter::Int32ColumnWriter(writer), Some(DataType::Date)) => {
            batch!(writer, |value: &str| i32::try_from(moment::days(value)?).ok());
        }
        (ColumnWriter::Int32ColumnWriter(writer), Some(DataType::Time)) => {
            batch!(writer, |value: &str| i32::try_from(scaled(moment::nanoseconds(value)?.into()))
                .ok());
        }
        (ColumnWriter::Int32ColumnWriter(writer), _) => {
            batch!(writer, |value: &str| value.parse::<i32>().ok());
        }
        (ColumnWriter::Int64ColumnWriter(writer), Some(DataType::Time)) => {
            batch!(writer, |value: &str| i64::try_from(scaled(moment::nanoseconds(value)?.into()))
                .ok());
        }
        (ColumnWriter::Int64ColumnWriter(writer), Some(DataType::Timestamp)) => {
            batch!(writer, |value: &str| i64::try_from(scaled(moment::timestamp(value)?)).ok());
        }
        (ColumnWriter::Int64ColumnWriter(writer), _) => {
            batch!(writer, |value: &str| value.parse::<i64>().ok());
        }
        (ColumnWriter::ByteArrayColumnWriter(writer), Some(DataType::Binary)) => {
            batch!(writer, |value: &str| bytes_of(value).ok().map(ByteArray::from));
        }
        (ColumnWriter::ByteArrayColumnWriter(writer), _) => {
            batch!(writer, |value: &str| Some(ByteArray::from(value)));
        }
        (ColumnWriter::FixedLenByteArrayColumnWriter(writer), _) => {
            let (precision, scale) = digits(column, capabilities);
            batch!(writer, |value: &str| {
                let bytes = big_endian(value, scale as usize, width(precision) as usize)?;
                Some(FixedLenByteArray::from(bytes))
            });
        }
        _ => {
            return Err(Failure::untrue(format!(
                "the suite cannot write {} to Parquet",
                column.name
            )));
        }
    }
    Ok(())
}

/// A decimal as the two's complement of its digits, without a point. Numbers of 256 bits have no type of their own in the
/// standard library, so this multiplies by hand.
fn big_endian(text: &str, scale: usize, width: usize) -> Option<Vec<u8>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = format!("{fraction:0<scale$}");
    if fraction.len() > scale {
        return None;
    }
    let mut bytes = vec![0_u8; width];
    for digit in whole.chars().chain(fraction.chars()) {
        let mut carry = digit.to_digit(10)?;
        for byte in bytes.iter_mut().rev() {
            let product = u32::from(*byte) * 10 + carry;
            *byte = (product & 0xff) as u8;
            carry = product >> 8;
        }
        if carry > 0 {
            return None;
        }
    }
    if negative {
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
            *byte = sum;
            carry = over;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_the_twos_complement_of_their_digits() {
        for (text, scale, expected) in [
            ("1.5", 2, 150_i128),
            ("-1", 0, -1),
            ("0", 9, 0),
            ("-170141183460469231731", 0, -170_141_183_460_469_231_731),
        ] {
            assert_eq!(big_endian(text, scale, 16).unwrap(), expected.to_be_bytes(), "{text}");
        }
        assert_eq!(big_endian("1.25", 1, 16), None);
        assert_eq!(big_endian(&"9".repeat(60), 0, 16), None);
    }
}

//! The values of one column while a chunk is shredded.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryBuilder, BooleanBuilder, Decimal128Builder,
    Decimal256Builder, Float64Builder, Int64Array, Int64Builder, PrimitiveArray, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType as ArrowType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow::error::ArrowError;
use transload_core::{Column, DataType, Error, ErrorKind, Result};

use super::coerce::{self, Value};
use super::layout::SlotId;
use crate::arrow_types::{Defaults, arrow_type};

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is in the column.
    Stored,
    /// The column's type cannot hold it.
    Refused,
    /// The row has a value in this column already.
    Taken,
}

/// A column of the schema with the values of the chunk so far.
pub(super) struct ColumnValues {
    pub(super) column: Column,
    /// The variant column for values of each type, once one was needed.
    pub(super) variants: [Option<usize>; DataType::ALL.len()],
    /// The key that wrote last: names the other one where two keys become one column.
    pub(super) writer: Option<SlotId>,
    data_type: DataType,
    arrow_type: ArrowType,
    values: Values,
    scratch: String,
}

enum Values {
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Bool(BooleanBuilder),
    /// Integers, and dates and times in the unit of the column.
    Integer(Int64Builder),
    Double(Float64Builder),
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
}

impl ColumnValues {
    pub(super) fn new(column: Column, defaults: &Defaults) -> Result<Self> {
        let arrow_type = arrow_type(&column, defaults)?;
        let values = match &arrow_type {
            ArrowType::Utf8 => Values::Text(StringBuilder::new()),
            ArrowType::Binary => Values::Binary(BinaryBuilder::new()),
            ArrowType::Boolean => Values::Bool(BooleanBuilder::new()),
            ArrowType::Float64 => Values::Double(Float64Builder::new()),
            ArrowType::Decimal128(precision, scale) => Values::Decimal128(
                Decimal128Builder::new().with_data_type(arrow_type.clone()),
                *precision,
                *scale,
            ),
            ArrowType::Decimal256(precision, scale) => Values::Decimal256(
                Decimal256Builder::new().with_data_type(arrow_type.clone()),
                *precision,
                *scale,
            ),
            _ => Values::Integer(Int64Builder::new()),
        };
        let Some(data_type) = column.data_type else {
            return Err(Error::new(ErrorKind::Bug, "a column without a type has no values")
                .with("column", &column.name));
        };
        Ok(Self {
            column,
            variants: Default::default(),
            writer: None,
            data_type,
            arrow_type,
            values,
            scratch: String::new(),
        })
    }

    pub(super) fn data_type(&self) -> DataType {
        self.data_type
    }

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder as _;
        match &self.values {
            Values::Text(builder) => builder.len(),
            Values::Binary(builder) => builder.len(),
            Values::Bool(builder) => builder.len(),
            Values::Integer(builder) => builder.len(),
            Values::Double(builder) => builder.len(),
            Values::Decimal128(builder, ..) => builder.len(),
            Values::Decimal256(builder, ..) => builder.len(),
        }
    }

    /// Fills up with NULLs to this number of rows.
    fn pad(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.len());
        if missing == 0 {
            return;
        }
        match &mut self.values {
            Values::Text(builder) => builder.append_nulls(missing),
            Values::Binary(builder) => (0..missing).for_each(|_| builder.append_null()),
            Values::Bool(builder) => builder.append_nulls(missing),
            Values::Integer(builder) => builder.append_nulls(missing),
            Values::Double(builder) => builder.append_nulls(missing),
            Values::Decimal128(builder, ..) => builder.append_nulls(missing),
            Values::Decimal256(builder, ..) => builder.append_nulls(missing),
        }
    }

    /// Puts a value into a row; rows in between have none.
    #[inline]
    pub(super) fn put(&mut self, row: usize, value: &Value<'_>) -> Outcome {
        let len = self.len();
        if len != row {
            if len > row {
                return Outcome::Taken;
            }
            self.pad(row);
        }
        match self.store(value) {
            Some(()) => Outcome::Stored,
            None => Outcome::Refused,
        }
    }

    #[inline]
    fn store(&mut self, value: &Value<'_>) -> Option<()> {
        match (&mut self.values, value) {
            (Values::Text(builder), Value::Text(text)) if self.data_type == DataType::Text => {
                builder.append_value(text);
                Some(())
            }
            (Values::Integer(builder), Value::Integer(value))
                if self.arrow_type == ArrowType::Int64 =>
            {
                builder.append_value(*value);
                Some(())
            }
            (Values::Double(builder), Value::Double(value)) => {
                builder.append_value(*value);
                Some(())
            }
            (Values::Bool(builder), Value::Bool(value)) => {
                builder.append_value(*value);
                Some(())
            }
            _ => self.coerce(value),
        }
    }

    fn coerce(&mut self, value: &Value<'_>) -> Option<()> {
        match &mut self.values {
            Values::Text(builder) => {
                if self.data_type == DataType::Json {
                    coerce::to_json(value, &mut self.scratch)?;
                } else {
                    coerce::to_text(value, &mut self.scratch);
                }
                builder.append_value(&self.scratch);
            }
            Values::Binary(builder) => builder.append_value(coerce::to_binary(value)?),
            Values::Bool(builder) => builder.append_value(coerce::to_bool(value)?),
            Values::Double(builder) => builder.append_value(coerce::to_double(value)?),
            Values::Integer(builder) => {
                builder.append_value(match (self.data_type, &self.arrow_type) {
                    (DataType::Bigint, arrow_type) => {
                        coerce::to_bigint(value).filter(|value| fits(*value, arrow_type))?
                    }
                    (DataType::Timestamp, ArrowType::Timestamp(unit, _)) => {
                        in_unit(coerce::to_timestamp(value)?, *unit)?
                    }
                    (DataType::Time, ArrowType::Time32(unit) | ArrowType::Time64(unit)) => {
                        in_unit(coerce::to_time(value)?, *unit)?
                    }
                    (DataType::Date, _) => coerce::to_date(value)?.into(),
                    _ => return None,
                })
            }
            Values::Decimal128(builder, precision, scale) => {
                builder.append_value(coerce::to_decimal(value, *precision, *scale)?.to_i128()?);
            }
            Values::Decimal256(builder, precision, scale) => {
                builder.append_value(coerce::to_decimal(value, *precision, *scale)?);
            }
        }
        Some(())
    }

    /// The array of this many rows, in the Arrow type of the column.
    pub(super) fn finish(mut self, rows: usize) -> Result<(Column, ArrayRef)> {
        self.pad(rows);
        let array: ArrayRef = match self.values {
            Values::Text(mut builder) => Arc::new(builder.finish()),
            Values::Binary(mut builder) => Arc::new(builder.finish()),
            Values::Bool(mut builder) => Arc::new(builder.finish()),
            Values::Double(mut builder) => Arc::new(builder.finish()),
            Values::Decimal128(mut builder, ..) => Arc::new(builder.finish()),
            Values::Decimal256(mut builder, ..) => Arc::new(builder.finish()),
            Values::Integer(mut builder) => integers_as(builder.finish(), &self.arrow_type)
                .map_err(|error| {
                    Error::new(ErrorKind::Bug, "checked integers do not fit their column")
                        .with("column", &self.column.name)
                        .with_source(error)
                })?,
        };
        Ok((self.column, array))
    }
}

fn fits(value: i64, arrow_type: &ArrowType) -> bool {
    match arrow_type {
        ArrowType::Int8 => i8::try_from(value).is_ok(),
        ArrowType::Int16 => i16::try_from(value).is_ok(),
        ArrowType::Int32 => i32::try_from(value).is_ok(),
        _ => true,
    }
}

/// Microseconds in another unit; what a coarser one cannot hold is cut off, as dlt does.
fn in_unit(micros: i64, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Second => Some(micros.div_euclid(1_000_000)),
        TimeUnit::Millisecond => Some(micros.div_euclid(1_000)),
        TimeUnit::Microsecond => Some(micros),
        TimeUnit::Nanosecond => micros.checked_mul(1_000),
    }
}

fn integers_as(array: Int64Array, arrow_type: &ArrowType) -> Result<ArrayRef, ArrowError> {
    Ok(match arrow_type {
        ArrowType::Int64 => Arc::new(array),
        ArrowType::Timestamp(unit, zone) => match unit {
            TimeUnit::Second => {
                Arc::new(retyped::<TimestampSecondType>(array).with_timezone_opt(zone.clone()))
            }
            TimeUnit::Millisecond => {
                Arc::new(retyped::<TimestampMillisecondType>(array).with_timezone_opt(zone.clone()))
            }
            TimeUnit::Microsecond => {
                Arc::new(retyped::<TimestampMicrosecondType>(array).with_timezone_opt(zone.clone()))
            }
            TimeUnit::Nanosecond => {
                Arc::new(retyped::<TimestampNanosecondType>(array).with_timezone_opt(zone.clone()))
            }
        },
        ArrowType::Time64(TimeUnit::Nanosecond) => Arc::new(retyped::<Time64NanosecondType>(array)),
        ArrowType::Time64(_) => Arc::new(retyped::<Time64MicrosecondType>(array)),
        ArrowType::Date32 | ArrowType::Time32(_) => {
            cast(&cast(&array, &ArrowType::Int32)?, arrow_type)?
        }
        _ => cast(&array, arrow_type)?,
    })
}

/// The same numbers under another type of 64 bits.
fn retyped<T: ArrowPrimitiveType<Native = i64>>(array: Int64Array) -> PrimitiveArray<T> {
    let (_, values, nulls) = array.into_parts();
    PrimitiveArray::new(values, nulls)
}

//! The values of one column while a chunk is shredded.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array,
    Float64Array, Int64Array, NullBufferBuilder, PrimitiveArray, StringArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType as ArrowType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, i256,
};
use arrow::error::ArrowError;
use transload_core::{Column, DataType, Error, ErrorKind, Result};

use super::coerce::{self, Value};
use super::layout::SlotId;
use super::room::ColumnRoom;
use super::timestamp;
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

/// A column of the schema with the values of the chunk so far. Arrow's own builders cannot forget rows; these can, since
/// a row that turns out to be bad is taken back.
pub(super) struct ColumnValues {
    pub(super) column: Column,
    /// The variant column for values of each type, once one was needed.
    pub(super) variants: [Option<usize>; DataType::ALL.len()],
    /// The key that wrote last: names the other one where two keys become one column.
    pub(super) writer: Option<SlotId>,
    data_type: DataType,
    arrow_type: ArrowType,
    nulls: NullBufferBuilder,
    values: Values,
    scratch: String,
    /// The first row whose time was cut to the precision of the column.
    pub(super) first_cut: Option<usize>,
}

/// One value for each row; that of a NULL means nothing.
enum Values {
    Text(Bytes),
    Binary(Bytes),
    Bool(Vec<bool>),
    /// Integers, and dates and times in the unit of the column.
    Integer(Vec<i64>),
    Double(Vec<f64>),
    Decimal128(Vec<i128>, u8, i8),
    Decimal256(Vec<i256>, u8, i8),
}

/// Values of any length, one behind the other.
struct Bytes {
    data: Vec<u8>,
    /// Where each value ends; the first one begins at the 0 in front.
    offsets: Vec<i32>,
}

impl Bytes {
    fn new(room: ColumnRoom) -> Self {
        let mut offsets = Vec::with_capacity(room.rows + 1);
        offsets.push(0);
        Self { data: Vec::with_capacity(room.bytes), offsets }
    }

    /// None where the offsets of the column would not fit Arrow's 32 bits.
    #[inline]
    fn push(&mut self, value: &[u8]) -> Option<()> {
        let end = i32::try_from(self.data.len() + value.len()).ok()?;
        self.data.extend_from_slice(value);
        self.offsets.push(end);
        Some(())
    }

    fn pad(&mut self, rows: usize) {
        let end = self.offsets.last().copied().unwrap_or_default();
        self.offsets.resize(rows + 1, end);
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.data.truncate(self.offsets.last().copied().unwrap_or_default() as usize);
    }

    fn finish(self) -> (OffsetBuffer<i32>, Buffer) {
        (OffsetBuffer::new(self.offsets.into()), Buffer::from_vec(self.data))
    }
}

impl ColumnValues {
    /// A column without values, with room for some.
    pub(super) fn new(column: Column, defaults: &Defaults, room: ColumnRoom) -> Result<Self> {
        let arrow_type = arrow_type(&column, defaults)?;
        let values = match &arrow_type {
            ArrowType::Utf8 => Values::Text(Bytes::new(room)),
            ArrowType::Binary => Values::Binary(Bytes::new(room)),
            ArrowType::Boolean => Values::Bool(Vec::with_capacity(room.rows)),
            ArrowType::Float64 => Values::Double(Vec::with_capacity(room.rows)),
            ArrowType::Decimal128(precision, scale) => {
                Values::Decimal128(Vec::with_capacity(room.rows), *precision, *scale)
            }
            ArrowType::Decimal256(precision, scale) => {
                Values::Decimal256(Vec::with_capacity(room.rows), *precision, *scale)
            }
            _ => Values::Integer(Vec::with_capacity(room.rows)),
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
            nulls: NullBufferBuilder::new(room.rows),
            values,
            scratch: String::new(),
            first_cut: None,
        })
    }

    pub(super) fn data_type(&self) -> DataType {
        self.data_type
    }

    /// Rows up to the last one with a value.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Fills up with NULLs to this number of rows.
    fn pad(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.len());
        if missing == 0 {
            return;
        }
        self.nulls.append_n_nulls(missing);
        match &mut self.values {
            Values::Text(values) | Values::Binary(values) => values.pad(rows),
            Values::Bool(values) => values.resize(rows, false),
            Values::Integer(values) => values.resize(rows, 0),
            Values::Double(values) => values.resize(rows, 0.0),
            Values::Decimal128(values, ..) => values.resize(rows, 0),
            Values::Decimal256(values, ..) => values.resize(rows, i256::ZERO),
        }
    }

    /// Forgets the rows from this one on.
    pub(super) fn truncate(&mut self, rows: usize) {
        if self.len() <= rows {
            return;
        }
        self.nulls.truncate(rows);
        self.first_cut = self.first_cut.filter(|row| *row < rows);
        match &mut self.values {
            Values::Text(values) | Values::Binary(values) => values.truncate(rows),
            Values::Bool(values) => values.truncate(rows),
            Values::Integer(values) => values.truncate(rows),
            Values::Double(values) => values.truncate(rows),
            Values::Decimal128(values, ..) => values.truncate(rows),
            Values::Decimal256(values, ..) => values.truncate(rows),
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
            Some(()) => {
                self.nulls.append_non_null();
                Outcome::Stored
            }
            None => Outcome::Refused,
        }
    }

    #[inline]
    fn store(&mut self, value: &Value<'_>) -> Option<()> {
        match (&mut self.values, value) {
            (Values::Text(values), Value::Text(text)) if self.data_type == DataType::Text => {
                values.push(text.as_bytes())
            }
            (Values::Integer(values), Value::Integer(value))
                if self.arrow_type == ArrowType::Int64 =>
            {
                values.push(*value);
                Some(())
            }
            (Values::Double(values), Value::Double(value)) => {
                values.push(*value);
                Some(())
            }
            (Values::Bool(values), Value::Bool(value)) => {
                values.push(*value);
                Some(())
            }
            _ => self.coerce(value),
        }
    }

    fn coerce(&mut self, value: &Value<'_>) -> Option<()> {
        // The row that is being written: those before it have a value or a NULL.
        let row = self.nulls.len();
        match &mut self.values {
            Values::Text(values) => {
                if self.data_type == DataType::Json {
                    coerce::to_json(value, &mut self.scratch)?;
                } else {
                    coerce::to_text(value, &mut self.scratch);
                }
                values.push(self.scratch.as_bytes())?;
            }
            Values::Binary(values) => values.push(&coerce::to_binary(value)?)?,
            Values::Bool(values) => values.push(coerce::to_bool(value)?),
            Values::Double(values) => values.push(coerce::to_double(value)?),
            Values::Integer(values) => values.push(match (self.data_type, &self.arrow_type) {
                (DataType::Bigint, arrow_type) => {
                    coerce::to_bigint(value).filter(|value| fits(*value, arrow_type))?
                }
                (DataType::Timestamp, ArrowType::Timestamp(unit, _)) => {
                    let micros = coerce::to_timestamp(value)?;
                    note_cut(&mut self.first_cut, row, value, micros, *unit);
                    in_unit(micros, *unit)?
                }
                (DataType::Time, ArrowType::Time32(unit) | ArrowType::Time64(unit)) => {
                    let micros = coerce::to_time(value)?;
                    note_cut(&mut self.first_cut, row, value, micros, *unit);
                    in_unit(micros, *unit)?
                }
                (DataType::Date, _) => coerce::to_date(value)?.into(),
                _ => return None,
            }),
            Values::Decimal128(values, precision, scale) => {
                values.push(coerce::to_decimal(value, *precision, *scale)?.to_i128()?);
            }
            Values::Decimal256(values, precision, scale) => {
                values.push(coerce::to_decimal(value, *precision, *scale)?);
            }
        }
        Some(())
    }

    /// The array of this many rows, in the Arrow type of the column.
    pub(super) fn finish(mut self, rows: usize) -> Result<(Column, ArrayRef)> {
        self.pad(rows);
        let nulls = self.nulls.finish();
        let array = array_of(self.values, nulls, &self.arrow_type).map_err(|error| {
            Error::new(ErrorKind::Bug, "checked values do not fit their column")
                .with("column", &self.column.name)
                .with_source(error)
        })?;
        Ok((self.column, array))
    }
}

fn array_of(
    values: Values,
    nulls: Option<NullBuffer>,
    arrow_type: &ArrowType,
) -> Result<ArrayRef, ArrowError> {
    Ok(match values {
        Values::Text(values) => {
            let (offsets, data) = values.finish();
            Arc::new(StringArray::try_new(offsets, data, nulls)?)
        }
        Values::Binary(values) => {
            let (offsets, data) = values.finish();
            Arc::new(BinaryArray::try_new(offsets, data, nulls)?)
        }
        Values::Bool(values) => Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls)),
        Values::Double(values) => Arc::new(Float64Array::try_new(values.into(), nulls)?),
        Values::Decimal128(values, ..) => Arc::new(
            Decimal128Array::try_new(values.into(), nulls)?.with_data_type(arrow_type.clone()),
        ),
        Values::Decimal256(values, ..) => Arc::new(
            Decimal256Array::try_new(values.into(), nulls)?.with_data_type(arrow_type.clone()),
        ),
        Values::Integer(values) => {
            integers_as(Int64Array::try_new(values.into(), nulls)?, arrow_type)?
        }
    })
}

fn fits(value: i64, arrow_type: &ArrowType) -> bool {
    match arrow_type {
        ArrowType::Int8 => i8::try_from(value).is_ok(),
        ArrowType::Int16 => i16::try_from(value).is_ok(),
        ArrowType::Int32 => i32::try_from(value).is_ok(),
        _ => true,
    }
}

/// Notes the first row whose time has decimals of the second that the column does not.
fn note_cut(first: &mut Option<usize>, row: usize, value: &Value<'_>, micros: i64, unit: TimeUnit) {
    let is_cut = || match unit {
        TimeUnit::Second => micros % 1_000_000 != 0,
        TimeUnit::Millisecond => micros % 1_000 != 0,
        TimeUnit::Microsecond | TimeUnit::Nanosecond => false,
    };
    let is_finer = || matches!(value, Value::Text(text) if timestamp::is_finer_than_micros(text));
    if first.is_none() && (is_cut() || is_finer()) {
        *first = Some(row);
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

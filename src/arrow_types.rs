//! Which Arrow type holds the values of a column.

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, Field, TimeUnit};
use transload_core::{Capabilities, Column, DataType, Error, ErrorKind, Result};

/// The precisions and scales of columns that do not say: a destination's own, or the usual ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Defaults {
    /// Of `decimal`: 38 digits, 9 of them behind the point.
    pub(crate) decimal: (u32, u32),
    /// Of `wei`.
    pub(crate) wei: (u32, u32),
    /// Decimals of the second.
    pub(crate) timestamp_precision: u32,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { decimal: (38, 9), wei: (38, 0), timestamp_precision: 6 }
    }
}

impl Defaults {
    /// The digits of the widest number that the destination holds.
    pub(crate) fn max_digits(&self) -> u32 {
        self.decimal.0.max(self.wei.0)
    }

    /// What this destination says, and the usual where it says nothing.
    pub(crate) fn of(capabilities: &Capabilities) -> Self {
        let usual = Self::default();
        let or =
            |claimed: (u32, u32), usual: (u32, u32)| if claimed.0 == 0 { usual } else { claimed };
        Self {
            decimal: or(capabilities.decimal, usual.decimal),
            wei: or(capabilities.wei, usual.wei),
            timestamp_precision: match capabilities.timestamp_precision {
                0 => usual.timestamp_precision,
                precision => precision,
            },
        }
    }
}

/// The Arrow type of a column. JSON is held as its text.
///
/// # Errors
/// [`ErrorKind::Configuration`] for a precision that no type has; [`ErrorKind::Bug`] for a column without a type.
pub(crate) fn arrow_type(column: &Column, defaults: &Defaults) -> Result<ArrowType> {
    let Some(data_type) = column.data_type else {
        return Err(Error::new(ErrorKind::Bug, "a column without a type has no values")
            .with("column", &column.name));
    };
    let unit = |precision: Option<u32>| match precision.unwrap_or(defaults.timestamp_precision) {
        0 => TimeUnit::Second,
        1..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    };
    Ok(match data_type {
        DataType::Text | DataType::Json => ArrowType::Utf8,
        DataType::Double => ArrowType::Float64,
        DataType::Bool => ArrowType::Boolean,
        DataType::Bigint => match column.precision.unwrap_or(64) {
            0..=8 => ArrowType::Int8,
            9..=16 => ArrowType::Int16,
            17..=32 => ArrowType::Int32,
            _ => ArrowType::Int64,
        },
        DataType::Binary => ArrowType::Binary,
        DataType::Date => ArrowType::Date32,
        DataType::Time => match unit(column.precision) {
            unit @ (TimeUnit::Second | TimeUnit::Millisecond) => ArrowType::Time32(unit),
            unit => ArrowType::Time64(unit),
        },
        DataType::Timestamp => ArrowType::Timestamp(
            unit(column.precision),
            column.has_timezone().then(|| "UTC".into()),
        ),
        DataType::Decimal => decimal(column, defaults.decimal)?,
        DataType::Wei => decimal(column, defaults.wei)?,
    })
}

/// The Arrow field of a column.
///
/// # Errors
/// As [`arrow_type`].
pub(crate) fn arrow_field(column: &Column, defaults: &Defaults) -> Result<Field> {
    Ok(Field::new(&column.name, arrow_type(column, defaults)?, column.nullable))
}

/// Whether values of a type are whole numbers, or dates or times, which are counted.
pub(crate) fn is_whole_number(arrow_type: &ArrowType) -> bool {
    matches!(
        arrow_type,
        ArrowType::Int8
            | ArrowType::Int16
            | ArrowType::Int32
            | ArrowType::Int64
            | ArrowType::Date32
            | ArrowType::Time32(_)
            | ArrowType::Time64(_)
            | ArrowType::Timestamp(..)
    )
}

/// The values of a column of whole numbers, dates or times, as they count in its unit. None for any other.
pub(crate) fn whole_numbers(array: &ArrayRef) -> Option<ArrayRef> {
    if !is_whole_number(array.data_type()) {
        return None;
    }
    let narrow = match array.data_type() {
        ArrowType::Date32 | ArrowType::Time32(_) => cast(array, &ArrowType::Int32).ok()?,
        _ => ArrayRef::clone(array),
    };
    cast(&narrow, &ArrowType::Int64).ok()
}

fn decimal(column: &Column, default: (u32, u32)) -> Result<ArrowType> {
    let (precision, scale) = match column.precision {
        Some(precision) => (precision, column.scale.unwrap_or(0)),
        None => default,
    };
    let refused = || {
        Error::new(ErrorKind::Configuration, "no decimal type has these digits")
            .with("column", &column.name)
            .with("precision", precision)
            .with("scale", scale)
            .with_hint("a precision is 1 to 76, a scale at most the precision")
    };
    let digits = u8::try_from(precision).map_err(|_| refused())?;
    let places = i8::try_from(scale).map_err(|_| refused())?;
    match precision {
        1..=38 if scale <= precision => Ok(ArrowType::Decimal128(digits, places)),
        39..=76 if scale <= precision => Ok(ArrowType::Decimal256(digits, places)),
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_chooses_the_width() {
        let defaults = Defaults::default();
        let of = |column: Column| arrow_type(&column, &defaults).unwrap();
        assert_eq!(of(Column::new("a", DataType::Bigint)), ArrowType::Int64);
        assert_eq!(of(Column::new("a", DataType::Bigint).with_precision(32)), ArrowType::Int32);
        assert_eq!(of(Column::new("a", DataType::Decimal)), ArrowType::Decimal128(38, 9));
        assert_eq!(
            of(Column::new("a", DataType::Decimal).with_precision(50)),
            ArrowType::Decimal256(50, 0)
        );
        assert_eq!(
            of(Column::new("a", DataType::Timestamp).with_precision(3)),
            ArrowType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
        );
        assert!(
            arrow_type(&Column::new("a", DataType::Decimal).with_precision(77), &defaults).is_err()
        );
    }
}

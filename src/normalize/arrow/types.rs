//! Which column holds values of an Arrow type, and which values keep their meaning in a column that is there.

use arrow::datatypes::{DataType as ArrowType, TimeUnit};
use transload_core::{Column, DataType, Error, ErrorKind, Result};

use crate::arrow_types::Defaults;

/// The column that holds values of an Arrow type.
///
/// Source: dlt, `get_column_type_from_py_arrow`. Unsigned integers are wider here than there, since dlt's width has no
/// room for their upper half.
pub(super) fn column_for(
    name: &str,
    arrow_type: &ArrowType,
    defaults: &Defaults,
) -> Result<Column> {
    let sub_second = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    // As in dlt, the destination's default is not written down, and what is finer than it is cut off.
    let with_sub_second = |column: Column, unit: &TimeUnit| match sub_second(unit) {
        precision if precision >= defaults.timestamp_precision => column,
        precision => column.with_precision(precision),
    };
    let simple = |data_type| Column::new(name, data_type);
    Ok(match arrow_type {
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => simple(DataType::Text),
        ArrowType::Float16 | ArrowType::Float32 | ArrowType::Float64 => simple(DataType::Double),
        ArrowType::Boolean => simple(DataType::Bool),
        ArrowType::Int8 => simple(DataType::Bigint).with_precision(8),
        ArrowType::Int16 => simple(DataType::Bigint).with_precision(16),
        ArrowType::Int32 => simple(DataType::Bigint).with_precision(32),
        // An unsigned integer needs one bit more than its width: the next wider type.
        ArrowType::UInt8 => simple(DataType::Bigint).with_precision(16),
        ArrowType::UInt16 => simple(DataType::Bigint).with_precision(32),
        ArrowType::Int64 | ArrowType::UInt32 => simple(DataType::Bigint),
        // No integer is wider: 2^64 has 20 digits.
        ArrowType::UInt64 => decimal(simple(DataType::Decimal), 20, 0),
        // A naive time is UTC, also in dlt.
        ArrowType::Timestamp(unit, _) => with_sub_second(simple(DataType::Timestamp), unit),
        ArrowType::Date32 | ArrowType::Date64 => simple(DataType::Date),
        ArrowType::Time32(unit) | ArrowType::Time64(unit) => {
            with_sub_second(simple(DataType::Time), unit)
        }
        ArrowType::Decimal32(precision, scale)
        | ArrowType::Decimal64(precision, scale)
        | ArrowType::Decimal128(precision, scale)
        | ArrowType::Decimal256(precision, scale) => {
            // A negative scale means zeros before the point, which take digits here.
            let zeros = u32::from(scale.min(&0).unsigned_abs());
            // Where the destination has fewer digits, those values load that need no more.
            let most = defaults.max_digits();
            let precision = (u32::from(*precision) + zeros).min(most);
            decimal(
                simple(DataType::Decimal),
                precision,
                u32::try_from(*scale).unwrap_or(0).min(most),
            )
        }
        ArrowType::FixedSizeBinary(width) => {
            simple(DataType::Binary).with_precision(u32::try_from(*width).unwrap_or(0))
        }
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView => {
            simple(DataType::Binary)
        }
        ArrowType::Dictionary(..) | ArrowType::RunEndEncoded(..) => {
            return column_for(name, value_type(arrow_type), defaults);
        }
        nested if is_nested(nested) => simple(DataType::Json),
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "no column holds values of this Arrow type",
            )
            .with("type", other)
            .with_hint(match other {
                ArrowType::Duration(_) | ArrowType::Interval(_) => {
                    "cast the field to an integer or to a text in the source"
                }
                _ => "cast the field to another type in the source, or leave it out",
            }));
        }
    })
}

fn decimal(column: Column, precision: u32, scale: u32) -> Column {
    Column { scale: Some(scale), ..column.with_precision(precision) }
}

/// The type of the values, however they are packed.
pub(super) fn value_type(arrow_type: &ArrowType) -> &ArrowType {
    match arrow_type {
        ArrowType::Dictionary(_, values) => value_type(values),
        ArrowType::RunEndEncoded(_, values) => value_type(values.data_type()),
        plain => plain,
    }
}

/// Whether values of the type become JSON.
pub(super) fn is_nested(arrow_type: &ArrowType) -> bool {
    matches!(
        value_type(arrow_type),
        ArrowType::Struct(_)
            | ArrowType::List(_)
            | ArrowType::LargeList(_)
            | ArrowType::FixedSizeList(..)
            | ArrowType::ListView(_)
            | ArrowType::LargeListView(_)
            | ArrowType::Map(..)
    )
}

pub(super) fn is_text(arrow_type: &ArrowType) -> bool {
    matches!(arrow_type, ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View)
}

pub(super) fn is_decimal(arrow_type: &ArrowType) -> bool {
    matches!(
        arrow_type,
        ArrowType::Decimal32(..)
            | ArrowType::Decimal64(..)
            | ArrowType::Decimal128(..)
            | ArrowType::Decimal256(..)
    )
}

/// Whether values of this Arrow type mean in the column what they meant before.
pub(super) fn keeps_meaning(plain: &ArrowType, column: &Column) -> bool {
    let Some(data_type) = column.data_type else { return false };
    let is_integer = plain.is_integer();
    match data_type {
        // Numbers, dates and truth values have one way to be written.
        DataType::Text => {
            is_text(plain) || is_integer || is_decimal(plain) || plain == &ArrowType::Boolean
        }
        DataType::Json => is_text(plain),
        DataType::Bigint => is_integer || is_decimal(plain),
        DataType::Double => plain.is_floating() || is_integer,
        DataType::Decimal | DataType::Wei => is_integer || is_decimal(plain),
        DataType::Bool => plain == &ArrowType::Boolean,
        DataType::Binary => matches!(
            plain,
            ArrowType::Binary
                | ArrowType::LargeBinary
                | ArrowType::BinaryView
                | ArrowType::FixedSizeBinary(_)
        ),
        DataType::Date => matches!(plain, ArrowType::Date32 | ArrowType::Date64),
        DataType::Time => matches!(plain, ArrowType::Time32(_) | ArrowType::Time64(_)),
        DataType::Timestamp => {
            matches!(plain, ArrowType::Timestamp(..) | ArrowType::Date32 | ArrowType::Date64)
        }
    }
}

/// Whether a cast between these types can change a value without failing.
pub(super) fn may_lose(from: &ArrowType, to: &ArrowType) -> bool {
    (is_decimal(from) && (is_decimal(to) || to.is_integer()))
        || (from.is_integer() && to.is_floating())
}

/// The type of a column, for people.
pub(super) fn describe(column: &Column) -> String {
    let name = column.data_type.map_or("none", DataType::as_str);
    match (column.precision, column.scale) {
        (Some(precision), Some(scale)) => format!("{name}({precision},{scale})"),
        (Some(precision), None) => format!("{name}({precision})"),
        _ => name.to_owned(),
    }
}

//! The types of columns, in words: files have no types of their own but those that the stored schema names.

use transload_core::{Column, DataType};

/// Digits of a decimal, and those behind its point, where a column names none.
pub(crate) const DECIMAL: (u32, u32) = (38, 9);
/// The same of a wei.
pub(crate) const WEI: (u32, u32) = (76, 0);
/// Decimals of the second, where a column names none.
pub(crate) const TIME_PRECISION: u32 = 6;
/// Bits of an integer, where a column names none.
const INTEGER_BITS: u32 = 64;

/// The type of a column: its name in schemas, and what makes it differ from the usual one of that name. `None` for a
/// column without a type.
pub(crate) fn native_type(column: &Column) -> Option<String> {
    let data_type = column.data_type?;
    let unless = |usual: u32| column.precision.filter(|precision| *precision != usual);
    let digits = |usual: (u32, u32)| {
        // As the files have them: where digits are named, those behind the point are none unless named too.
        let digits =
            column.precision.map_or(usual, |precision| (precision, column.scale.unwrap_or(0)));
        (digits != usual).then(|| format!("({}, {})", digits.0, digits.1))
    };
    let precision = match data_type {
        DataType::Decimal => digits(DECIMAL),
        DataType::Wei => digits(WEI),
        DataType::Bigint => unless(INTEGER_BITS).map(|bits| format!("({bits})")),
        DataType::Timestamp | DataType::Time => {
            unless(TIME_PRECISION).map(|decimals| format!("({decimals})"))
        }
        DataType::Text | DataType::Binary => column.precision.map(|length| format!("({length})")),
        DataType::Double | DataType::Bool | DataType::Json | DataType::Date => None,
    };
    let local = data_type == DataType::Timestamp && column.timezone == Some(false);
    let zone = if local { " without time zone" } else { "" };
    Some(format!("{data_type}{}{zone}", precision.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_precision_goes_without_saying() {
        let of = |data_type, precision, scale, timezone| {
            let column = Column { precision, scale, timezone, ..Column::new("a", data_type) };
            native_type(&column).unwrap()
        };
        use DataType::{Bigint, Decimal, Double, Text, Timestamp, Wei};
        for (found, expected) in [
            (of(Bigint, None, None, None), "bigint"),
            (of(Bigint, Some(64), None, None), "bigint"),
            (of(Bigint, Some(16), None, None), "bigint(16)"),
            (of(Decimal, None, None, None), "decimal"),
            (of(Decimal, Some(38), Some(9), None), "decimal"),
            (of(Decimal, Some(10), Some(2), None), "decimal(10, 2)"),
            (of(Decimal, Some(38), None, None), "decimal(38, 0)"),
            (of(Wei, None, None, None), "wei"),
            (of(Text, Some(20), None, None), "text(20)"),
            (of(Timestamp, Some(6), None, Some(true)), "timestamp"),
            (of(Timestamp, Some(3), None, Some(false)), "timestamp(3) without time zone"),
            (of(Double, Some(53), None, None), "double"),
        ] {
            assert_eq!(found, expected);
        }
        let mut untyped = Column::new("a", Text);
        untyped.data_type = None;
        assert_eq!(native_type(&untyped), None);
    }
}

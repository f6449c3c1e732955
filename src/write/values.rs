//! The values of arrays, and their text, which is the same in all text formats.

use std::io::Write as _;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, StringArray,
    Time32MillisecondArray, Time32SecondArray, Time64MicrosecondArray, Time64NanosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray,
};
use arrow::datatypes::{DataType as ArrowType, TimeUnit, i256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use transload_core::{Error, ErrorKind, Result};

use super::layout::FileColumn;

/// A value that is not NULL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Text(&'a str),
    /// The text of a JSON value.
    Json(&'a str),
    Bytes(&'a [u8]),
    Boolean(bool),
    Integer(i64),
    Double(f64),
    /// Digits without the point, and how many of them stand behind it.
    Decimal128(i128, i8),
    /// As [`Value::Decimal128`].
    Decimal256(i256, i8),
    /// Days since 1970-01-01.
    Date(i32),
    /// Time since midnight.
    Time(Instant),
    /// Time since 1970-01-01T00:00:00, in UTC where it is a point in time.
    Timestamp {
        at: Instant,
        utc: bool,
    },
}

/// Seconds and nanoseconds since some beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instant {
    seconds: i64,
    nanoseconds: u32,
}

impl Instant {
    /// So many units, each `1 / per_second` of a second.
    fn of(units: i64, per_second: i64) -> Self {
        let rest = units.rem_euclid(per_second) * (1_000_000_000 / per_second);
        let nanoseconds = u32::try_from(rest).expect("less than a second");
        Self { seconds: units.div_euclid(per_second), nanoseconds }
    }
}

/// The values of one column of a batch.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    array: &'a dyn Array,
    has_nulls: bool,
    values: Values<'a>,
}

#[derive(Debug)]
enum Values<'a> {
    Text(&'a StringArray),
    Json(&'a StringArray),
    Bytes(&'a BinaryArray),
    Boolean(&'a BooleanArray),
    Integer8(&'a [i8]),
    Integer16(&'a [i16]),
    Integer32(&'a [i32]),
    Integer64(&'a [i64]),
    Double(&'a [f64]),
    Decimal128(&'a [i128], i8),
    Decimal256(&'a [i256], i8),
    Date(&'a [i32]),
    /// With the units of a second.
    Time32(&'a [i32], i64),
    Time64(&'a [i64], i64),
    Timestamp {
        values: &'a [i64],
        per_second: i64,
        utc: bool,
    },
}

impl<'a> Cells<'a> {
    /// The values of this column.
    pub(super) fn of(column: &FileColumn, array: &'a ArrayRef) -> Result<Self> {
        let values = Values::of(column, array.as_ref()).ok_or_else(|| {
            Error::new(ErrorKind::Bug, "an array has a type that no column has")
                .with("column", &column.name)
                .with("type", array.data_type())
        })?;
        Ok(Self { array: array.as_ref(), has_nulls: array.null_count() > 0, values })
    }

    /// The value in a row; `None` where it is NULL.
    pub(super) fn value(&self, row: usize) -> Option<Value<'a>> {
        if self.has_nulls && self.array.is_null(row) {
            return None;
        }
        Some(match &self.values {
            Values::Text(array) => Value::Text(array.value(row)),
            Values::Json(array) => Value::Json(array.value(row)),
            Values::Bytes(array) => Value::Bytes(array.value(row)),
            Values::Boolean(array) => Value::Boolean(array.value(row)),
            Values::Integer8(values) => Value::Integer(values[row].into()),
            Values::Integer16(values) => Value::Integer(values[row].into()),
            Values::Integer32(values) => Value::Integer(values[row].into()),
            Values::Integer64(values) => Value::Integer(values[row]),
            Values::Double(values) => Value::Double(values[row]),
            Values::Decimal128(values, scale) => Value::Decimal128(values[row], *scale),
            Values::Decimal256(values, scale) => Value::Decimal256(values[row], *scale),
            Values::Date(values) => Value::Date(values[row]),
            Values::Time32(values, per_second) => {
                Value::Time(Instant::of(values[row].into(), *per_second))
            }
            Values::Time64(values, per_second) => {
                Value::Time(Instant::of(values[row], *per_second))
            }
            Values::Timestamp { values, per_second, utc } => {
                Value::Timestamp { at: Instant::of(values[row], *per_second), utc: *utc }
            }
        })
    }
}

impl<'a> Values<'a> {
    /// `None` for a type that no column has.
    fn of(column: &FileColumn, array: &'a dyn Array) -> Option<Self> {
        /// The values of a primitive array of this type.
        macro_rules! values {
            ($array:ty) => {
                array.as_any().downcast_ref::<$array>()?.values()
            };
        }
        Some(match array.data_type() {
            ArrowType::Utf8 if column.json => Self::Json(array.as_any().downcast_ref()?),
            ArrowType::Utf8 => Self::Text(array.as_any().downcast_ref()?),
            ArrowType::Binary => Self::Bytes(array.as_any().downcast_ref()?),
            ArrowType::Boolean => Self::Boolean(array.as_any().downcast_ref()?),
            ArrowType::Int8 => Self::Integer8(values!(Int8Array)),
            ArrowType::Int16 => Self::Integer16(values!(Int16Array)),
            ArrowType::Int32 => Self::Integer32(values!(Int32Array)),
            ArrowType::Int64 => Self::Integer64(values!(Int64Array)),
            ArrowType::Float64 => Self::Double(values!(Float64Array)),
            ArrowType::Decimal128(_, scale) => Self::Decimal128(values!(Decimal128Array), *scale),
            ArrowType::Decimal256(_, scale) => Self::Decimal256(values!(Decimal256Array), *scale),
            ArrowType::Date32 => Self::Date(values!(Date32Array)),
            ArrowType::Time32(TimeUnit::Second) => Self::Time32(values!(Time32SecondArray), 1),
            ArrowType::Time32(_) => Self::Time32(values!(Time32MillisecondArray), 1000),
            ArrowType::Time64(TimeUnit::Microsecond) => {
                Self::Time64(values!(Time64MicrosecondArray), 1_000_000)
            }
            ArrowType::Time64(_) => Self::Time64(values!(Time64NanosecondArray), 1_000_000_000),
            ArrowType::Timestamp(unit, zone) => {
                let (values, per_second) = match unit {
                    TimeUnit::Second => (values!(TimestampSecondArray), 1),
                    TimeUnit::Millisecond => (values!(TimestampMillisecondArray), 1000),
                    TimeUnit::Microsecond => (values!(TimestampMicrosecondArray), 1_000_000),
                    TimeUnit::Nanosecond => (values!(TimestampNanosecondArray), 1_000_000_000),
                };
                Self::Timestamp { values, per_second, utc: zone.is_some() }
            }
            _ => return None,
        })
    }
}

/// Refuses a double for which a format has no word: written as NULL it would be another value.
pub(super) fn not_finite(double: f64, column: &str) -> Error {
    Error::new(ErrorKind::BadData, "the format has no word for a number that is not finite")
        .with("column", column)
        .with("number", double)
        .with_hint("take another loader file format: parquet and csv hold it")
}

/// Writes a value without quotes and escapes: numbers as digits, times as ISO 8601. Texts, JSON and bytes have a form of
/// their own in every format, and are written here as they are.
pub(super) fn write_plain(value: &Value<'_>, out: &mut Vec<u8>) {
    match *value {
        Value::Text(text) | Value::Json(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bytes(bytes) => out.extend_from_slice(bytes),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Integer(integer) => write_display(integer, out),
        // The shortest text that reads back as the same double, with a point or an exponent.
        Value::Double(double) if double.is_finite() => {
            serde_json::to_writer(out, &double).expect("a Vec takes all bytes");
        }
        Value::Double(double) => write_display(double, out),
        Value::Decimal128(digits, scale) => write_decimal(&digits.to_string(), scale, out),
        Value::Decimal256(digits, scale) => write_decimal(&digits.to_string(), scale, out),
        Value::Date(days) => write_date(days.into(), out),
        Value::Time(time) => write_time(time.seconds, time.nanoseconds, out),
        Value::Timestamp { at, utc } => {
            write_date(at.seconds.div_euclid(86_400), out);
            out.push(b'T');
            write_time(at.seconds.rem_euclid(86_400), at.nanoseconds, out);
            if utc {
                out.extend_from_slice(b"+00:00");
            }
        }
    }
}

/// Writes base64 with padding.
pub(super) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    STANDARD.encode_slice(bytes, &mut out[start..]).expect("the room is what base64 takes");
}

fn write_display(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    write!(out, "{value}").expect("a Vec takes all bytes");
}

/// Writes a decimal without exponent and without zeros at the end of its fraction.
pub(super) fn write_decimal(digits: &str, scale: i8, out: &mut Vec<u8>) {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    out.extend_from_slice(sign.as_bytes());
    let places = usize::try_from(scale).unwrap_or(0);
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(places));
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole.as_bytes() });
    // A negative scale stands for zeros before the point.
    if scale < 0 && digits != "0" {
        out.extend(std::iter::repeat_n(b'0', usize::from(scale.unsigned_abs())));
    }
    let shown = fraction.trim_end_matches('0');
    if !shown.is_empty() {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', places - fraction.len()));
        out.extend_from_slice(shown.as_bytes());
    }
}

/// Writes a day of the proleptic Gregorian calendar. Years have four digits at least; those before year 0 a sign.
pub(super) fn write_date(days: i64, out: &mut Vec<u8>) {
    // Howard Hinnant, https://howardhinnant.github.io/date_algorithms.html#civil_from_days: years begin in March, so
    // that the leap day is the last one.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if year < 0 {
        out.push(b'-');
    }
    if (0..10_000).contains(&year) {
        write_two_digits(year / 100, out);
        write_two_digits(year % 100, out);
    } else {
        write!(out, "{:04}", year.unsigned_abs()).expect("a Vec takes all bytes");
    }
    out.push(b'-');
    write_two_digits(month, out);
    out.push(b'-');
    write_two_digits(day, out);
}

/// Writes a time of day: with microseconds where there are any, with nanoseconds where those do not do.
fn write_time(seconds: i64, nanoseconds: u32, out: &mut Vec<u8>) {
    write_two_digits(seconds / 3600, out);
    out.push(b':');
    write_two_digits(seconds / 60 % 60, out);
    out.push(b':');
    write_two_digits(seconds % 60, out);
    let written = match nanoseconds {
        0 => Ok(()),
        _ if nanoseconds.is_multiple_of(1000) => write!(out, ".{:06}", nanoseconds / 1000),
        _ => write!(out, ".{nanoseconds:09}"),
    };
    written.expect("a Vec takes all bytes");
}

pub(super) fn write_two_digits(number: i64, out: &mut Vec<u8>) {
    for digit in [number / 10 % 10, number % 10] {
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(value: Value<'_>) -> String {
        let mut out = Vec::new();
        write_plain(&value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_follow_the_gregorian_calendar() {
        let of = |days| plain(Value::Date(days));
        assert_eq!(of(0), "1970-01-01");
        assert_eq!(of(-1), "1969-12-31");
        assert_eq!(of(11_016), "2000-02-29");
        assert_eq!(of(-719_162), "0001-01-01");
        assert_eq!(of(-719_528), "0000-01-01");
        assert_eq!(of(-719_529), "-0001-12-31");
        assert_eq!(of(2_932_896), "9999-12-31");
        assert_eq!(of(2_932_897), "10000-01-01");
        // Against a second opinion, over four centuries and a leap day at each end.
        let epoch = jiff::civil::date(1970, 1, 1);
        for days in (-80_000..80_000).step_by(7) {
            let date = epoch.checked_add(jiff::Span::new().days(days)).unwrap();
            assert_eq!(of(days), date.to_string());
        }
    }

    #[test]
    fn times_have_a_fraction_only_where_there_is_one() {
        let of = |units, per_second| {
            plain(Value::Timestamp { at: Instant::of(units, per_second), utc: true })
        };
        assert_eq!(of(1_704_153_600, 1), "2024-01-02T00:00:00+00:00");
        assert_eq!(of(1_704_153_600_120, 1000), "2024-01-02T00:00:00.120000+00:00");
        assert_eq!(of(-1, 1_000_000), "1969-12-31T23:59:59.999999+00:00");
        assert_eq!(of(1000, 1_000_000_000), "1970-01-01T00:00:00.000001+00:00");
        assert_eq!(of(1001, 1_000_000_000), "1970-01-01T00:00:00.000001001+00:00");
        assert_eq!(of(i64::MIN, 1_000_000_000), "1677-09-21T00:12:43.145224192+00:00");
        assert_eq!(of(i64::MAX, 1), "292277026596-12-04T15:30:07+00:00");
        assert_eq!(of(i64::MIN, 1), "-292277022657-01-27T08:29:52+00:00");
    }

    #[test]
    fn decimals_are_plain_digits() {
        let of = |digits, scale| plain(Value::Decimal128(digits, scale));
        assert_eq!(of(0, 9), "0");
        assert_eq!(of(1_500_000_000, 9), "1.5");
        assert_eq!(of(-5, 3), "-0.005");
        assert_eq!(of(120, 2), "1.2");
        assert_eq!(of(1200, 0), "1200");
        assert_eq!(of(100, 2), "1");
        assert_eq!(of(10, 3), "0.01");
        assert_eq!(of(12, -2), "1200");
        assert_eq!(of(0, -2), "0");
        assert_eq!(of(i128::MIN, 38), "-1.70141183460469231731687303715884105728");
    }

    #[test]
    fn doubles_are_as_short_as_they_can_be() {
        let of = |double| plain(Value::Double(double));
        assert_eq!(of(2.0), "2.0");
        assert_eq!(of(-0.0), "-0.0");
        assert_eq!(of(0.1), "0.1");
        for double in [f64::MAX, f64::MIN_POSITIVE, 5e-324, 1e16, 123_456_789.125, 1e300] {
            assert_eq!(of(double).parse::<f64>().unwrap(), double);
        }
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, expected) in [(&b""[..], ""), (b"a", "YQ=="), (b"ab", "YWI="), (b"abc", "YWJj")]
        {
            let mut out = b"x".to_vec();
            write_base64(bytes, &mut out);
            assert_eq!(out, format!("x{expected}").into_bytes());
        }
    }
}

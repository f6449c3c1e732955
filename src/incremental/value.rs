//! Values of a cursor: how they compare, and how the state holds them.

use std::borrow::Cow;
use std::cmp::Ordering;

use arrow::datatypes::i256;
use serde_json::Value as Json;

use super::time;

/// A value of a cursor.
///
/// Source: dlt, `dlt/common/json/__init__.py` (how typed values stand in the state).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cursor<'v> {
    Bool(bool),
    Integer(i128),
    /// Not NaN.
    Double(f64),
    Text(Cow<'v, str>),
    /// `digits` times ten to the power of minus `scale`.
    Decimal {
        digits: i256,
        scale: i8,
    },
    /// Nanoseconds since 1970; the offset of the zone in seconds, none for a local time, which is taken as UTC.
    Timestamp {
        nanos: i128,
        offset: Option<i32>,
    },
    /// Days since 1970.
    Date(i32),
    /// Nanoseconds since midnight.
    Time(i64),
}

/// The characters by which dlt marks values in JSON that are no texts.
const DECIMAL: char = '\u{f026}';
const TIMESTAMP: char = '\u{f027}';
const DATE: char = '\u{f028}';
const TIME: char = '\u{f02d}';

impl Cursor<'_> {
    pub(super) fn into_owned(self) -> Cursor<'static> {
        match self {
            Cursor::Text(text) => Cursor::Text(Cow::Owned(text.into_owned())),
            Cursor::Bool(value) => Cursor::Bool(value),
            Cursor::Integer(value) => Cursor::Integer(value),
            Cursor::Double(value) => Cursor::Double(value),
            Cursor::Decimal { digits, scale } => Cursor::Decimal { digits, scale },
            Cursor::Timestamp { nanos, offset } => Cursor::Timestamp { nanos, offset },
            Cursor::Date(days) => Cursor::Date(days),
            Cursor::Time(nanos) => Cursor::Time(nanos),
        }
    }

    /// What kind of value it is, for errors.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Integer(_) => "integer",
            Self::Double(_) => "double",
            Self::Text(_) => "text",
            Self::Decimal { .. } => "decimal",
            Self::Timestamp { .. } => "timestamp",
            Self::Date(_) => "date",
            Self::Time(_) => "time",
        }
    }

    /// A text as a value of this kind, where the text of one it is: texts stand for dates and times.
    pub(super) fn suited(&self, kind: &str) -> Self {
        let Self::Text(text) = self else { return self.clone() };
        let read = match kind {
            "timestamp" => time::parse_timestamp(text)
                .map(|(nanos, offset)| Cursor::Timestamp { nanos, offset }),
            "date" => time::parse_date(text).map(Cursor::Date),
            "time" => time::parse_time(text).map(Cursor::Time),
            _ => None,
        };
        read.unwrap_or_else(|| self.clone())
    }

    /// As Python compares: numbers by their value, texts by their characters, the rest with its kind alone. `None` where
    /// the two cannot be compared.
    pub(super) fn compare(&self, other: &Cursor<'_>) -> Option<Ordering> {
        use Cursor::{Date, Text, Time, Timestamp};
        match (self, other) {
            // Bytes of UTF-8 are in the order of the characters.
            (Text(left), Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
            (Timestamp { nanos: left, .. }, Timestamp { nanos: right, .. }) => {
                Some(left.cmp(right))
            }
            (Date(left), Date(right)) => Some(left.cmp(right)),
            (Time(left), Time(right)) => Some(left.cmp(right)),
            _ => compare_numbers(self.number()?, other.number()?),
        }
    }

    fn number(&self) -> Option<Number> {
        match *self {
            Self::Bool(value) => Some(Number::Exact(i256::from_i128(value.into()), 0)),
            Self::Integer(value) => Some(Number::Exact(i256::from_i128(value), 0)),
            Self::Decimal { digits, scale } => Some(Number::Exact(digits, scale)),
            Self::Double(value) => Some(Number::Double(value)),
            _ => None,
        }
    }

    /// As the state holds it.
    pub(super) fn to_state(&self) -> Json {
        match self {
            Self::Bool(value) => Json::from(*value),
            Self::Integer(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => Json::from(value),
                (_, Ok(value)) => Json::from(value),
                _ => Json::from(format!("{DECIMAL}{value}")),
            },
            Self::Double(value) => Json::from(*value),
            Self::Text(text) => Json::from(text.as_ref()),
            Self::Decimal { digits, scale } => {
                Json::from(format!("{DECIMAL}{}", decimal_text(*digits, *scale)))
            }
            Self::Timestamp { nanos, offset } => {
                Json::from(format!("{TIMESTAMP}{}", time::timestamp_text(*nanos, *offset)))
            }
            Self::Date(days) => Json::from(format!("{DATE}{}", time::date_text(*days))),
            Self::Time(nanos) => Json::from(format!("{TIME}{}", time::time_text(*nanos))),
        }
    }

    /// Reads a scalar of the state. `None` for NULL and for what is no scalar. A marked text that cannot be read stays a
    /// text, as in dlt.
    pub(super) fn from_state(value: &Json) -> Option<Cursor<'static>> {
        Some(match value {
            Json::Bool(value) => Cursor::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Cursor::Integer(value.into()),
                (_, Some(value)) => Cursor::Integer(value.into()),
                _ => Cursor::Double(number.as_f64()?),
            },
            Json::String(text) => {
                marked(text).unwrap_or_else(|| Cursor::Text(Cow::Owned(text.clone())))
            }
            Json::Null | Json::Array(_) | Json::Object(_) => return None,
        })
    }
}

fn marked(text: &str) -> Option<Cursor<'static>> {
    let mark = text.chars().next()?;
    let rest = &text[mark.len_utf8()..];
    match mark {
        DECIMAL => parse_decimal(rest),
        TIMESTAMP => {
            time::parse_timestamp(rest).map(|(nanos, offset)| Cursor::Timestamp { nanos, offset })
        }
        DATE => time::parse_date(rest).map(Cursor::Date),
        TIME => time::parse_time(rest).map(Cursor::Time),
        _ => None,
    }
}

enum Number {
    /// Digits and scale.
    Exact(i256, i8),
    Double(f64),
}

fn compare_numbers(left: Number, right: Number) -> Option<Ordering> {
    match (left, right) {
        (Number::Double(left), Number::Double(right)) => left.partial_cmp(&right),
        (Number::Exact(digits, scale), Number::Double(value)) => {
            compare_with_double(digits, scale, value)
        }
        (Number::Double(value), Number::Exact(digits, scale)) => {
            compare_with_double(digits, scale, value).map(Ordering::reverse)
        }
        (Number::Exact(left, left_scale), Number::Exact(right, right_scale)) => {
            let scale = left_scale.max(right_scale);
            match (rescale(left, left_scale, scale), rescale(right, right_scale, scale)) {
                (Some(left), Some(right)) => Some(left.cmp(&right)),
                _ => approximate(left, left_scale).partial_cmp(&approximate(right, right_scale)),
            }
        }
    }
}

/// An integer is compared with a double exactly: those beyond 2^53 are not all doubles.
fn compare_with_double(digits: i256, scale: i8, value: f64) -> Option<Ordering> {
    const LIMIT: f64 = 1e38;
    match digits.to_i128() {
        Some(integer) if scale == 0 && value.abs() < LIMIT => {
            let whole = value.trunc();
            let order = integer.cmp(&(whole as i128));
            Some(order.then(whole.partial_cmp(&value)?))
        }
        _ => approximate(digits, scale).partial_cmp(&value),
    }
}

fn rescale(digits: i256, from: i8, to: i8) -> Option<i256> {
    let steps = u32::try_from(i32::from(to) - i32::from(from)).ok()?;
    digits.checked_mul(i256::from_i128(10).checked_pow(steps)?)
}

fn approximate(digits: i256, scale: i8) -> f64 {
    format!("{digits}e{}", -i32::from(scale)).parse().unwrap_or(f64::NAN)
}

/// Digits with their point: `-1.50`.
pub(super) fn decimal_text(digits: i256, scale: i8) -> String {
    let text = digits.to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    match usize::try_from(scale) {
        Ok(0) => text,
        Ok(scale) => {
            let digits = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
        Err(_) => format!("{sign}{digits}E+{}", scale.unsigned_abs()),
    }
}

fn parse_decimal(text: &str) -> Option<Cursor<'static>> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = i256::from_string(&format!("{whole}{fraction}"))?;
    let scale = i32::try_from(fraction.len()).ok()? - exponent;
    Some(Cursor::Decimal { digits, scale: i8::try_from(scale).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Cursor<'_> {
        Cursor::Text(text.into())
    }

    #[test]
    fn numbers_compare_by_value_texts_by_characters_and_others_not_at_all() {
        use Ordering::{Equal, Greater, Less};
        let decimal = |digits, scale| Cursor::Decimal { digits: i256::from_i128(digits), scale };
        for (left, right, order) in [
            (Cursor::Integer(1), Cursor::Bool(true), Some(Equal)),
            (Cursor::Integer(1), Cursor::Double(1.5), Some(Less)),
            (Cursor::Integer(-1), Cursor::Double(-1.5), Some(Greater)),
            (
                Cursor::Integer((1 << 53) + 1),
                Cursor::Double(9_007_199_254_740_992.0),
                Some(Greater),
            ),
            (Cursor::Integer(5), Cursor::Double(f64::INFINITY), Some(Less)),
            (decimal(150, 2), Cursor::Double(1.5), Some(Equal)),
            (decimal(150, 2), decimal(15, 1), Some(Equal)),
            (decimal(151, 2), Cursor::Integer(1), Some(Greater)),
            (text("2024-01-01T00:00:00Z"), text("2024-01-01T00:00:00+02:00"), Some(Greater)),
            (text("\u{ffff}"), text("\u{10000}"), Some(Less)),
            (text("1"), Cursor::Integer(1), None),
            (Cursor::Date(1), Cursor::Timestamp { nanos: 1, offset: None }, None),
            (
                Cursor::Timestamp { nanos: 1, offset: None },
                Cursor::Timestamp { nanos: 1, offset: Some(3600) },
                Some(Equal),
            ),
        ] {
            assert_eq!(left.compare(&right), order, "{left:?} {right:?}");
            assert_eq!(right.compare(&left), order.map(Ordering::reverse), "{left:?} {right:?}");
        }
    }

    #[test]
    fn the_state_holds_values_as_dlt_writes_them() {
        let noon = 1_704_196_800_000_000_000_i128;
        for (value, state) in [
            (Cursor::Bool(true), Json::from(true)),
            (Cursor::Integer(u64::MAX.into()), Json::from(u64::MAX)),
            (Cursor::Double(0.1), Json::from(0.1)),
            (text("x"), Json::from("x")),
            (Cursor::Decimal { digits: i256::from_i128(150), scale: 2 }, "\u{f026}1.50".into()),
            (Cursor::Decimal { digits: i256::from_i128(-5), scale: 3 }, "\u{f026}-0.005".into()),
            (Cursor::Date(19_724), "\u{f028}2024-01-02".into()),
            (Cursor::Time(3_723_000_004_000), "\u{f02d}01:02:03.000004".into()),
            (Cursor::Timestamp { nanos: noon, offset: None }, "\u{f027}2024-01-02T12:00:00".into()),
            (
                Cursor::Timestamp { nanos: noon + 123_000_000, offset: Some(0) },
                "\u{f027}2024-01-02T12:00:00.123000+00:00".into(),
            ),
            (
                Cursor::Timestamp { nanos: noon, offset: Some(7200) },
                "\u{f027}2024-01-02T14:00:00+02:00".into(),
            ),
            (
                Cursor::Timestamp { nanos: noon, offset: Some(-12_600) },
                "\u{f027}2024-01-02T08:30:00-03:30".into(),
            ),
        ] {
            assert_eq!(value.to_state(), state);
            assert_eq!(Cursor::from_state(&state), Some(value));
        }
        assert_eq!(Cursor::from_state(&Json::Null), None);
        let unreadable = Json::from("\u{f027}soon");
        assert_eq!(Cursor::from_state(&unreadable), Some(text("\u{f027}soon")));
    }
}

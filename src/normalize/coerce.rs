//! One value into the type of its column: dlt's matrix.
//!
//! Source: dlt, `dlt/common/data_types/type_helpers.py`. `None` means that the column cannot hold the value without
//! loss; it then goes into a variant column.

use std::borrow::Cow;

use arrow::datatypes::i256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use simd_json::{Node, StaticNode};
use transload_core::DataType;

use super::{text, timestamp};

/// A value of the input that is not NULL.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'v> {
    Text(&'v str),
    Integer(i64),
    /// An integer beyond 64 bits, of at most 38 digits. dlt has no place for these: it fails when it reads or loads
    /// them. Here they are exact decimals.
    Wide(i128),
    Double(f64),
    Bool(bool),
    /// An object or a list that is kept as it is.
    Json(&'v [Node<'v>]),
}

/// Digits that a [`Value::Wide`] may have.
pub(super) const WIDE_DIGITS: u32 = 38;

impl Value<'_> {
    /// The type that a new column gets for it, before detection.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Text(_) => DataType::Text,
            Self::Integer(_) => DataType::Bigint,
            Self::Wide(_) => DataType::Decimal,
            Self::Double(_) => DataType::Double,
            Self::Bool(_) => DataType::Bool,
            Self::Json(_) => DataType::Json,
        }
    }
}

/// A scalar of the tape; none for NULL and for an integer of more digits than a decimal has.
#[inline]
pub(super) fn value_of<'v>(nodes: &'v [Node<'v>]) -> Option<Value<'v>> {
    const LIMIT: i128 = 10_i128.pow(WIDE_DIGITS);
    Some(match nodes.first()? {
        Node::String(text) => Value::Text(text),
        Node::Object { .. } | Node::Array { .. } => Value::Json(nodes),
        Node::Static(StaticNode::Null) => return None,
        Node::Static(StaticNode::Bool(value)) => Value::Bool(*value),
        Node::Static(StaticNode::F64(value)) => Value::Double(*value),
        Node::Static(StaticNode::I64(value)) => Value::Integer(*value),
        Node::Static(StaticNode::U64(value)) => match i64::try_from(*value) {
            Ok(value) => Value::Integer(value),
            Err(_) => Value::Wide((*value).into()),
        },
        Node::Static(StaticNode::I128(value)) if value.unsigned_abs() < LIMIT as u128 => {
            Value::Wide(*value)
        }
        Node::Static(StaticNode::U128(value)) => {
            Value::Wide(i128::try_from(*value).ok().filter(|v| *v < LIMIT)?)
        }
        Node::Static(StaticNode::I128(_)) => return None,
    })
}

/// Everything has a text. `out` is cleared first.
pub(super) fn to_text(value: &Value<'_>, out: &mut String) {
    out.clear();
    match value {
        Value::Text(value) => out.push_str(value),
        Value::Integer(value) => text::push_integer(out, (*value).into()),
        Value::Wide(value) => text::push_integer(out, *value),
        Value::Double(value) => text::push_python_float(out, *value),
        Value::Bool(value) => out.push_str(if *value { "True" } else { "False" }),
        Value::Json(nodes) => text::push_json(out, nodes),
    }
}

/// JSON text of a value, which must be JSON already. `out` is cleared first.
pub(super) fn to_json(value: &Value<'_>, out: &mut String) -> Option<()> {
    out.clear();
    match value {
        Value::Json(nodes) => text::push_json(out, nodes),
        Value::Text(value) => out.push_str(&text::compact_json(value)?),
        _ => return None,
    }
    Some(())
}

pub(super) fn to_bigint(value: &Value<'_>) -> Option<i64> {
    match *value {
        Value::Integer(value) => Some(value),
        Value::Double(value) if value.fract() == 0.0 && value.abs() < 9.3e18 => {
            // Compared in whole numbers: the limits of 64 bits are not exact in a double.
            i64::try_from(value as i128).ok()
        }
        Value::Text(value) => i64::try_from(parse_python_integer(value)?).ok(),
        _ => None,
    }
}

pub(super) fn to_double(value: &Value<'_>) -> Option<f64> {
    match *value {
        Value::Double(value) => Some(value),
        Value::Integer(value) => Some(value as f64),
        Value::Wide(value) => Some(value as f64),
        Value::Text(value) => match hexadecimal(value) {
            Some(value) => Some(value? as f64),
            None => parse_python_float(value),
        },
        _ => None,
    }
}

pub(super) fn to_bool(value: &Value<'_>) -> Option<bool> {
    match *value {
        Value::Bool(value) => Some(value),
        Value::Integer(value) => Some(value != 0),
        Value::Wide(value) => Some(value != 0),
        Value::Double(value) => Some(value != 0.0),
        Value::Text(value) => {
            let is = |words: [&str; 5]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
            if is(["yes", "true", "t", "y", "1"]) {
                Some(true)
            } else {
                is(["no", "false", "f", "n", "0"]).then_some(false)
            }
        }
        Value::Json(_) => None,
    }
}

/// Microseconds since 1970.
pub(super) fn to_timestamp(value: &Value<'_>) -> Option<i64> {
    match *value {
        Value::Text(value) => timestamp::timestamp_from_text(value),
        Value::Integer(value) => timestamp::timestamp_from_whole_seconds(value),
        Value::Double(value) => timestamp::timestamp_from_seconds(value),
        _ => None,
    }
}

/// Days since 1970.
pub(super) fn to_date(value: &Value<'_>) -> Option<i32> {
    match *value {
        Value::Text(value) => timestamp::date_from_text(value),
        _ => to_timestamp(value).map(timestamp::date_of),
    }
}

/// Microseconds since midnight.
pub(super) fn to_time(value: &Value<'_>) -> Option<i64> {
    match *value {
        Value::Text(value) => timestamp::time_from_text(value),
        _ => None,
    }
}

pub(super) fn to_binary(value: &Value<'_>) -> Option<Vec<u8>> {
    match *value {
        Value::Text(value) => match value.strip_prefix("0x") {
            Some(digits) => bytes_of_hexadecimal(digits),
            None => STANDARD.decode(value).ok(),
        },
        Value::Integer(value) => {
            let bytes = u64::try_from(value).ok()?.to_le_bytes();
            let length = (u64::BITS - (value as u64).leading_zeros()).div_ceil(8);
            Some(bytes[..length as usize].to_vec())
        }
        _ => None,
    }
}

/// The unscaled digits of a decimal with this precision and scale.
///
/// A double stands for its shortest digits, which are those that the input had: 12.34 fits a scale of 2.
pub(super) fn to_decimal(value: &Value<'_>, precision: u8, scale: i8) -> Option<i256> {
    let digits: Cow<'_, str> = match *value {
        Value::Integer(value) => value.to_string().into(),
        Value::Wide(value) => value.to_string().into(),
        Value::Double(value) if value.is_finite() => format!("{value:?}").into(),
        Value::Text(value) => match hexadecimal(value) {
            Some(value) => value?.to_string().into(),
            None => value.trim().into(),
        },
        _ => return None,
    };
    parse_decimal(&digits, precision, scale)
}

/// Reads `-12.50e3` exactly.
fn parse_decimal(text: &str, precision: u8, scale: i8) -> Option<i256> {
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits: String = whole.chars().chain(fraction.chars()).filter(|c| *c != '_').collect();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction_digits = fraction.chars().filter(|c| *c != '_').count();
    let shift = exponent
        .checked_sub(i64::try_from(fraction_digits).ok()?)?
        .checked_add(i64::from(scale))?;
    let significant = digits.trim_start_matches('0').len();
    if significant == 0 {
        return Some(i256::ZERO);
    }
    if shift >= 0 {
        // Bounds what follows, whatever the exponent says.
        if shift > i64::from(precision) - significant as i64 {
            return None;
        }
        digits.push_str(&"0".repeat(shift as usize));
    } else {
        let kept = digits.len().checked_sub(usize::try_from(shift.unsigned_abs()).ok()?)?;
        if digits[kept..].bytes().any(|byte| byte != b'0') {
            return None;
        }
        digits.truncate(kept);
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > usize::from(precision) {
        return None;
    }
    let value = if digits.is_empty() { i256::ZERO } else { i256::from_string(digits)? };
    Some(if negative { value.wrapping_neg() } else { value })
}

/// `Some` for text that starts with `0x`, as dlt takes it for integers; the inner `None` is a fault in it.
fn hexadecimal(text: &str) -> Option<Option<i128>> {
    let digits = text.trim().strip_prefix("0x")?;
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, digits),
    };
    Some(without_underscores(digits).and_then(|digits| {
        let signed = digits.starts_with(['+', '-']);
        let value = i128::from_str_radix(&digits, 16).ok().filter(|_| !signed)?;
        Some(if negative { -value } else { value })
    }))
}

/// Python's `int()`, with dlt's `0x`.
fn parse_python_integer(text: &str) -> Option<i128> {
    if let Some(value) = hexadecimal(text) {
        return value;
    }
    without_underscores(text.trim())?.parse().ok()
}

/// Python's `float()`.
pub(super) fn parse_python_float(text: &str) -> Option<f64> {
    without_underscores(text.trim())?.parse().ok()
}

/// Python lets single underscores stand between digits.
fn without_underscores(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(text.into());
    }
    let bytes = text.as_bytes();
    let between_digits = |at: usize| {
        let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
        at > 0 && digit(bytes.get(at - 1)) && digit(bytes.get(at + 1))
    };
    let sound = bytes.iter().enumerate().all(|(at, byte)| *byte != b'_' || between_digits(at));
    sound.then(|| text.replace('_', "").into())
}

fn bytes_of_hexadecimal(digits: &str) -> Option<Vec<u8>> {
    // As `bytes.fromhex`, blanks between bytes are skipped.
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| (byte as char).to_digit(16);
    pairs.iter().map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_numbers_as_in_python() {
        let bigint = |text| to_bigint(&Value::Text(text));
        assert_eq!(bigint(" 7 "), Some(7));
        assert_eq!(bigint("1_000"), Some(1000));
        assert_eq!(bigint("0xff"), Some(255));
        assert_eq!(bigint("0x-1"), Some(-1));
        assert_eq!(bigint("+5"), Some(5));
        for text in
            ["1.0", "", "1__0", "_1", "1_", "0x", "0Xff", "-0x1f", "9223372036854775808", "0x+-1"]
        {
            assert_eq!(bigint(text), None, "{text}");
        }
        let double = |text| to_double(&Value::Text(text));
        assert_eq!(double("0x10"), Some(16.0));
        assert_eq!(double(" 2 "), Some(2.0));
        assert_eq!(double(".5"), Some(0.5));
        assert_eq!(double("1_0.5"), Some(10.5));
        assert_eq!(double("-Infinity"), Some(f64::NEG_INFINITY));
        for text in ["abc", "", "infinit", "1e", "1d", "0x1p3"] {
            assert_eq!(double(text), None, "{text}");
        }
        assert_eq!(to_bigint(&Value::Double(9_223_372_036_854_775_808.0)), None);
        assert_eq!(to_bigint(&Value::Double(-9_223_372_036_854_775_808.0)), Some(i64::MIN));
        assert_eq!(to_bigint(&Value::Double(1.5)), None);
    }

    #[test]
    fn exponents_of_any_size_are_only_numbers_that_do_not_fit() {
        let decimal = |text: &str, scale| to_decimal(&Value::Text(text), 38, scale);
        for (text, scale) in [
            ("1e9223372036854775798", 9),
            ("1e9223372036854775807", 0),
            ("1e-9223372036854775808", 0),
            ("1.5e-9223372036854775808", 9),
        ] {
            assert_eq!(decimal(text, scale), None, "{text}");
        }
        assert_eq!(decimal("0e9223372036854775807", 0), Some(i256::ZERO));
    }

    #[test]
    fn booleans_take_words_and_numbers() {
        assert_eq!(to_bool(&Value::Text("Y")), Some(true));
        assert_eq!(to_bool(&Value::Text("no")), Some(false));
        assert_eq!(to_bool(&Value::Text("maybe")), None);
        assert_eq!(to_bool(&Value::Double(2.5)), Some(true));
        assert_eq!(to_bool(&Value::Integer(0)), Some(false));
    }

    #[test]
    fn binary_takes_hexadecimal_base64_and_integers() {
        assert_eq!(to_binary(&Value::Text("0x30")).as_deref(), Some(&b"0"[..]));
        assert_eq!(
            to_binary(&Value::Text("YmluYXJ5IHN0cmluZw==")).as_deref(),
            Some(&b"binary string"[..])
        );
        assert_eq!(to_binary(&Value::Text("!YmluYXJ5IHN0cmluZw==")), None);
        assert_eq!(to_binary(&Value::Text("0x3")), None);
        assert_eq!(to_binary(&Value::Integer(258)).as_deref(), Some(&[2, 1][..]));
        assert_eq!(to_binary(&Value::Integer(0)).as_deref(), Some(&[][..]));
        assert_eq!(to_binary(&Value::Integer(-1)), None);
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        let of = |text: &str, precision, scale| {
            to_decimal(&Value::Text(text), precision, scale).map(|value| value.to_string())
        };
        assert_eq!(of("12.5", 10, 2).as_deref(), Some("1250"));
        assert_eq!(of("-12.50", 10, 1).as_deref(), Some("-125"));
        assert_eq!(of("1e3", 10, 2).as_deref(), Some("100000"));
        assert_eq!(of("1E-2", 10, 2).as_deref(), Some("1"));
        assert_eq!(of("0.000", 3, 0).as_deref(), Some("0"));
        assert_eq!(of("0xff", 10, 0).as_deref(), Some("255"));
        for text in
            ["12.345", "123456789", "NaN", "", "1e99999999999", "1e-99999999999", "--1", "1.2.3"]
        {
            assert_eq!(of(text, 10, 2), None, "{text}");
        }
        assert_eq!(
            to_decimal(&Value::Double(12.34), 10, 2).map(|v| v.to_string()).as_deref(),
            Some("1234")
        );
        let wide = 99_999_999_999_999_999_999_999_999_999_999_999_999_i128;
        assert_eq!(to_decimal(&Value::Wide(wide), 38, 0), Some(i256::from_i128(wide)));
    }
}

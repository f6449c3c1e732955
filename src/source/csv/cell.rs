//! From a value of CSV to a value of JSON.

use std::io::Write as _;

use transload_core::DataType;

use super::record::Field;

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bigint,
    Double,
    Bool,
    Text,
}

impl Kind {
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Bigint => DataType::Bigint,
            Self::Double => DataType::Double,
            Self::Bool => DataType::Bool,
            Self::Text => DataType::Text,
        }
    }
}

/// What the values of a column can be, as far as they were seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    has_value: bool,
    bigint: bool,
    double: bool,
    bool: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Self { has_value: false, bigint: true, double: true, bool: true }
    }
}

impl Guess {
    pub(super) fn see(&mut self, value: &[u8]) {
        self.has_value = true;
        self.bigint = self.bigint && is_bigint(value);
        self.double = self.double && double(value).is_some();
        self.bool = self.bool && bool(value).is_some();
    }

    /// A column without values is text: whatever comes later fits it.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self { has_value: false, .. } => Kind::Text,
            Self { bigint: true, .. } => Kind::Bigint,
            Self { double: true, .. } => Kind::Double,
            Self { bool: true, .. } => Kind::Bool,
            _ => Kind::Text,
        }
    }
}

/// Writes a value. What does not fit the kind of its column is a text, so that nothing of it is lost.
pub(super) fn write(field: &Field<'_>, kind: Kind, out: &mut Vec<u8>) {
    let raw = field.raw;
    match kind {
        Kind::Bigint if is_bigint(raw) => out.extend_from_slice(raw),
        Kind::Double => match double(raw) {
            Some(IsWhole(is_whole)) => {
                out.extend_from_slice(raw);
                if is_whole {
                    // Else it would be an integer of JSON.
                    out.extend_from_slice(b".0");
                }
            }
            None => write_field(field, out),
        },
        Kind::Bool => match bool(raw) {
            Some(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
            None => write_field(field, out),
        },
        Kind::Bigint | Kind::Text => write_field(field, out),
    }
}

fn write_field(field: &Field<'_>, out: &mut Vec<u8>) {
    out.push(b'"');
    match field.doubled {
        None => escape(field.raw, out),
        Some(quote) => {
            let mut rest = field.raw;
            while let Some(at) = memchr::memchr(quote, rest) {
                escape(&rest[..=at], out);
                rest = rest.get(at + 2..).unwrap_or_default();
            }
            escape(rest, out);
        }
    }
    out.push(b'"');
}

/// Writes a text of JSON, with its quotes.
pub(super) fn write_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\')) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            // Writing into memory cannot fail.
            byte => _ = write!(out, "\\u{byte:04x}"),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn bool(value: &[u8]) -> Option<bool> {
    match value {
        b"true" | b"True" | b"TRUE" => Some(true),
        b"false" | b"False" | b"FALSE" => Some(false),
        _ => None,
    }
}

/// Whether a value is an integer of 64 bits as one writes it: `007` and `+7` are names of something, and `-0` is not 0.
fn is_bigint(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let is_plain = match digits {
        [b'0'] => digits.len() == value.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    // 18 digits always fit.
    is_plain
        && (digits.len() <= 18
            || std::str::from_utf8(value).is_ok_and(|text| text.parse::<i64>().is_ok()))
}

/// Whether a number has neither fraction nor exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct IsWhole(bool);

/// A number as JSON writes it that a double holds without loss: finite, and of no more than the 17 digits that tell each
/// double from its neighbours.
fn double(value: &[u8]) -> Option<IsWhole> {
    let rest = value.strip_prefix(b"-").unwrap_or(value);
    let (whole, rest) = digits(rest);
    if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
        return None;
    }
    let (fraction, rest) = match rest.strip_prefix(b".") {
        Some(rest) => match digits(rest) {
            ([], _) => return None,
            (fraction, rest) => (fraction, rest),
        },
        None => (&[][..], rest),
    };
    let has_exponent = match rest {
        [] => false,
        [b'e' | b'E', rest @ ..] => {
            let rest = rest.strip_prefix(b"-").or(rest.strip_prefix(b"+")).unwrap_or(rest);
            let (exponent, rest) = digits(rest);
            if exponent.is_empty() || !rest.is_empty() {
                return None;
            }
            true
        }
        _ => return None,
    };
    let leading = whole.iter().chain(fraction).take_while(|digit| **digit == b'0').count();
    let significant = whole.len() + fraction.len() - leading;
    if significant > 17 {
        return None;
    }
    if has_exponent || fraction.len() > 300 {
        let number: f64 = std::str::from_utf8(value).ok()?.parse().ok()?;
        if !number.is_finite() || (number == 0.0 && significant > 0) {
            return None;
        }
    }
    Some(IsWhole(fraction.is_empty() && !has_exponent))
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(values: &[&str]) -> Kind {
        let mut guess = Guess::default();
        values.iter().for_each(|value| guess.see(value.as_bytes()));
        guess.kind()
    }

    #[test]
    fn the_kind_of_a_column_is_that_of_all_its_values() {
        for (values, expected) in [
            (&["1", "-20", "0"][..], Kind::Bigint),
            (&["9223372036854775807", "-9223372036854775808"], Kind::Bigint),
            (&["1", "2.5"], Kind::Double),
            (&["1e-05", "-0", "0.30000000000000004"], Kind::Double),
            (&["true", "False"], Kind::Bool),
            (&[], Kind::Text),
            (&["1", "true"], Kind::Text),
            (&["9223372036854775808"], Kind::Text),
            // Nothing of these may be lost.
            (&["007"], Kind::Text),
            (&["+1"], Kind::Text),
            (&["00.5"], Kind::Text),
            (&["0.123456789012345678"], Kind::Text),
            (&["1e400"], Kind::Text),
            (&["1e-400"], Kind::Text),
            (&["NaN"], Kind::Text),
            (&["1."], Kind::Text),
            (&[".5"], Kind::Text),
            (&["1e"], Kind::Text),
            (&["0x1f"], Kind::Text),
            (&["1 "], Kind::Text),
            (&["yes"], Kind::Text),
            (&["-"], Kind::Text),
            (&[""], Kind::Text),
        ] {
            assert_eq!(kind(values), expected, "{values:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_a_text() {
        let written = |value: &str, kind| {
            let mut out = Vec::new();
            let field = Field { raw: value.as_bytes(), is_quoted: false, doubled: None };
            write(&field, kind, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written("7", Kind::Bigint), "7");
        assert_eq!(written("7.5", Kind::Bigint), "\"7.5\"");
        assert_eq!(written("7", Kind::Double), "7.0");
        assert_eq!(written("7e2", Kind::Double), "7e2");
        assert_eq!(written("seven", Kind::Double), "\"seven\"");
        assert_eq!(written("TRUE", Kind::Bool), "true");
        assert_eq!(written("1", Kind::Bool), "\"1\"");
        assert_eq!(written("a\"\\\n\u{1}é", Kind::Text), "\"a\\\"\\\\\\n\\u0001é\"");
    }
}

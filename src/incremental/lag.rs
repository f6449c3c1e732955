//! Stepping back from the last value of a cursor, so that rows that come late are read again.
//!
//! Source: dlt, `dlt/extract/incremental/lag.py` and `detect_datetime_format`.

use std::cmp::Ordering;

use transload_core::{Error, ErrorKind, Result};

use super::LastValueFunc;
use super::time;
use super::value::Cursor;

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;

/// The last value less the lag, but not beyond the initial value: seconds for points in time, whole days (rounded down)
/// for dates, units for numbers. A text keeps its form.
///
/// # Errors
/// [`ErrorKind::Configuration`] for values that have no lag.
pub(super) fn apply(
    lag: f64,
    func: LastValueFunc,
    initial: Option<&Cursor<'static>>,
    last: &Cursor<'static>,
) -> Result<Cursor<'static>> {
    let back = match func {
        LastValueFunc::Max => -lag,
        LastValueFunc::Min => lag,
    };
    let refused = || {
        Error::new(ErrorKind::Configuration, "the cursor has no lag")
            .with("lag", lag)
            .with("last value", last.to_state())
            .with_hint(
                "a lag is for numbers, dates and points in time; texts must be like `2024-01-02`, \
                 `2024-01-02T03:04:05Z` or `2024-01-02T03:04:05.6+02:00`",
            )
    };
    let lagged = step(back, last).ok_or_else(refused)?;
    let Some(initial) = initial else { return Ok(lagged) };
    match func.order(initial, &lagged) {
        Some(Ordering::Less) => Ok(lagged),
        Some(_) => Ok(initial.clone()),
        None => Err(refused().with("initial value", initial.to_state())),
    }
}

fn step(back: f64, last: &Cursor<'static>) -> Option<Cursor<'static>> {
    Some(match last {
        // Python cuts off towards zero, but does not go by way of a double where the lag is whole.
        Cursor::Integer(value) if back.fract() == 0.0 => Cursor::Integer(value + back as i128),
        Cursor::Integer(value) => Cursor::Integer((*value as f64 + back) as i128),
        Cursor::Double(value) => Cursor::Double(value + back),
        Cursor::Timestamp { nanos, offset } => {
            Cursor::Timestamp { nanos: nanos + nanos_of(back)?, offset: *offset }
        }
        Cursor::Date(days) => Cursor::Date(add_days(*days, back)?),
        Cursor::Text(text) => Cursor::Text(step_text(back, text)?.into()),
        Cursor::Bool(_) | Cursor::Decimal { .. } | Cursor::Time(_) => return None,
    })
}

fn nanos_of(seconds: f64) -> Option<i128> {
    // A thousand centuries; what lies beyond is no time.
    (seconds.abs() < 3e12).then(|| (seconds * 1e6).round() as i128 * 1000)
}

fn add_days(days: i32, back: f64) -> Option<i32> {
    (back.abs() < 3e6).then(|| days.checked_add(back.floor() as i32)).flatten()
}

/// A text of one of the forms that dlt knows, in the same form.
fn step_text(back: f64, text: &str) -> Option<String> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    match shape.as_str() {
        "0000-00-00" => return Some(time::date_text(add_days(time::parse_date(text)?, back)?)),
        "00000000" => {
            let dashed = format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]);
            let date = time::date_text(add_days(time::parse_date(&dashed)?, back)?);
            return Some(date.replace('-', ""));
        }
        _ => {}
    }
    let after = shape.strip_prefix("0000-00-00T00")?;
    let (precision, after) = match after {
        "" => (Precision::Hour, ""),
        ":00" => (Precision::Minute, ""),
        after => {
            let after = after.strip_prefix(":00:00")?;
            match after.strip_prefix('.') {
                Some(fraction) => {
                    let after = fraction.trim_start_matches('0');
                    // dlt knows no fraction without a zone.
                    (after.len() < fraction.len() && !after.is_empty())
                        .then_some((Precision::Fraction, after))?
                }
                None => (Precision::Second, after),
            }
        }
    };
    let zone = match after {
        "" => Zone::None,
        "Z" => Zone::Zulu,
        "+00:00" | "-00:00" => Zone::Colon,
        "+0000" | "-0000" => Zone::Plain,
        _ => return None,
    };
    // The reader wants minutes.
    let whole = if precision == Precision::Hour { format!("{text}:00") } else { text.to_owned() };
    let (nanos, offset) = time::parse_timestamp(&whole)?;
    let offset = offset.unwrap_or_default();
    let local = nanos + nanos_of(back)? + i128::from(offset) * SECOND;
    let date = time::date_text(i32::try_from(local.div_euclid(DAY)).ok()?);
    let micros = local.rem_euclid(DAY) / 1000;
    let seconds = micros / 1_000_000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let clock = match precision {
        Precision::Hour => format!("{hour:02}"),
        Precision::Minute => format!("{hour:02}:{minute:02}"),
        Precision::Second => format!("{hour:02}:{minute:02}:{second:02}"),
        Precision::Fraction => {
            format!("{hour:02}:{minute:02}:{second:02}.{:06}", micros % 1_000_000)
        }
    };
    let zone = match zone {
        Zone::None => String::new(),
        Zone::Zulu => "Z".to_owned(),
        Zone::Colon => time::offset_text(offset, ":"),
        Zone::Plain => time::offset_text(offset, ""),
    };
    Some(format!("{date}T{clock}{zone}"))
}

#[derive(Clone, Copy, PartialEq)]
enum Precision {
    Hour,
    Minute,
    Second,
    Fraction,
}

#[derive(Clone, Copy)]
enum Zone {
    None,
    Zulu,
    Colon,
    Plain,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lagged(lag: f64, last: &str) -> Option<String> {
        match apply(lag, LastValueFunc::Max, None, &Cursor::Text(last.to_owned().into())) {
            Ok(Cursor::Text(text)) => Some(text.into_owned()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Configuration);
                None
            }
        }
    }

    #[test]
    fn texts_step_back_in_their_own_form() {
        for (last, text) in [
            ("2024-01-02T00:00:00Z", "2024-01-01T23:00:00Z"),
            ("2024-01-02T00:00:00.5Z", "2024-01-01T23:00:00.500000Z"),
            ("2024-01-02T00:00:00.123456789Z", "2024-01-01T23:00:00.123456Z"),
            ("2024-01-02T00:00:00+02:00", "2024-01-01T23:00:00+02:00"),
            ("2024-01-02T00:00:00-0230", "2024-01-01T23:00:00-0230"),
            ("2024-01-02T00:00:00.25+02:00", "2024-01-01T23:00:00.250000+02:00"),
            ("2024-01-02T00:00:00", "2024-01-01T23:00:00"),
            ("2024-01-02T00:00", "2024-01-01T23:00"),
            ("2024-01-02T00", "2024-01-01T23"),
            ("2024-01-02", "2014-02-23"),
            ("20240102", "20140223"),
        ] {
            assert_eq!(lagged(3600.0, last).as_deref(), Some(text));
        }
        assert_eq!(lagged(1.5, "2024-01-02T00:00:00Z").as_deref(), Some("2024-01-01T23:59:58Z"));
        assert_eq!(lagged(1.5, "2024-01-02").as_deref(), Some("2023-12-31"));
        assert_eq!(lagged(0.4, "2024-01-02").as_deref(), Some("2024-01-01"));
        assert_eq!(lagged(-1.5, "2024-01-02").as_deref(), Some("2024-01-03"));
        for text in [
            "abc",
            "2024-01-02 00:00:00",
            "2024-01-02T00:00:00.5",
            "2024-13-02",
            "2024",
            "é024-01-02",
        ] {
            assert_eq!(lagged(1.0, text), None, "{text}");
        }
        assert_eq!(lagged(1e12, "2024-01-02T00:00:00Z").map(|text| text.len() < 40), Some(true));
    }

    #[test]
    fn numbers_and_times_step_back_too() {
        let of = |lag, func, last| apply(lag, func, None, &last).unwrap();
        use LastValueFunc::{Max, Min};
        assert_eq!(of(2.5, Max, Cursor::Integer(10)), Cursor::Integer(7));
        assert_eq!(of(2.5, Max, Cursor::Integer(-10)), Cursor::Integer(-12));
        assert_eq!(of(2.5, Min, Cursor::Integer(-10)), Cursor::Integer(-7));
        assert_eq!(of(3.0, Max, Cursor::Integer((1 << 60) + 1)), Cursor::Integer((1 << 60) - 2));
        assert_eq!(of(2.0, Max, Cursor::Double(10.5)), Cursor::Double(8.5));
        assert_eq!(of(2.0, Max, Cursor::Date(10)), Cursor::Date(8));
        assert_eq!(
            of(2.0, Max, Cursor::Timestamp { nanos: 0, offset: None }),
            Cursor::Timestamp { nanos: -2_000_000_000, offset: None }
        );
        let decimal = Cursor::from_state(&"\u{f026}2.5".into()).unwrap();
        assert!(apply(2.0, Max, None, &decimal).is_err());
    }

    #[test]
    fn the_initial_value_is_not_crossed() {
        let of = |func, initial, last| {
            apply(3.0, func, Some(&Cursor::Integer(initial)), &Cursor::Integer(last)).unwrap()
        };
        assert_eq!(of(LastValueFunc::Max, 9, 10), Cursor::Integer(9));
        assert_eq!(of(LastValueFunc::Max, 2, 10), Cursor::Integer(7));
        assert_eq!(of(LastValueFunc::Min, 11, 10), Cursor::Integer(11));
        let text = Cursor::Text("x".into());
        assert!(apply(3.0, LastValueFunc::Max, Some(&text), &Cursor::Integer(1)).is_err());
    }
}

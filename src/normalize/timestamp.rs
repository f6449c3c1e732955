//! Texts that are dates, times and points in time, as pendulum's strict parser takes them.
//!
//! Source: pendulum 3, `parse_iso8601` (its compiled form, stricter than the regular expression in Python) and, where
//! that fails, `_parse_common`, but for a blank that the latter lets be missing: `12345:6` is no point in time. A naive time is UTC; digits behind the microseconds are cut off.

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400 * MICROS;
/// Python's years: 1 to 9999.
const FIRST: i64 = -62_135_596_800 * MICROS;
const LAST: i64 = 253_402_300_800 * MICROS - 1;

/// Microseconds since 1970 of a text that has both a date and a time. Dates alone, times alone and RFC 822 are none.
pub(super) fn parse_timestamp(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    // Nearly all texts end here.
    if bytes.len() < 8 || bytes.len() > 64 || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    in_range(iso_timestamp(bytes).or_else(|| common_timestamp(bytes))?)
}

/// What a text becomes in a timestamp column: also a date, at midnight, or seconds since 1970.
pub(super) fn timestamp_from_text(text: &str) -> Option<i64> {
    if let Some(micros) = parse_timestamp(text) {
        return Some(micros);
    }
    if let Some(days) = iso_or_common_date(text.as_bytes()) {
        return in_range(days * DAY);
    }
    timestamp_from_seconds(super::coerce::parse_python_float(text)?)
}

/// Days since 1970 of what a text becomes in a date column.
pub(super) fn date_from_text(text: &str) -> Option<i32> {
    i32::try_from(timestamp_from_text(text)?.div_euclid(DAY)).ok()
}

/// Microseconds since 1970 of a number of seconds, rounded half to even as Python does.
pub(super) fn timestamp_from_seconds(seconds: f64) -> Option<i64> {
    if !seconds.is_finite() || seconds.abs() > 1e12 {
        return None;
    }
    let micros = (seconds.fract() * MICROS as f64).round_ties_even() as i64;
    in_range(seconds.trunc() as i64 * MICROS + micros)
}

/// Microseconds since 1970 of a whole number of seconds.
pub(super) fn timestamp_from_whole_seconds(seconds: i64) -> Option<i64> {
    in_range(seconds.checked_mul(MICROS)?)
}

/// Whether a text is a date, be it only a year, and has no time.
pub(super) fn is_date(text: &str) -> bool {
    iso_or_common_date(text.as_bytes()).is_some_and(|days| in_range(days * DAY).is_some())
}

/// Days since 1970 of a point in time.
pub(super) fn date_of(micros: i64) -> i32 {
    // Python's years fit.
    micros.div_euclid(DAY) as i32
}

/// Microseconds since midnight, in UTC, of a text that is a time of day.
pub(super) fn time_from_text(text: &str) -> Option<i64> {
    let mut cursor = Cursor(text.as_bytes());
    if cursor.take(b'T') {
        let micros = cursor.iso_time(false)?;
        return cursor.end(micros);
    }
    let (micros, strict) = cursor.loose_time()?;
    let offset = if strict { cursor.offset()? } else { 0 };
    cursor.end(())?;
    Some((micros - offset).rem_euclid(DAY))
}

/// Whether a text has decimals of the second beyond its microseconds.
pub(super) fn is_finer_than_micros(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some(point) = memchr::memchr2(b'.', b',', bytes) else { return false };
    let decimals = bytes[point + 1..].iter().take_while(|byte| byte.is_ascii_digit());
    decimals.skip(6).any(|digit| *digit != b'0')
}

fn in_range(micros: i64) -> Option<i64> {
    (FIRST..=LAST).contains(&micros).then_some(micros)
}

fn iso_timestamp(bytes: &[u8]) -> Option<i64> {
    let mut cursor = Cursor(bytes);
    let days = cursor.iso_date()?;
    // A year alone has no time.
    if bytes.len() - cursor.0.len() == 4 || (!cursor.take(b'T') && !cursor.take(b' ')) {
        return None;
    }
    let time = cursor.iso_time(bytes[4] == b'-')?;
    let offset = cursor.offset()?;
    cursor.end(days * DAY + time - offset)
}

/// `2021/07/24 1:2:3.5`, `2021:07:24 10:51`, `20210724 10:51`, `2021 10:51`.
fn common_timestamp(bytes: &[u8]) -> Option<i64> {
    let mut cursor = Cursor(bytes);
    let days = cursor.common_date()?;
    if !cursor.take(b' ') {
        return None;
    }
    let (time, _) = cursor.loose_time()?;
    cursor.end(days * DAY + time)
}

fn iso_or_common_date(bytes: &[u8]) -> Option<i64> {
    let whole = |read: &dyn Fn(&mut Cursor<'_>) -> Option<i64>| {
        let mut cursor = Cursor(bytes);
        let days = read(&mut cursor)?;
        cursor.end(days)
    };
    whole(&|cursor| cursor.iso_date()).or_else(|| whole(&|cursor| cursor.common_date()))
}

/// What is left to read.
struct Cursor<'t>(&'t [u8]);

impl Cursor<'_> {
    fn take(&mut self, byte: u8) -> bool {
        let taken = self.0.first() == Some(&byte);
        if taken {
            self.0 = &self.0[1..];
        }
        taken
    }

    fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }

    /// Exactly this many digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let mut value = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            value = value * 10 + i64::from(digit - b'0');
        }
        self.0 = rest;
        Some(value)
    }

    fn digits_ahead(&self) -> usize {
        self.0.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    fn one_or_two_digits(&mut self) -> Option<i64> {
        self.digits(self.digits_ahead().clamp(1, 2))
    }

    /// `2021`, `2021-07`, `2021-07-24`, `20210724`, `2021-205`, `2021205`, `2021-W29`, `2021-W29-6`, `2021W29`, `2021W296`.
    fn iso_date(&mut self) -> Option<i64> {
        let year = self.digits(4)?;
        if self.take(b'-') {
            if self.take(b'W') {
                let week = self.digits(2)?;
                let day = if self.take(b'-') { self.digits(1)? } else { 1 };
                return week_date(year, week, day);
            }
            return match self.digits_ahead() {
                3 => ordinal_date(year, self.digits(3)?),
                2 => {
                    let month = self.digits(2)?;
                    let day = if self.take(b'-') { self.digits(2)? } else { 1 };
                    calendar_date(year, month, day)
                }
                _ => None,
            };
        }
        if self.take(b'W') {
            let week = self.digits(2)?;
            let day = if self.digits_ahead() == 1 { self.digits(1)? } else { 1 };
            return week_date(year, week, day);
        }
        match self.digits_ahead() {
            0 => calendar_date(year, 1, 1),
            3 => ordinal_date(year, self.digits(3)?),
            4 => calendar_date(year, self.digits(2)?, self.digits(2)?),
            _ => None,
        }
    }

    /// `2021/07/24`, `2021:07:24`, `20210724`, `2021`.
    fn common_date(&mut self) -> Option<i64> {
        let year = self.digits(4)?;
        let separated = |cursor: &mut Self| {
            let _ = cursor.take(b'/') || cursor.take(b':');
            cursor.digits(2)
        };
        if matches!(self.0.first(), None | Some(b' ')) {
            return calendar_date(year, 1, 1);
        }
        let month = separated(self)?;
        let day = separated(self)?;
        calendar_date(year, month, day)
    }

    /// `10`, `10:51`, `10:51:03` behind a date with dashes, `10`, `10:51`, `1051`, `105103` behind one without; the
    /// seconds with a fraction.
    fn iso_time(&mut self, dashed: bool) -> Option<i64> {
        let hour = self.digits(2)?;
        let (mut minute, mut second, mut fraction) = (0, 0, 0);
        let separated = self.take(b':');
        if separated || (!dashed && self.digits_ahead() > 0) {
            minute = self.digits(2)?;
            let has_seconds =
                if separated { dashed && self.take(b':') } else { self.digits_ahead() > 0 };
            if has_seconds {
                second = self.digits(2)?;
                if self.take(b'.') || self.take(b',') {
                    fraction = self.fraction()?;
                }
            }
        }
        time(hour, minute, second, fraction)
    }

    /// `1:2`, `1:2:3`, `1:2:3.5`, and whether it was written with two digits each, which lets an offset follow.
    fn loose_time(&mut self) -> Option<(i64, bool)> {
        let start = self.0.len();
        let hour = self.one_or_two_digits()?;
        if !self.take(b':') {
            return None;
        }
        let minute = self.one_or_two_digits()?;
        let mut second = 0;
        let mut strict = start - self.0.len() == 5;
        if self.take(b':') {
            second = self.one_or_two_digits()?;
            strict &= start - self.0.len() == 8;
        }
        let fraction = if self.take(b'.') || self.take(b',') || self.take(b'|') {
            self.fraction()?
        } else {
            0
        };
        Some((time(hour, minute, second, fraction)?, strict))
    }

    /// Digits of a fraction as microseconds.
    fn fraction(&mut self) -> Option<i64> {
        let count = self.digits_ahead();
        if count == 0 {
            return None;
        }
        let kept = count.min(6);
        let value = self.digits(kept)?;
        self.0 = &self.0[count - kept..];
        Some(value * 10_i64.pow(6 - kept as u32))
    }

    /// `Z`, `+02`, `+0230`, `+02:30`, or nothing, which is UTC.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.0.first() {
            None => return Some(0),
            Some(b'Z') => {
                self.0 = &self.0[1..];
                return Some(0);
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        self.0 = &self.0[1..];
        let hours = self.digits(2)?;
        let _ = self.take(b':');
        let minutes = if self.0.is_empty() { 0 } else { self.digits(2)? };
        let seconds = hours * 3600 + minutes * 60;
        // Python has no offset of a day or more.
        (seconds < 86_400).then_some(sign * seconds * MICROS)
    }
}

fn time(hour: i64, minute: i64, second: i64, micros: i64) -> Option<i64> {
    (hour < 24 && minute < 60 && second < 60)
        .then_some(((hour * 60 + minute) * 60 + second) * MICROS + micros)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970. Source: Howard Hinnant, `days_from_civil`.
fn calendar_date(year: i64, month: i64, day: i64) -> Option<i64> {
    if year == 0 || !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn ordinal_date(year: i64, ordinal: i64) -> Option<i64> {
    let days = 365 + i64::from(is_leap(year));
    (1..=days).contains(&ordinal).then_some(calendar_date(year, 1, 1)? + ordinal - 1)
}

/// Weeks and days from 0 on are taken: pendulum does.
fn week_date(year: i64, week: i64, day: i64) -> Option<i64> {
    // The fourth of January is always in the first week; 1970-01-01 was a Thursday.
    let fourth = calendar_date(year, 1, 4)?;
    let first_monday = fourth - (fourth + 3).rem_euclid(7);
    let next = calendar_date(year + 1, 1, 4)?;
    let weeks = (next - (next + 3).rem_euclid(7) - first_monday) / 7;
    (week <= weeks && day <= 7).then_some(first_monday + (week - 1) * 7 + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2021-07-24T10:51:00Z.
    const T: i64 = 1_627_123_860 * MICROS;

    #[test]
    fn texts_with_date_and_time_are_timestamps() {
        for (text, micros) in [
            ("2021-07-24 10:51", T),
            ("2021-07-24T10:51:00", T),
            ("2021-07-24T10:51:03Z", T + 3 * MICROS),
            ("2021-07-24T10:51:03.5Z", T + 3 * MICROS + 500_000),
            ("2021-07-24T10:51:03,123456789", T + 3 * MICROS + 123_456),
            ("2021-07-24T10:51:00+02", T - 7200 * MICROS),
            ("2021-07-24T10:51:00+0230", T - 9000 * MICROS),
            ("2021-07-24T10:51:00-02:30", T + 9000 * MICROS),
            ("20210724T1051", T),
            ("20210724 10:51:00", T),
            ("20210724T105103", T + 3 * MICROS),
            ("2021-W29-6T10:51", T),
            ("2021W296T10:51", T),
            ("2021-205T10:51", T),
            ("2021205T10:51", T),
            ("2021-07-24T10", T - 51 * 60 * MICROS),
            ("2021/07/24 10:51", T),
            ("2021:07:24 10:51:00.0", T),
            ("2021/07/24 10:51:3", T + 3 * MICROS),
            ("0001-01-01T00:00:00", FIRST),
            ("9999-12-31T23:59:59.999999Z", LAST),
        ] {
            assert_eq!(parse_timestamp(text), Some(micros), "{text}");
        }
    }

    #[test]
    fn other_texts_are_not() {
        for text in [
            "1975-05-21",
            "22:00:00",
            "20240102",
            "2024",
            "Wed, 06 Jul 2022 11:58:08 +0200",
            "2021-07-24T10:51:3",
            "2021-07-24T10:51:03z",
            "2021-07-24T10:51:03 +02:30",
            "2021-07-24T10:51:03.",
            "2021-07-24T10:51:60",
            "2021-07-24T24:00:00",
            "2021-02-29T00:00",
            "2021-W296T10:51",
            "2021-W53-1T10:51",
            "2021-366T10:51",
            "2021T10:51",
            "202107T10:51",
            "2021-0724T10:51",
            "2021-07-24T10:51.5",
            "2021-07-24T1051:03",
            "2021-07-24T10:5103",
            "2021-07-24T1051",
            "20210724T10:51:03",
            " 2021-07-24 10:51",
            "2021-07-24 10:51 ",
            "2021-07-24T10:51:03+24:00",
            "0001-01-01T00:00:00+02:00",
            "9999-12-31T23:59:59-02:00",
            "0000-01-01T00:00:00",
            "2021-07-24 1:",
            "2021-07-24T10:51:03UTC",
            "1234567890",
            "2021-13-01T00:00",
            "2021-01-32T00:00",
            "2021-07-24T",
            "2021-07-2410:51",
            "now",
            "06/04/22, 11:15PM IST",
            "20210724T10:51:03+01:000",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn a_timestamp_column_takes_dates_and_seconds_too() {
        assert_eq!(timestamp_from_text(" 1580405246 "), Some(1_580_405_246 * MICROS));
        assert_eq!(timestamp_from_text("2022-04-26 10:36+02"), Some(1_650_962_160 * MICROS));
        assert_eq!(timestamp_from_text("2024-01-05"), Some(1_704_412_800 * MICROS));
        assert_eq!(timestamp_from_text("2024"), Some(1_704_067_200 * MICROS));
        assert_eq!(timestamp_from_seconds(78172.128), Some(78_172_128_000));
        for text in [
            "now",
            "06/04/22, 11:15PM IST",
            "2007-03-01T13:00:00Z/2008-05-11T15:30:00Z",
            "10:51",
            "nan",
            "bad",
        ] {
            assert_eq!(timestamp_from_text(text), None, "{text}");
        }
        assert_eq!(date_from_text("2024-01-02"), Some(19_724));
        assert_eq!(date_from_text("1969-12-31T23:00:00Z"), Some(-1));
    }

    #[test]
    fn times_of_day() {
        assert_eq!(time_from_text("10:11:12"), Some(36_672 * MICROS));
        assert_eq!(time_from_text("T10:11"), Some(36_660 * MICROS));
        assert_eq!(time_from_text("1:2:3"), Some(3_723 * MICROS));
        assert_eq!(time_from_text("01:00:00+02:00"), Some(23 * 3600 * MICROS));
        assert_eq!(time_from_text("2024-01-02"), None);
        assert_eq!(time_from_text("101112"), None);
    }
}

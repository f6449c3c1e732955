//! Points in time, dates and times of day as ISO texts, as Python writes and reads them.

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::temporal::{Pieces, PiecesOffset};
use jiff::{SignedDuration, Span};

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;
const EPOCH: Date = Date::constant(1970, 1, 1);

/// `2024-01-02T14:00:00.123000+02:00`; nine decimals where the time is finer than microseconds.
pub(super) fn timestamp_text(nanos: i128, offset: Option<i32>) -> String {
    let local = nanos + i128::from(offset.unwrap_or_default()) * SECOND;
    let date = date_text(i32::try_from(local.div_euclid(DAY)).unwrap_or_default());
    // A day fits.
    let time = time_text(local.rem_euclid(DAY) as i64);
    format!("{date}T{time}{}", offset.map(|offset| offset_text(offset, ":")).unwrap_or_default())
}

/// `+02:00`, or `+0200` with no separator; seconds where there are some.
pub(super) fn offset_text(offset: i32, separator: &str) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let all = offset.unsigned_abs();
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    let seconds = if seconds == 0 { String::new() } else { format!("{separator}{seconds:02}") };
    format!("{sign}{hours:02}{separator}{minutes:02}{seconds}")
}

/// `2024-01-02`.
pub(super) fn date_text(days: i32) -> String {
    match EPOCH.checked_add(Span::new().days(days.clamp(-4_000_000, 4_000_000))) {
        Ok(date) => format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()),
        // Beyond of what Python has as well.
        Err(_) => format!("{days} days after 1970"),
    }
}

/// `01:02:03`, with six decimals where there are any, and with nine where six do not do.
pub(super) fn time_text(nanos: i64) -> String {
    let (seconds, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let whole = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    match nanos {
        0 => whole,
        nanos if nanos % 1000 == 0 => format!("{whole}.{:06}", nanos / 1000),
        nanos => format!("{whole}.{nanos:09}"),
    }
}

/// Nanoseconds since 1970, and the offset in seconds where the text has one. A date alone is its midnight.
pub(super) fn parse_timestamp(text: &str) -> Option<(i128, Option<i32>)> {
    let pieces = Pieces::parse(text).ok()?;
    if pieces.time_zone_annotation().is_some() {
        return None;
    }
    let offset = match pieces.offset() {
        None => None,
        Some(PiecesOffset::Zulu) => Some(0),
        Some(PiecesOffset::Numeric(offset)) => Some(offset.offset().seconds()),
        Some(_) => return None,
    };
    let local = pieces.date().to_datetime(pieces.time().unwrap_or(Time::midnight()));
    Some((since_epoch(local) - i128::from(offset.unwrap_or_default()) * SECOND, offset))
}

pub(super) fn parse_date(text: &str) -> Option<i32> {
    let date: Date = text.parse().ok()?;
    i32::try_from(since_epoch(date.to_datetime(Time::midnight())) / DAY).ok()
}

pub(super) fn parse_time(text: &str) -> Option<i64> {
    let time: Time = text.parse().ok()?;
    let nanos = time.duration_since(Time::midnight()).as_nanos();
    i64::try_from(nanos).ok()
}

fn since_epoch(local: DateTime) -> i128 {
    let since: SignedDuration = local.duration_since(EPOCH.to_datetime(Time::midnight()));
    since.as_nanos()
}

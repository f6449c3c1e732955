//! Dates and times as numbers, from their texts.

/// Days since 1970-01-01 of `YYYY-MM-DD`.
pub(super) fn days(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let year: i64 = parts.next()?.parse().ok()?;
    let month: i64 = parts.next()?.parse().ok()?;
    let day: i64 = parts.next()?.parse().ok()?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // https://howardhinnant.github.io/date_algorithms.html#days_from_civil
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Nanoseconds since midnight of `HH:MM[:SS[.fraction]]`.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':').map(|part| part.parse::<i64>().ok());
    let hours = parts.next()??;
    let minutes = parts.next()??;
    let seconds = match parts.next() {
        Some(seconds) => seconds?,
        None => 0,
    };
    if parts.next().is_some() || hours > 24 || minutes > 59 || seconds > 60 || fraction.len() > 9 {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;
    Some((hours * 3600 + minutes * 60 + seconds) * 1_000_000_000 + fraction)
}

/// The date and the time of `YYYY-MM-DD[T| ]HH:MM…`, in UTC where an offset is written. Only the offset of UTC itself is
/// understood.
pub(super) fn date_and_time(text: &str) -> Option<(&str, &str)> {
    let (date, time) = text.split_once(['T', ' '])?;
    let time = ["Z", "+00:00:00", "+00:00", "+00", " UTC"]
        .iter()
        .find_map(|offset| time.strip_suffix(offset))
        .unwrap_or(time);
    Some((date, time))
}

/// Nanoseconds since 1970-01-01T00:00:00.
pub(super) fn timestamp(text: &str) -> Option<i128> {
    let (date, time) = date_and_time(text)?;
    Some(i128::from(days(date)?) * 86_400_000_000_000 + i128::from(nanoseconds(time)?))
}

/// A time of day with its fraction only as long as it must be.
pub(super) fn shortest_time(text: &str) -> Option<String> {
    let nanoseconds = nanoseconds(text)?;
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(match rest {
        0 => clock,
        _ => format!("{clock}.{}", format!("{rest:09}").trim_end_matches('0')),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_follow_the_gregorian_calendar() {
        for (text, expected) in [
            ("1970-01-01", 0),
            ("2000-02-29", 11_016),
            ("0001-01-01", -719_162),
            ("9999-12-31", 2_932_896),
        ] {
            assert_eq!(days(text), Some(expected), "{text}");
        }
        assert_eq!(days("2024-13-01"), None);
    }

    #[test]
    fn times_are_as_short_as_they_can_be() {
        assert_eq!(shortest_time("23:59:59.100000").as_deref(), Some("23:59:59.1"));
        assert_eq!(shortest_time("01:02").as_deref(), Some("01:02:00"));
        assert_eq!(timestamp("1970-01-01 00:00:00.000001+00"), Some(1000));
        assert_eq!(timestamp("1969-12-31T23:59:59.999999Z"), Some(-1000));
        assert_eq!(timestamp("1970-01-01T00:00:00+02"), None);
    }
}

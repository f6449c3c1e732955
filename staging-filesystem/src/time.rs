//! Points in time, as far as names and log entries need them: UTC, to the microsecond.

use std::time::SystemTime;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    seconds: u64,
    micros: u32,
}

impl Moment {
    /// Now.
    pub(crate) fn now() -> Self {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self { seconds: since.as_secs(), micros: since.subsec_micros() }
    }

    /// The time that a load id says: Unix seconds with decimals.
    pub(crate) fn of_load_id(load_id: &str) -> Option<Self> {
        // Past this year a date has more than four digits, and the text is no time but a number.
        const YEAR_10000: u64 = 253_402_300_800;
        let (seconds, fraction) = load_id.split_once('.').unwrap_or((load_id, "0"));
        if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let micros = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
        let seconds = seconds.parse().ok().filter(|seconds| *seconds < YEAR_10000)?;
        Some(Self { seconds, micros })
    }

    /// Later by this.
    pub(crate) fn after(self, lasts: std::time::Duration) -> Self {
        Self { seconds: self.seconds + lasts.as_secs(), ..self }
    }

    /// Earlier by this.
    pub(crate) fn before(self, by: std::time::Duration) -> Self {
        Self { seconds: self.seconds.saturating_sub(by.as_secs()), ..self }
    }

    /// Year, month and day.
    ///
    /// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    fn date(self) -> (u64, u64, u64) {
        let days = self.seconds / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        (era * 400 + year_of_era + u64::from(month <= 2), month, day)
    }

    /// RFC 3339, without decimals of the second.
    pub(crate) fn to_seconds(self) -> String {
        let text = self.to_rfc3339();
        format!("{}Z", text.split('.').next().unwrap_or_default())
    }

    /// RFC 3339.
    pub(crate) fn to_rfc3339(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second) =
            (self.seconds / 3_600 % 24, self.seconds / 60 % 60, self.seconds % 60);
        let micros = self.micros;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }

    /// The text of a placeholder of dlt's layouts: a date token of pendulum in lower case, or one of the whole times.
    pub(crate) fn token(self, token: &str) -> Option<String> {
        let (year, month, day) = self.date();
        let (hour, minute, second) =
            (self.seconds / 3_600 % 24, self.seconds / 60 % 60, self.seconds % 60);
        let weekday = (self.seconds / 86_400 + 4) % 7;
        let (month_name, day_name) = (MONTHS[month as usize - 1], DAYS[weekday as usize]);
        Some(match token {
            "timestamp" | "load_package_timestamp" => self.seconds.to_string(),
            "timestamp_ms" | "load_package_timestamp_ms" => {
                (self.seconds * 1_000 + u64::from(self.micros) / 1_000).to_string()
            }
            "curr_date" => format!("{year:04}-{month:02}-{day:02}"),
            "YYYY" => format!("{year:04}"),
            "YY" => format!("{:02}", year % 100),
            "Y" => year.to_string(),
            "MMMM" => month_name.to_owned(),
            "MMM" => month_name[..3].to_owned(),
            "MM" => format!("{month:02}"),
            "M" => month.to_string(),
            "DD" => format!("{day:02}"),
            "D" => day.to_string(),
            "HH" => format!("{hour:02}"),
            "H" => hour.to_string(),
            "mm" => format!("{minute:02}"),
            "m" => minute.to_string(),
            "ss" => format!("{second:02}"),
            "s" => second.to_string(),
            "SSSS" => format!("{:04}", self.micros / 100),
            "SSS" => format!("{:03}", self.micros / 1_000),
            "SS" => format!("{:02}", self.micros / 10_000),
            "S" => (self.micros / 100_000).to_string(),
            "dddd" => day_name.to_owned(),
            "ddd" => day_name[..3].to_owned(),
            "dd" => day_name[..2].to_owned(),
            "d" => weekday.to_string(),
            "Q" => month.div_ceil(3).to_string(),
            _ => return None,
        })
    }

    /// Every placeholder that [`token`](Self::token) knows.
    pub(crate) const TOKENS: [&'static str; 29] = [
        "curr_date",
        "timestamp",
        "timestamp_ms",
        "load_package_timestamp",
        "load_package_timestamp_ms",
        "YYYY",
        "YY",
        "Y",
        "MMMM",
        "MMM",
        "MM",
        "M",
        "DD",
        "D",
        "HH",
        "H",
        "mm",
        "m",
        "ss",
        "s",
        "SSSS",
        "SSS",
        "SS",
        "S",
        "dddd",
        "ddd",
        "dd",
        "d",
        "Q",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_pendulum() {
        // What pendulum 3 says of 2026-11-22T03:04:05.067891Z, in lower case.
        let moment = Moment::of_load_id("1795316645.067891").unwrap();
        assert_eq!(moment.to_rfc3339(), "2026-11-22T03:04:05.067891Z");
        let tokens = "YYYY YY Y MMMM MMM MM M DD D HH H mm m ss s SSSS SSS SS S dddd ddd dd d Q";
        let texts: Vec<String> =
            tokens.split(' ').map(|token| moment.token(token).unwrap()).collect();
        assert_eq!(
            texts.join(" "),
            "2026 26 2026 november nov 11 11 22 22 03 3 04 4 05 5 0678 067 06 0 sunday sun su 0 4"
        );
        assert_eq!(moment.token("timestamp").unwrap(), "1795316645");
        assert_eq!(moment.token("timestamp_ms").unwrap(), "1795316645067");
        assert_eq!(moment.token("curr_date").unwrap(), "2026-11-22");
    }

    #[test]
    fn the_calendar_is_right_at_its_edges() {
        for (load_id, text) in [
            ("0", "1970-01-01T00:00:00.000000Z"),
            ("951782400.5", "2000-02-29T00:00:00.500000Z"),
            ("1709251199.9999999", "2024-02-29T23:59:59.999999Z"),
            ("4107542399", "2100-02-28T23:59:59.000000Z"),
            ("4107542400", "2100-03-01T00:00:00.000000Z"),
            ("1735689600", "2025-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(Moment::of_load_id(load_id).unwrap().to_rfc3339(), text);
        }
    }

    #[test]
    fn not_every_load_id_is_a_time() {
        for load_id in ["", "abc", "-5", "1.", "1.x", "99999999999999", "1.-5"] {
            assert_eq!(Moment::of_load_id(load_id), None, "{load_id}");
        }
        assert!(Moment::TOKENS.iter().all(|token| Moment::now().token(token).is_some()));
    }
}

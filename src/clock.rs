//! Times and load ids.

use std::time::{Duration, SystemTime};

use jiff::{Timestamp, tz::TimeZone};
use transload_core::LoadId;

/// The time now, RFC 3339, UTC, to the microsecond.
pub(crate) fn now() -> String {
    rfc3339(SystemTime::now())
}

/// A time, RFC 3339, UTC, to the microsecond.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let timestamp = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    timestamp.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// The time that such a text names.
pub(crate) fn read(text: &str) -> Option<SystemTime> {
    text.parse::<Timestamp>().ok().map(SystemTime::from)
}

/// A new load id, greater than all of `known`: the time, or the next tick after the greatest where the clock is behind
/// it.
///
/// It has the form of dlt's, Unix seconds with seven decimals, since dlt takes the greatest text for the newest load.
pub(crate) fn new_load_id<'a>(
    time: SystemTime,
    known: impl IntoIterator<Item = &'a LoadId>,
) -> LoadId {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let ticks = since.as_nanos() / 100;
    let greatest = known.into_iter().filter_map(ticks_of).max();
    let ticks = greatest.map_or(ticks, |greatest| ticks.max(greatest + 1));
    LoadId::new(format!("{}.{:07}", ticks / TICKS_PER_SECOND, ticks % TICKS_PER_SECOND))
}

const TICKS_PER_SECOND: u128 = 10_000_000;

/// A load id of ours or dlt's in ticks of 100 ns. One that is no time does not count.
fn ticks_of(load_id: &LoadId) -> Option<u128> {
    let (seconds, decimals) = load_id.as_str().split_once('.').unwrap_or((load_id.as_str(), ""));
    let decimals: String = decimals.chars().chain("0000000".chars()).take(7).collect();
    Some(seconds.parse::<u64>().ok()? as u128 * TICKS_PER_SECOND + decimals.parse::<u128>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
    }

    #[test]
    fn a_load_id_is_a_time_with_seven_decimals() {
        assert_eq!(new_load_id(at(1_795_369_539_502_377_500), []).as_str(), "1795369539.5023775");
    }

    #[test]
    fn a_clock_that_goes_back_does_not_reorder_loads() {
        let last = LoadId::new("1795369539.5023775");
        assert_eq!(new_load_id(at(1_000_000_000), [&last]).as_str(), "1795369539.5023776");
        let of_dlt = LoadId::new("1795369539.5");
        assert_eq!(
            new_load_id(at(0), [&of_dlt, &LoadId::new("no time")]).as_str(),
            "1795369539.5000001"
        );
    }

    #[test]
    fn times_are_utc_to_the_microsecond() {
        assert_eq!(rfc3339(at(1_795_369_539_502_377_500)), "2026-11-22T17:45:39.502377Z");
    }
}

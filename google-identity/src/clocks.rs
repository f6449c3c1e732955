//! When something ends, by two clocks.

use std::time::{Duration, Instant, SystemTime};

/// A point in time by two clocks: the one stands still while the machine sleeps, the other may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    steady: Instant,
    wall: SystemTime,
}

impl Clocks {
    /// This moment.
    pub fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// The moment that comes so much later.
    pub(crate) fn after(self, long: Duration) -> Self {
        Self { steady: self.steady + long, wall: self.wall + long }
    }

    /// What comes first of two moments, by each of the clocks.
    pub(crate) fn first(self, other: Self) -> Self {
        Self { steady: self.steady.min(other.steady), wall: self.wall.min(other.wall) }
    }

    /// How long it is from now until then, by the clock by which it is less.
    pub fn left(self, now: Self) -> Duration {
        let steady = self.steady.saturating_duration_since(now.steady);
        steady.min(self.wall.duration_since(now.wall).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_while_the_machine_slept_or_by_a_clock_that_was_set_has_ended() {
        let (now, hour, minute) =
            (Clocks::now(), Duration::from_secs(3600), Duration::from_secs(60));
        let ends = now.after(hour);
        assert_eq!(ends.left(now), hour);
        assert_eq!(ends.left(now.after(minute)), hour - minute);
        let slept = Clocks { wall: now.wall + 2 * hour, ..now };
        assert_eq!(ends.left(slept), Duration::ZERO);
        let set_back = Clocks { wall: now.wall - 2 * hour, ..now.after(minute) };
        assert_eq!(ends.left(set_back), hour - minute);
        assert_eq!(ends.first(now.after(minute)), now.after(minute));
    }
}

//! Notices that the machine slept.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A difference below this is a clock that was set, or a busy machine.
const SLEEP_MIN: Duration = Duration::from_secs(5);

/// Compares two clocks, one of which stands still while the machine sleeps (on Linux and macOS).
pub(super) struct Clock {
    monotonic: Instant,
    wall: SystemTime,
}

impl Clock {
    pub(super) const fn new(monotonic: Instant, wall: SystemTime) -> Self {
        Self { monotonic, wall }
    }

    /// How long the machine slept since it was last asked, if it did.
    pub(super) fn slept(&mut self, monotonic: Instant, wall: SystemTime) -> Option<Duration> {
        let ran = monotonic.saturating_duration_since(self.monotonic);
        // A clock that was set back says nothing.
        let passed = wall.duration_since(self.wall).unwrap_or_default();
        *self = Self { monotonic, wall };
        passed.checked_sub(ran).filter(|slept| *slept >= SLEEP_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_that_the_monotonic_clock_missed_is_sleep() {
        let (start, epoch) = (Instant::now(), SystemTime::UNIX_EPOCH);
        let seconds = Duration::from_secs;
        let mut clock = Clock::new(start, epoch);
        assert_eq!(clock.slept(start + seconds(1), epoch + seconds(1)), None);
        assert_eq!(clock.slept(start + seconds(100), epoch + seconds(102)), None, "the machine was busy");
        assert_eq!(clock.slept(start + seconds(101), epoch + seconds(703)), Some(seconds(600)));
        assert_eq!(clock.slept(start + seconds(102), epoch + seconds(704)), None, "told once");
        assert_eq!(clock.slept(start + seconds(103), epoch), None, "set back");
        assert_eq!(clock.slept(start + seconds(104), epoch + seconds(1)), None);
    }
}

//! The round-trip time of the path when no queue stands.

use std::time::{Duration, Instant};

/// How long a minimum counts without being seen again (BBR v1).
const WINDOW: Duration = Duration::from_secs(10);

/// A sample above the minimum by at most this part of it shows it once more: timers and schedulers are not more exact.
const TOLERANCE: u32 = 16;

/// The windowed minimum of the round-trip time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MinRtt {
    seen: Option<(Duration, Instant)>,
}

impl MinRtt {
    /// Nothing before the first sample.
    pub(crate) fn value(&self) -> Option<Duration> {
        self.seen.map(|(rtt, _)| rtt)
    }

    /// `uncongested`: the sample is of a packet that cannot have met a queue of this flow. Such a one replaces a minimum
    /// that is too old.
    pub(crate) fn sample(&mut self, rtt: Duration, now: Instant, uncongested: bool) {
        match &mut self.seen {
            Some((min, at)) if rtt > *min => {
                if rtt <= *min + *min / TOLERANCE {
                    *at = now;
                } else if uncongested && now.saturating_duration_since(*at) > WINDOW {
                    (*min, *at) = (rtt, now);
                }
            }
            seen => *seen = Some((rtt, now)),
        }
    }

    /// Whether it has not been seen for too long.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        self.seen.is_some_and(|(_, at)| now.saturating_duration_since(at) > WINDOW)
    }

    /// The queue was emptied on purpose, and this was the lowest then.
    pub(crate) const fn replace(&mut self, rtt: Duration, now: Instant) {
        self.seen = Some((rtt, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any beginning")]
    fn a_minimum_that_is_seen_again_stays_fresh() {
        let start = Instant::now();
        let mut min = MinRtt::default();
        min.sample(80 * MS, start, false);
        min.sample(84 * MS, start + WINDOW, false);
        assert_eq!(min.value(), Some(80 * MS));
        assert!(!min.is_stale(start + WINDOW + MS));
        min.sample(90 * MS, start + 2 * WINDOW, false);
        assert!(min.is_stale(start + 2 * WINDOW + MS));
        assert_eq!(min.value(), Some(80 * MS));
        min.sample(120 * MS, start + 2 * WINDOW + MS, true);
        assert_eq!(min.value(), Some(120 * MS));
    }
}

//! Whether a queue stands on the path, from round-trip times.

use std::time::{Duration, Instant};

/// Samples in a row that must be late (RFC 9406: `N_RTT_SAMPLE`). One late packet is jitter.
const SAMPLES: u32 = 8;

/// A queue that is worth reacting to: an eighth of the round-trip time, 4 to 16 ms (RFC 9406).
pub(crate) fn threshold(min_rtt: Duration) -> Duration {
    (min_rtt / 8).clamp(Duration::from_millis(4), Duration::from_millis(16))
}

/// Tells a queue from jitter: it fires when [`SAMPLES`] in a row were late, over at least a part of a round trip.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QueueDetector {
    late: u32,
    since: Option<Instant>,
}

impl QueueDetector {
    /// Takes a sample; whether a queue stands. `limit` is the round-trip time beyond which a sample is late.
    pub(crate) fn sample(&mut self, rtt: Duration, limit: Duration, acks: u32, now: Instant) -> bool {
        if rtt <= limit {
            *self = Self::default();
            return false;
        }
        self.late = self.late.saturating_add(acks);
        let since = *self.since.get_or_insert(now);
        // All acknowledgements of one stall of a scheduler come at once.
        self.late >= SAMPLES && now.saturating_duration_since(since) >= (rtt / 32).min(Duration::from_millis(4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any beginning")]
    fn jitter_is_no_queue_and_a_queue_is() {
        let mut now = Instant::now();
        let mut detector = QueueDetector::default();
        for sample in 0..100 {
            now += MS;
            assert!(!detector.sample((80 + 20 * u32::from(sample % 8 != 0)) * MS, 90 * MS, 1, now));
        }
        let fired = (0..20).filter(|_| {
            now += MS;
            detector.sample(95 * MS, 90 * MS, 1, now)
        });
        assert!(fired.count() > 10);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any beginning")]
    fn a_stall_is_no_queue() {
        let now = Instant::now();
        let mut detector = QueueDetector::default();
        assert!((0..100).all(|_| !detector.sample(120 * MS, 90 * MS, 1, now)));
        assert!(!detector.sample(80 * MS, 90 * MS, 1, now + MS));
    }
}

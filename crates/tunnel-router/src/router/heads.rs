//! How long p2p takes to answer.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::shared::lock;

/// The answers that are remembered: enough for a 95th percentile, few enough to follow the network within seconds.
const REMEMBERED: usize = 64;

/// The times from request to head of the last answers over p2p.
#[derive(Debug, Default)]
pub(crate) struct HeadTimes {
    last: Mutex<Ring>,
    /// The 95th percentile in microseconds; 0 if nothing is known.
    p95: AtomicU64,
}

#[derive(Debug)]
struct Ring {
    micros: [u32; REMEMBERED],
    filled: usize,
    next: usize,
}

impl Default for Ring {
    fn default() -> Self {
        Self { micros: [0; REMEMBERED], filled: 0, next: 0 }
    }
}

impl HeadTimes {
    pub(crate) fn record(&self, time: Duration) {
        let mut ring = lock(&self.last);
        let next = ring.next;
        ring.micros[next] = u32::try_from(time.as_micros()).unwrap_or(u32::MAX).max(1);
        ring.next = (next + 1) % REMEMBERED;
        ring.filled = (ring.filled + 1).min(REMEMBERED);
        let mut sorted = ring.micros;
        let known = &mut sorted[..ring.filled];
        let index = (known.len() * 95).div_ceil(100) - 1;
        let (_, p95, _) = known.select_nth_unstable(index);
        self.p95.store(u64::from(*p95), Ordering::Relaxed);
    }

    /// `None` before the first answer.
    pub(crate) fn p95(&self) -> Option<Duration> {
        match self.p95.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_95th_percentile_of_the_last_64() {
        let heads = HeadTimes::default();
        assert_eq!(heads.p95(), None);
        heads.record(Duration::from_millis(7));
        assert_eq!(heads.p95(), Some(Duration::from_millis(7)));
        for millis in 1..=100 {
            heads.record(Duration::from_millis(millis));
        }
        // 37 to 100 are remembered; the 61st of them.
        assert_eq!(heads.p95(), Some(Duration::from_millis(97)));
    }
}

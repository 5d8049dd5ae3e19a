//! Damping: the more often p2p has gone down, the longer it must prove itself before it is used again.

use std::{collections::VecDeque, time::Duration};

/// The proof after the first time.
const HOLD_MIN: Duration = Duration::from_secs(1);

/// The longest proof. With the pause before the first probe it stays within [`RETURN_WITHIN`](super::RETURN_WITHIN).
pub(crate) const HOLD_MAX: Duration = Duration::from_secs(45);

/// How long a failure is remembered.
const MEMORY: Duration = Duration::from_hours(1);

/// After so many the hold-down does not grow any more: 2^6 s is past the longest.
const REMEMBERED: usize = 7;

/// The times at which p2p went down, youngest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Flaps(VecDeque<Duration>);

impl Flaps {
    pub(super) fn record(&mut self, now: Duration) {
        self.0.push_back(now);
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    /// 1 s, doubled by every time in the last hour but the first, up to 45 s.
    pub(super) fn hold(&self, now: Duration) -> Duration {
        let recent = self.0.iter().filter(|&&at| now.saturating_sub(at) < MEMORY).count();
        let doublings = u32::try_from(recent.saturating_sub(1)).unwrap_or(u32::MAX).min(6);
        (HOLD_MIN * 2u32.pow(doublings)).min(HOLD_MAX)
    }
}

//! Bytes per minute.

use std::{sync::Mutex, time::Duration};

use crate::router::lock;

const WINDOW: Duration = Duration::from_mins(1);

/// What was spent in the current minute; each begins with the first byte after the one before.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    since: Duration,
    bytes: u64,
}

impl Budget {
    /// Spends so many bytes, if `limit` per minute leaves them.
    pub(crate) fn spend(&self, now: Duration, bytes: u64, limit: u64) -> bool {
        let mut spent = lock(&self.0);
        if now.saturating_sub(spent.since) >= WINDOW {
            *spent = Spent { since: now, bytes: 0 };
        }
        let total = spent.bytes.saturating_add(bytes);
        let is_left = total <= limit;
        if is_left {
            spent.bytes = total;
        }
        is_left
    }
}

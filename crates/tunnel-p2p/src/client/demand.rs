//! Whether somebody wants the host.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// How long after its last request a host is still wanted: people try again.
const RECENT: Duration = Duration::from_secs(30);

/// The demand for the host.
#[derive(Debug)]
pub(super) struct Demand {
    start: Instant,
    /// In milliseconds since the start, plus one; 0 if there was none.
    last: AtomicU64,
    rises: Notify,
}

impl Demand {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0), rises: Notify::new() }
    }

    /// A request came.
    pub(super) fn note(&self) {
        self.last.store(self.now() + 1, Ordering::Relaxed);
    }

    /// Somebody has no connection to send on.
    pub(super) fn raise(&self) {
        self.rises.notify_one();
    }

    /// Resolves when somebody has no connection to send on, at once if that happened since it last did. Cancel safe.
    pub(super) async fn rises(&self) {
        self.rises.notified().await;
    }

    /// Whether a request came of late.
    pub(super) fn is_recent(&self) -> bool {
        match self.last.load(Ordering::Relaxed) {
            0 => false,
            last => Duration::from_millis(self.now().saturating_sub(last - 1)) < RECENT,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_is_recent_for_half_a_minute() {
        let demand = Demand::new();
        assert!(!demand.is_recent());
        demand.note();
        assert!(demand.is_recent());
        tokio::time::advance(RECENT.saturating_sub(Duration::from_millis(1))).await;
        assert!(demand.is_recent());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!demand.is_recent());
    }
}

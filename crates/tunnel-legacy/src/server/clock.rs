//! The time of day, passed in.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

/// Tells the time of day, which decides when tokens expire.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// A clock that asks `seconds` for the seconds since 1970. A binary passes the system's time here.
    pub fn new(seconds: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(seconds))
    }

    /// A clock that shows `seconds` now and follows tokio's time, for tests and simulations.
    #[must_use]
    pub fn starting_at(seconds: u64) -> Self {
        let started = Instant::now();
        Self::new(move || seconds.saturating_add(started.elapsed().as_secs()))
    }

    /// Seconds since 1970.
    pub(super) fn now(&self) -> u64 {
        (self.0)()
    }

    /// The time so much later.
    pub(super) fn after(&self, duration: Duration) -> u64 {
        self.now().saturating_add(duration.as_secs())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

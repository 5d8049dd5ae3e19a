//! Whether attempts to connect get any answer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Fewer attempts without an answer than this say nothing.
const ATTEMPTS_MIN: u32 = 3;

/// Remembers since when nobody answered.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<Unanswered>);

#[derive(Debug, Default)]
struct Unanswered {
    count: u32,
    since: Option<Instant>,
    /// When the last one began.
    last: Option<Instant>,
}

impl Attempts {
    /// Somebody answered, be it with a refusal.
    pub(super) fn answered(&self) {
        self.forget();
    }

    /// What was before counts no more.
    pub(super) fn forget(&self) {
        *self.lock() = Unanswered::default();
    }

    /// An attempt that began at `began` timed out.
    pub(super) fn timed_out(&self, began: Instant) {
        let mut unanswered = self.lock();
        unanswered.count = unanswered.count.saturating_add(1);
        unanswered.since.get_or_insert(began);
        unanswered.last = Some(began);
    }

    /// Whether an attempt that began after `moment` got no answer, and none since did.
    pub(super) fn timed_out_after(&self, moment: Instant) -> bool {
        self.lock().last.is_some_and(|began| began >= moment)
    }

    /// Whether the last attempt got no answer.
    pub(super) fn unanswered(&self) -> bool {
        self.lock().count > 0
    }

    pub(super) fn failing_since(&self) -> Option<Instant> {
        let unanswered = self.lock();
        unanswered.since.filter(|_| unanswered.count >= ATTEMPTS_MIN)
    }

    fn lock(&self) -> MutexGuard<'_, Unanswered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

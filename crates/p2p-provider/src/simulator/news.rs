//! News of changes, for any number of listeners, who are woken in the order in which they wait.
//!
//! `tokio::sync::watch` wakes them in random order.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Counts changes until there are no more.
#[derive(Default)]
pub(super) struct News {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    changes: u64,
    ended: bool,
}

impl News {
    /// Something has changed.
    pub(super) fn publish(&self) {
        self.lock().changes += 1;
        self.changed.notify_waiters();
    }

    /// Nothing will change any more.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_waiters();
    }

    /// The number of changes so far.
    pub(super) fn count(&self) -> u64 {
        self.lock().changes
    }

    /// Waits for a change after the first `seen` ones; returns their number, or `None` after the end. Cancel safe.
    pub(super) async fn after(&self, seen: u64) -> Option<u64> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.lock();
                if state.ended {
                    return None;
                }
                if state.changes > seen {
                    return Some(state.changes);
                }
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

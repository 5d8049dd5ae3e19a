//! Where a host stands with its tunnel server.

use std::{
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};
use tunnel_core::Failure;

/// Where a [`LegacyHost`](super::LegacyHost) stands with its tunnel server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LegacyHostState {
    /// The first attempt is under way.
    Connecting,
    /// Connected: requests arrive.
    Connected {
        /// Since when.
        since: Instant,
        /// Whether the tunnel server knows the additions of `spec/legacy.md`.
        extended: bool,
    },
    /// Not connected, for this reason; further attempts are under way.
    Reconnecting(Failure),
}

pub(super) struct Standing {
    state: Mutex<LegacyHostState>,
    changed: Notify,
}

impl Standing {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(LegacyHostState::Connecting), changed: Notify::new() }
    }

    pub(super) fn look(&self) -> LegacyHostState {
        self.lock().clone()
    }

    pub(super) fn set(&self, state: LegacyHostState) {
        *self.lock() = state;
        self.changed.notify_waiters();
    }

    pub(super) async fn changed_from(&self, seen: &LegacyHostState) -> LegacyHostState {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = self.look();
            if now != *seen {
                return now;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, LegacyHostState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

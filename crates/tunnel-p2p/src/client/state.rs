//! Where a client stands with its host, and the news of changes.
//!
//! `tokio::sync::watch` would do, were it not for those who wait: it wakes them in random order, and requests that wait
//! for a connection are to leave in the order in which they came.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use p2p_provider::P2PConnection;
use tokio::sync::Notify;
use tunnel_core::Failure;

use super::link::Link;

/// Where the client stands with its host.
pub(crate) enum LinkState<C: P2PConnection> {
    /// The first attempt, or the first one after a loss, is under way. Requests wait for it.
    Connecting,
    /// Connected. Requests may be sent, even before the host has said that we are authorized.
    Up(Arc<Link<C>>),
    /// The last attempt failed, for this reason.
    Down {
        /// Why.
        failure: Failure,
        /// Nobody answered, so that the next attempt may well succeed: requests wait for it a little. Otherwise they fail
        /// at once.
        silent: bool,
    },
    /// The client is closed.
    Closed,
}

impl<C: P2PConnection> LinkState<C> {
    /// The host, or something here, says no.
    pub(super) const fn refused(failure: Failure) -> Self {
        Self::Down { failure, silent: false }
    }
}

/// A [`LinkState`] that is shared.
pub(crate) struct State<C: P2PConnection> {
    current: Mutex<LinkState<C>>,
    changed: Notify,
}

impl<C: P2PConnection> State<C> {
    pub(super) fn new() -> Self {
        Self { current: Mutex::new(LinkState::Connecting), changed: Notify::new() }
    }

    /// Looks at the state of now.
    pub(super) fn look<T>(&self, look: impl FnOnce(&LinkState<C>) -> T) -> T {
        look(&self.lock())
    }

    /// Waits until `look` finds what it looks for. Cancel safe.
    pub(super) async fn wait_for<T>(&self, mut look: impl FnMut(&LinkState<C>) -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = self.look(&mut look) {
                return found;
            }
            changed.await;
        }
    }

    /// Waits for the next change. Cancel safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Sets the state, unless the client is closed; returns whether it was set.
    pub(super) fn publish(&self, state: LinkState<C>) -> bool {
        {
            let mut current = self.lock();
            if matches!(*current, LinkState::Closed) {
                return false;
            }
            *current = state;
        }
        self.changed.notify_waiters();
        true
    }

    /// Something about the state has changed that it does not hold itself.
    pub(super) fn touch(&self) {
        self.changed.notify_waiters();
    }

    /// Closes the client; returns the state before.
    pub(super) fn close(&self) -> LinkState<C> {
        let before = std::mem::replace(&mut *self.lock(), LinkState::Closed);
        self.changed.notify_waiters();
        before
    }

    fn lock(&self) -> MutexGuard<'_, LinkState<C>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

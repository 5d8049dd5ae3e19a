//! The endpoint of now. It may be made anew while the peer lives.

use std::sync::{Mutex, MutexGuard, PoisonError};

use iroh::Endpoint;
use tokio::sync::Notify;

/// The slot of an endpoint that can be replaced.
#[derive(Debug)]
pub(super) struct Current {
    slot: Mutex<Slot>,
    changed: Notify,
}

#[derive(Debug)]
struct Slot {
    endpoint: Endpoint,
    /// Counts the endpoints.
    generation: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Another endpoint is being opened in the place of this one.
    Retired,
    /// No other one will follow.
    Closed,
}

impl Current {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let slot = Slot { endpoint, generation: 0, state: State::Open };
        Self { slot: Mutex::new(slot), changed: Notify::new() }
    }

    /// The endpoint of now. It may be on its way out.
    pub(super) fn get(&self) -> Endpoint {
        self.lock().endpoint.clone()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().state == State::Closed
    }

    /// An endpoint that is open, and its number; `None` once there will be none any more. Cancel safe.
    pub(super) async fn open(&self) -> Option<(u64, Endpoint)> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let slot = self.lock();
                match slot.state {
                    State::Open => return Some((slot.generation, slot.endpoint.clone())),
                    State::Retired => {}
                    State::Closed => return None,
                }
            }
            changed.await;
        }
    }

    /// Whether the endpoint of this number is no longer the one to use.
    pub(super) fn is_retired(&self, generation: u64) -> bool {
        let slot = self.lock();
        slot.generation != generation || slot.state == State::Retired
    }

    /// Takes the endpoint out of use, until there is another.
    pub(super) fn retire(&self) {
        let mut slot = self.lock();
        if slot.state == State::Open {
            slot.state = State::Retired;
        }
    }

    /// Puts another endpoint in the place of the last one. Gives it back if there is to be none any more.
    pub(super) fn replace(&self, endpoint: Endpoint) -> Result<(), Endpoint> {
        {
            let mut slot = self.lock();
            if slot.state == State::Closed {
                return Err(endpoint);
            }
            *slot = Slot { endpoint, generation: slot.generation + 1, state: State::Open };
        }
        self.changed.notify_waiters();
        Ok(())
    }

    /// The last endpoint, for the caller to close.
    pub(super) fn close(&self) -> Endpoint {
        let mut slot = self.lock();
        slot.state = State::Closed;
        let endpoint = slot.endpoint.clone();
        drop(slot);
        self.changed.notify_waiters();
        endpoint
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The endpoint of now. It may be made anew while the peer lives.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use iroh::{Endpoint, EndpointAddr};
use tokio::sync::Notify;

/// The slot of an endpoint that can be replaced.
#[derive(Debug)]
pub(super) struct Current {
    slot: Mutex<Slot>,
    changed: Notify,
}

#[derive(Debug)]
struct Slot {
    state: State,
    /// Counts the endpoints.
    generation: u64,
}

#[derive(Debug)]
enum State {
    Open(Endpoint),
    /// Another endpoint is being opened in the place of the last one, which is held nowhere so that it gives up its port.
    Retired(Last),
    /// No other one will follow.
    Closed(Last),
}

/// What is remembered of an endpoint that is gone.
#[derive(Clone, Debug)]
pub(super) struct Last {
    pub(super) addr: EndpointAddr,
    pub(super) sockets: Vec<SocketAddr>,
}

impl Last {
    fn of(endpoint: &Endpoint) -> Self {
        Self { addr: endpoint.addr(), sockets: endpoint.bound_sockets() }
    }
}

impl Current {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let slot = Slot { state: State::Open(endpoint), generation: 0 };
        Self { slot: Mutex::new(slot), changed: Notify::new() }
    }

    /// The endpoint, if there is one at this moment.
    pub(super) fn get(&self) -> Option<Endpoint> {
        match &self.lock().state {
            State::Open(endpoint) => Some(endpoint.clone()),
            State::Retired(_) | State::Closed(_) => None,
        }
    }

    /// Where the endpoint is, or was.
    pub(super) fn last(&self) -> Last {
        match &self.lock().state {
            State::Open(endpoint) => Last::of(endpoint),
            State::Retired(last) | State::Closed(last) => last.clone(),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.lock().state, State::Closed(_))
    }

    /// An endpoint that is open, and its number; `None` once there will be none any more. Cancel safe.
    pub(super) async fn open(&self) -> Option<(u64, Endpoint)> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let slot = self.lock();
                match &slot.state {
                    State::Open(endpoint) => return Some((slot.generation, endpoint.clone())),
                    State::Retired(_) => {}
                    State::Closed(_) => return None,
                }
            }
            changed.await;
        }
    }

    /// Whether the endpoint of this number is no longer the one to use.
    pub(super) fn is_retired(&self, generation: u64) -> bool {
        let slot = self.lock();
        slot.generation != generation || matches!(slot.state, State::Retired(_))
    }

    /// Takes the endpoint out of use, until there is another.
    pub(super) fn retire(&self) {
        let mut slot = self.lock();
        if let State::Open(endpoint) = &slot.state {
            slot.state = State::Retired(Last::of(endpoint));
        }
    }

    /// Puts another endpoint in the place of the last one. Gives it back if there is to be none any more.
    pub(super) fn replace(&self, endpoint: Endpoint) -> Result<(), Endpoint> {
        {
            let mut slot = self.lock();
            if matches!(slot.state, State::Closed(_)) {
                return Err(endpoint);
            }
            *slot = Slot { state: State::Open(endpoint), generation: slot.generation + 1 };
        }
        self.changed.notify_waiters();
        Ok(())
    }

    /// The last endpoint, for the caller to close.
    pub(super) fn close(&self) -> Option<Endpoint> {
        let endpoint = self.get();
        let last = self.last();
        self.lock().state = State::Closed(last);
        self.changed.notify_waiters();
        endpoint
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

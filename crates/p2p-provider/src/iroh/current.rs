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
    /// No other endpoint will follow.
    closed: bool,
}

impl Current {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { slot: Mutex::new(Slot { endpoint, closed: false }), changed: Notify::new() }
    }

    /// The endpoint of now. It is closed while another one is being opened in its place.
    pub(super) fn get(&self) -> Endpoint {
        self.lock().endpoint.clone()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// An endpoint that is open; `None` once there will be none any more. Cancel safe.
    pub(super) async fn open(&self) -> Option<Endpoint> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let slot = self.lock();
                if slot.closed {
                    return None;
                }
                if !slot.endpoint.is_closed() {
                    return Some(slot.endpoint.clone());
                }
            }
            changed.await;
        }
    }

    /// Puts another endpoint in the place of the last one. Gives it back if there is to be none any more.
    pub(super) fn replace(&self, endpoint: Endpoint) -> Result<(), Endpoint> {
        {
            let mut slot = self.lock();
            if slot.closed {
                return Err(endpoint);
            }
            slot.endpoint = endpoint;
        }
        self.changed.notify_waiters();
        Ok(())
    }

    /// The last endpoint, for the caller to close.
    pub(super) fn close(&self) -> Endpoint {
        let mut slot = self.lock();
        slot.closed = true;
        let endpoint = slot.endpoint.clone();
        drop(slot);
        self.changed.notify_waiters();
        endpoint
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

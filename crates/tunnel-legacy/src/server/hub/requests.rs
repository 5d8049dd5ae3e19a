//! HTTP requests under way.

use std::{pin::pin, sync::Arc};

use tokio_util::sync::CancellationToken;
use tunnel_core::Failure;

use super::{Host, Hub, State};
use crate::server::{Defect, exchange::Exchange, outbox::Refused};

/// So many requests that were left are remembered; older ones are forgotten.
const LEFT_MAX: usize = 1024;

/// A request that a host has. Dropping it tells the host, unless the response has ended.
pub(in crate::server) struct InFlight {
    hub: Arc<Hub>,
    pub(in crate::server) exchange: Arc<Exchange>,
    /// The response has no body to wait for, but the host may still say so.
    pub(in crate::server) bodyless: bool,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.hub.finish(&self.exchange, self.bodyless);
    }
}

/// Why a request was not given to its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum NotStarted {
    /// The host has as many as it may have.
    TooMany,
    /// The host does not read fast enough.
    NotRead,
    /// The host is leaving.
    Gone,
}

impl Hub {
    /// Gives a request to its host. `text` makes the message from the request id that it gets.
    pub(in crate::server) fn start(
        self: &Arc<Self>,
        host: &Arc<Host>,
        request_id: u64,
        text: String,
        cut: CancellationToken,
    ) -> Result<InFlight, NotStarted> {
        if !host.enter(self.limits.requests_per_client_max) {
            return Err(NotStarted::TooMany);
        }
        let bytes_max =
            if self.behaviour.has(Defect::UnboundedBuffers) { usize::MAX } else { self.limits.response_bytes_max };
        let exchange = Exchange::new(request_id, Arc::clone(host), cut, bytes_max, self.statistics.clone());
        let exchange = Arc::new(exchange);
        self.lock().requests.insert(request_id, Arc::clone(&exchange));
        self.statistics.request_began();
        let in_flight = InFlight { hub: Arc::clone(self), exchange, bodyless: false };
        match host.outbox.push_request(request_id, text) {
            Ok(()) => Ok(in_flight),
            Err(refused) => {
                // The host never hears of it.
                in_flight.exchange.abandon();
                Err(if refused == Refused::Full { NotStarted::NotRead } else { NotStarted::Gone })
            }
        }
    }

    /// The response to which a packet from this connection belongs. A packet that belongs to none is counted.
    pub(in crate::server) fn exchange(&self, host: &Host, request_id: u64) -> Option<Arc<Exchange>> {
        let mut state = self.lock();
        let anybody = self.behaviour.has(Defect::AnySocketAnswers);
        let found = state.requests.get(&request_id).filter(|exchange| anybody || exchange.host.conn_id == host.conn_id);
        if let Some(exchange) = found {
            return Some(Arc::clone(exchange));
        }
        let due = state.left.get_mut(&request_id).is_some_and(|packets| {
            *packets -= 1;
            *packets == 0
        });
        if due {
            state.left.remove(&request_id);
        }
        drop(state);
        self.statistics.stray_packet();
        if due {
            self.tell(host, request_id);
        }
        None
    }

    /// The response to which a packet from any connection belongs, in the manner of the published server.
    pub(in crate::server) fn exchange_of_anybody(&self, request_id: u64) -> Option<Arc<Exchange>> {
        self.lock().requests.get(&request_id).cloned()
    }

    /// A host has sent the last packet of a request that was left: there is nothing to tell it any more.
    pub(in crate::server) fn last_packet_of_left(&self, request_id: u64) {
        if !self.behaviour.has(Defect::LateAborts) {
            self.lock().left.remove(&request_id);
        }
    }

    /// The response to a request ends here, because of what its host did: the host is told, and whoever reads it.
    pub(in crate::server) fn refuse(&self, exchange: &Exchange, failure: Failure) {
        tracing::warn!(%failure, client_id = %exchange.host.client_id, "a response was refused");
        exchange.fail(failure);
        self.tell(&exchange.host, exchange.request_id);
    }

    /// The reader of a response does not read: it is cut off.
    pub(in crate::server) fn cut(&self, exchange: &Exchange, failure: Failure) {
        tracing::info!(%failure, client_id = %exchange.host.client_id, "an app was cut off");
        exchange.cut(failure);
        self.tell(&exchange.host, exchange.request_id);
    }

    /// Waits until no request is under way. Dropping the future does nothing.
    pub(in crate::server) async fn requests_finished(&self) {
        loop {
            let mut idle = pin!(self.idle.notified());
            idle.as_mut().enable();
            if self.statistics.snapshot().in_flight == 0 {
                return;
            }
            idle.await;
        }
    }

    fn finish(&self, exchange: &Arc<Exchange>, bodyless: bool) {
        let unfinished = exchange.abandon();
        let late = self.behaviour.has(Defect::LateAborts);
        let mut state = self.lock();
        // With ids that come from elsewhere one could have been used twice.
        if state.requests.get(&exchange.request_id).is_some_and(|current| Arc::ptr_eq(current, exchange)) {
            state.requests.remove(&exchange.request_id);
        }
        match (unfinished, late) {
            (true, true) => state.leave(exchange.request_id, 2),
            (false, true) => state.leave(exchange.request_id, 1),
            (true, false) if bodyless => state.leave(exchange.request_id, 2),
            _ => {}
        }
        drop(state);
        if unfinished && !late && !bodyless {
            self.tell(&exchange.host, exchange.request_id);
        }
        exchange.host.leave();
        if self.statistics.request_ended() == 0 {
            self.idle.notify_waiters();
        }
    }

    fn tell(&self, host: &Host, request_id: u64) {
        if host.outbox.abort(request_id) {
            self.statistics.aborted();
        }
    }
}

impl State {
    /// Remembers a request whose host is told only after so many packets more.
    fn leave(&mut self, request_id: u64, packets: u8) {
        if self.left.insert(request_id, packets).is_none() {
            self.left_order.push_back(request_id);
        }
        while self.left_order.len() > LEFT_MAX {
            if let Some(oldest) = self.left_order.pop_front() {
                self.left.remove(&oldest);
            }
        }
    }
}

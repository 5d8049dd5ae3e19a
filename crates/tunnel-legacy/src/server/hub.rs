//! Who is connected, and what is under way between them.

mod requests;
mod websockets;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::Notify;
use tunnel_core::{Failure, FailureKind};

use super::{Behaviour, Defect, Limits, Statistics, exchange::Exchange, outbox::Outbox};

pub(super) use requests::{InFlight, NotStarted};
pub(super) use websockets::App;

/// The close code for a host whose place another one has taken (of the range for private use, RFC 6455 §7.4.2).
const REPLACED: u16 = 4001;

/// Hosts, apps and requests. Every lock is held for a moment, never across a wait.
pub(super) struct Hub {
    behaviour: Behaviour,
    limits: Limits,
    statistics: Statistics,
    state: Mutex<State>,
    /// The last request under way has ended.
    idle: Notify,
}

#[derive(Default)]
struct State {
    /// The newest host of each client id.
    hosts: BTreeMap<String, Arc<Host>>,
    apps: BTreeMap<u64, Arc<App>>,
    requests: BTreeMap<u64, Arc<Exchange>>,
    /// Requests that nobody waits for and whose hosts do not know that: how many packets more until they are told.
    left: BTreeMap<u64, u8>,
    /// The keys of `left` in the order in which they came.
    left_order: VecDeque<u64>,
    /// Which app has sent the WebSocket message with this request id.
    asked: BTreeMap<u64, u64>,
}

/// A connected host.
pub(super) struct Host {
    pub(super) conn_id: u64,
    pub(super) client_id: String,
    /// Whether it knows the additions of `spec/legacy.md`.
    pub(super) flow: bool,
    pub(super) outbox: Outbox,
    in_flight: AtomicUsize,
}

impl Hub {
    pub(super) fn new(behaviour: Behaviour, limits: Limits) -> Self {
        let statistics = Statistics::default();
        Self { behaviour, limits, statistics, state: Mutex::default(), idle: Notify::new() }
    }

    pub(super) fn statistics(&self) -> Statistics {
        self.statistics.clone()
    }

    /// The host that answers for this client id.
    pub(super) fn host(&self, client_id: &str) -> Option<Arc<Host>> {
        self.lock().hosts.get(client_id).cloned()
    }

    /// A host has connected; the one before it has to go.
    pub(super) fn host_joins(&self, conn_id: u64, client_id: String, flow: bool) -> Arc<Host> {
        let outbox = Outbox::new(self.queue_bytes_max());
        let host = Arc::new(Host { conn_id, client_id, flow, outbox, in_flight: AtomicUsize::new(0) });
        let old = self.lock().hosts.insert(host.client_id.clone(), Arc::clone(&host));
        self.statistics.host_came();
        if let Some(old) = old
            && !self.behaviour.has(Defect::OldHostStays)
        {
            old.outbox.close(REPLACED, "another host has connected with this client id");
            self.fail_requests(&old);
        }
        host
    }

    /// The WebSocket of a host is gone.
    pub(super) fn host_leaves(&self, host: &Arc<Host>) {
        let mut state = self.lock();
        if state.hosts.get(&host.client_id).is_some_and(|current| Arc::ptr_eq(current, host)) {
            state.hosts.remove(&host.client_id);
        }
        drop(state);
        self.fail_requests(host);
    }

    fn fail_requests(&self, host: &Arc<Host>) {
        if self.behaviour.has(Defect::RequestsOutliveTheirHost) {
            return;
        }
        let state = self.lock();
        let theirs: Vec<Arc<Exchange>> =
            state.requests.values().filter(|exchange| Arc::ptr_eq(&exchange.host, host)).cloned().collect();
        drop(state);
        for exchange in theirs {
            exchange.fail(Failure::new(FailureKind::ConnectionLost, "the host has disconnected"));
        }
    }

    fn queue_bytes_max(&self) -> usize {
        if self.behaviour.has(Defect::UnboundedBuffers) { usize::MAX } else { self.limits.queue_bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    /// Takes a place among the requests under way.
    fn enter(&self, max: usize) -> bool {
        self.in_flight.fetch_update(Relaxed, Relaxed, |count| (count < max).then_some(count + 1)).is_ok()
    }

    fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }
}

//! What a server counts.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// The counters of a server; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Statistics(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    in_flight: AtomicUsize,
    hosts: AtomicUsize,
    ws_clients: AtomicUsize,
    buffered_bytes: AtomicUsize,
    aborts: AtomicU64,
    stray_packets: AtomicU64,
    malformed_messages: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Requests given to hosts so far.
    pub requests: u64,
    /// Requests whose response has not been passed on whole.
    pub in_flight: usize,
    /// WebSockets of hosts that are open.
    pub hosts: usize,
    /// WebSockets of apps that are open.
    pub ws_clients: usize,
    /// Bytes of responses, with a little for each packet, that have come from hosts and that no app has taken yet.
    pub buffered_bytes: usize,
    /// Aborts sent to hosts so far.
    pub aborts: u64,
    /// Packets for requests that nobody waits for, or that another host answers.
    pub stray_packets: u64,
    /// WebSocket messages that nothing could be made of.
    pub malformed_messages: u64,
}

impl Statistics {
    /// All counters. They are read one after the other: those that change together may differ for a moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let counters = &self.0;
        Snapshot {
            requests: counters.requests.load(Relaxed),
            in_flight: counters.in_flight.load(Relaxed),
            hosts: counters.hosts.load(Relaxed),
            ws_clients: counters.ws_clients.load(Relaxed),
            buffered_bytes: counters.buffered_bytes.load(Relaxed),
            aborts: counters.aborts.load(Relaxed),
            stray_packets: counters.stray_packets.load(Relaxed),
            malformed_messages: counters.malformed_messages.load(Relaxed),
        }
    }

    /// [`Snapshot::buffered_bytes`].
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.0.buffered_bytes.load(Relaxed)
    }

    pub(super) fn request_began(&self) {
        self.0.requests.fetch_add(1, Relaxed);
        self.0.in_flight.fetch_add(1, Relaxed);
    }

    /// The requests that are left.
    pub(super) fn request_ended(&self) -> usize {
        self.0.in_flight.fetch_sub(1, Relaxed) - 1
    }

    pub(super) fn host_came(&self) {
        self.0.hosts.fetch_add(1, Relaxed);
    }

    pub(super) fn host_left(&self) {
        self.0.hosts.fetch_sub(1, Relaxed);
    }

    pub(super) fn ws_client_came(&self) {
        self.0.ws_clients.fetch_add(1, Relaxed);
    }

    pub(super) fn ws_client_left(&self) {
        self.0.ws_clients.fetch_sub(1, Relaxed);
    }

    pub(super) fn buffered(&self, before: usize, after: usize) {
        if after >= before {
            self.0.buffered_bytes.fetch_add(after - before, Relaxed);
        } else {
            self.0.buffered_bytes.fetch_sub(before - after, Relaxed);
        }
    }

    pub(super) fn aborted(&self) {
        self.0.aborts.fetch_add(1, Relaxed);
    }

    pub(super) fn stray_packet(&self) {
        self.0.stray_packets.fetch_add(1, Relaxed);
    }

    pub(super) fn malformed_message(&self) {
        self.0.malformed_messages.fetch_add(1, Relaxed);
    }
}

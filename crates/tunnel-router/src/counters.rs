//! What happened, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use tunnel_core::TransportKind;

use crate::{Cause, Reason};

/// One number, counted by many.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number per transport: p2p first.
#[derive(Debug, Default)]
pub(crate) struct PerTransport<T>([T; 2]);

impl<T> PerTransport<T> {
    pub(crate) fn of(&self, kind: TransportKind) -> &T {
        &self.0[usize::from(kind != TransportKind::P2p)]
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) answered: PerTransport<[Counter; Reason::ALL.len()]>,
    pub(crate) failed: Counter,
    pub(crate) abandoned: Counter,
    pub(crate) cut: PerTransport<Counter>,
    pub(crate) bytes_received: PerTransport<Counter>,
    pub(crate) bytes_sent: PerTransport<Counter>,
    pub(crate) attempts: PerTransport<Counter>,
    pub(crate) fallbacks: Counter,
    pub(crate) hedges_started: Counter,
    pub(crate) hedges_won: Counter,
    /// From this transport to the other one.
    pub(crate) failovers_tried: PerTransport<Counter>,
    pub(crate) failovers_succeeded: PerTransport<Counter>,
    pub(crate) transitions: [Counter; Cause::ALL.len()],
    pub(crate) switches: Counter,
    pub(crate) probes_succeeded: Counter,
    pub(crate) probes_failed: Counter,
    pub(crate) shadow_matched: Counter,
    pub(crate) shadow_mismatched: Counter,
    pub(crate) shadow_skipped: Counter,
    pub(crate) shadow_failed: Counter,
    pub(crate) shadow_bytes: Counter,
}

/// Everything that was counted since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests and WebSockets that got an answer, by transport and reason; those that were never counted are left out.
    pub answered: Vec<Answered>,
    /// Requests and WebSockets that ended without a head, with an error.
    pub failed: u64,
    /// Requests and WebSockets that their caller gave up before a head.
    pub abandoned: u64,
    /// Response bodies and WebSockets that broke off, by the transport on which they last were.
    pub cut: Both,
    /// Payload bytes of responses, and of WebSocket messages from the host.
    pub bytes_received: Both,
    /// Payload bytes of streamed requests, and of WebSocket messages to the host.
    pub bytes_sent: Both,
    /// Requests and WebSockets handed to a transport, hedges, fallbacks and continuations included, shadows not.
    pub attempts: Both,
    /// Requests and WebSockets tried over the other transport because the first failed.
    pub fallbacks: u64,
    /// Requests also started over legacy because p2p was slow.
    pub hedges_started: u64,
    /// ... and answered by legacy first.
    pub hedges_won: u64,
    /// Responses that broke off, by the transport that failed, and whose continuation was asked for.
    pub failovers_tried: Both,
    /// ... and that continued.
    pub failovers_succeeded: Both,
    /// Changes of the state of p2p, by cause; those that were never counted are left out.
    pub transitions: Vec<Transitions>,
    /// Changes between p2p being used and not being used.
    pub switches: u64,
    /// Probes of p2p that succeeded.
    pub probes_succeeded: u64,
    /// Probes of p2p that failed.
    pub probes_failed: u64,
    /// Comparisons with other transport.
    pub shadow: ShadowCounts,
}

/// A number for each transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Both {
    /// Peer to peer.
    pub p2p: u64,
    /// Through the tunnel server.
    pub legacy: u64,
}

/// One line of [`Counts::answered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// `p2p` or `legacy`.
    pub transport: &'static str,
    /// Why it.
    pub reason: Reason,
    /// How often.
    pub count: u64,
}

/// One line of [`Counts::transitions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Transitions {
    /// Why.
    pub cause: Cause,
    /// How often.
    pub count: u64,
}

/// How comparisons ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ShadowCounts {
    /// Both transports gave the same.
    pub matched: u64,
    /// They did not.
    pub mismatched: u64,
    /// Sampled, but not compared: too long, over the budget, too many at once, cut, or no transport to compare with.
    pub skipped: u64,
    /// The other transport gave no whole answer.
    pub failed: u64,
    /// Response bytes read for comparing.
    pub bytes: u64,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> Counts {
        Counts {
            answered: [TransportKind::P2p, TransportKind::Legacy]
                .into_iter()
                .flat_map(|kind| {
                    Reason::ALL.into_iter().zip(self.answered.of(kind)).map(move |(reason, counter)| Answered {
                        transport: kind.name(),
                        reason,
                        count: counter.value(),
                    })
                })
                .filter(|line| line.count > 0)
                .collect(),
            failed: self.failed.value(),
            abandoned: self.abandoned.value(),
            cut: both(&self.cut),
            bytes_received: both(&self.bytes_received),
            bytes_sent: both(&self.bytes_sent),
            attempts: both(&self.attempts),
            fallbacks: self.fallbacks.value(),
            hedges_started: self.hedges_started.value(),
            hedges_won: self.hedges_won.value(),
            failovers_tried: both(&self.failovers_tried),
            failovers_succeeded: both(&self.failovers_succeeded),
            transitions: Cause::ALL
                .into_iter()
                .zip(&self.transitions)
                .map(|(cause, counter)| Transitions { cause, count: counter.value() })
                .filter(|line| line.count > 0)
                .collect(),
            switches: self.switches.value(),
            probes_succeeded: self.probes_succeeded.value(),
            probes_failed: self.probes_failed.value(),
            shadow: ShadowCounts {
                matched: self.shadow_matched.value(),
                mismatched: self.shadow_mismatched.value(),
                skipped: self.shadow_skipped.value(),
                failed: self.shadow_failed.value(),
                bytes: self.shadow_bytes.value(),
            },
        }
    }
}

fn both(counters: &PerTransport<Counter>) -> Both {
    Both { p2p: counters.of(TransportKind::P2p).value(), legacy: counters.of(TransportKind::Legacy).value() }
}

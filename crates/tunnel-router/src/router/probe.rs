//! Probes of a transport: at most one at a time, shared by all who want to know.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared as SharedFuture, WeakShared},
};
use tokio::time::timeout;
use tunnel_core::{Failure, FailureKind, Transport, TransportKind};

use super::{
    failures,
    shared::{Shared, lock},
};
use crate::counters::Counters;

/// A probe of a transport that is far may take so many round trips, whatever its limit: it costs one, and what is lost of it.
const PROBE_ROUND_TRIPS: u32 = 3;

/// A probe under way. Whoever waits for it drives it.
pub(crate) type Probe = SharedFuture<Running>;

type Running = BoxFuture<'static, Result<(), Failure>>;

pub(crate) struct Prober {
    transport: Option<Arc<dyn Transport>>,
    kind: TransportKind,
    counters: Arc<Counters>,
    /// Weak, so that a probe for which nobody waits any more ends.
    running: Mutex<Option<WeakShared<Running>>>,
}

impl Prober {
    pub(crate) fn new(transport: Option<Arc<dyn Transport>>, kind: TransportKind, counters: Arc<Counters>) -> Self {
        Self { transport, kind, counters, running: Mutex::new(None) }
    }

    /// The probe under way, or a new one that takes at most `limit`, or three round trips. It succeeds, too, if no answer came
    /// but bodies did.
    pub(crate) fn probe(&self, limit: Duration) -> Probe {
        let mut running = lock(&self.running);
        if let Some(probe) = running.as_ref().and_then(WeakShared::upgrade).filter(|probe| probe.peek().is_none()) {
            return probe;
        }
        let (transport, kind, counters) = (self.transport.clone(), self.kind, Arc::clone(&self.counters));
        let rtt = transport.as_ref().and_then(|transport| transport.path()?.rtt).unwrap_or_default();
        let limit = limit.max(rtt * PROBE_ROUND_TRIPS);
        let received = counters.bytes_received.of(kind).value();
        let probe = async move {
            let result = match transport {
                Some(transport) => timeout(limit, transport.probe()).await.unwrap_or_else(|_| {
                    // It stands in a queue behind bodies that move: slow, but not dead.
                    if counters.bytes_received.of(kind).value() != received {
                        return Ok(());
                    }
                    let message = format!("a probe of {} got no answer within {limit:?}", kind.name());
                    Err(Failure::new(FailureKind::Timeout, message))
                }),
                None => Err(failures::no_p2p()),
            };
            let counter = if result.is_ok() { &counters.probes_succeeded } else { &counters.probes_failed };
            if kind == TransportKind::P2p {
                counter.one();
            }
            result
        };
        let probe = probe.boxed().shared();
        *running = probe.downgrade();
        probe
    }
}

/// Whether either transport works.
pub(super) async fn either(shared: &Shared) -> Result<(), Failure> {
    let mut failed = None;
    if shared.p2p.is_some() {
        match shared.prober(TransportKind::P2p).probe(shared.active().config.probe_timeout).await {
            Ok(()) => return Ok(()),
            Err(failure) => failed = Some(failure),
        }
    }
    let Some(legacy) = &shared.legacy else { return failed.map_or_else(|| Err(failures::no_p2p()), Err) };
    legacy.probe().await.map_err(|legacy| match failed {
        Some(p2p) => failures::both(&p2p, &legacy),
        None => legacy,
    })
}

//! Opens and leaves ways, as the mode wants it.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures::{FutureExt, future::select_all};
use tokio::{
    task::{Id, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tunnel_core::{Failure, FailureKind, Handler};

use super::{Shared, TransportMode, WayKind, WayState};
use crate::{pairing::PairingHandler, transports::way::OpenWay};

/// How long opening a way may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);
/// The pause after a failed attempt to open a way doubles from the one to the other.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(30);

pub(super) struct Supervisor {
    shared: Arc<Shared>,
    handler: Arc<dyn Handler>,
    /// Cancelled when there is no loop any more.
    closed: CancellationToken,
    open: BTreeMap<WayKind, Opened>,
    failed: BTreeMap<WayKind, Failed>,
    /// Ways that are left: each returns whether all of its requests ended in time.
    draining: JoinSet<bool>,
    drains: BTreeMap<Id, Drain>,
    mode: TransportMode,
    /// Since when the mode is wanted.
    since: Instant,
}

struct Opened {
    way: Box<dyn OpenWay>,
    since: Instant,
    seen: WayState,
}

struct Failed {
    failure: Failure,
    pause: Duration,
    retry_at: Instant,
}

struct Drain {
    kind: WayKind,
    since: Instant,
}

impl Supervisor {
    pub(super) fn new(shared: Arc<Shared>, handler: Arc<dyn Handler>, closed: CancellationToken) -> Self {
        let mode = shared.lock().state.wanted;
        Self {
            shared,
            handler,
            closed,
            open: BTreeMap::new(),
            failed: BTreeMap::new(),
            draining: JoinSet::new(),
            drains: BTreeMap::new(),
            mode,
            since: Instant::now(),
        }
    }

    /// Runs until everything is closed. Dropping the future cuts all requests.
    pub(super) async fn run(mut self) {
        let grace = loop {
            // A clone of its own: what waits must not hold the rest.
            let shared = Arc::clone(&self.shared);
            let mut changed = pin!(shared.changed.notified());
            changed.as_mut().enable();
            let (wanted, closing) = {
                let now = shared.lock();
                (now.state.wanted, now.closing)
            };
            if let Some(grace) = closing {
                break grace;
            }
            if wanted != self.mode {
                (self.mode, self.since) = (wanted, Instant::now());
                self.failed.clear();
            }
            self.open_wanted().await;
            self.leave_unwanted();
            self.release_unused().await;
            self.publish();
            let closed = self.closed.clone();
            tokio::select! {
                biased;
                () = closed.cancelled() => {
                    break shared.lock().closing.unwrap_or(shared.config.drain_timeout);
                }
                () = &mut changed => {}
                () = self.something_happens() => {}
            }
        };
        let shared = Arc::clone(&self.shared);
        shared.closed.set(self.close(grace).await).ok();
    }

    async fn open_wanted(&mut self) {
        let now = Instant::now();
        for kind in WayKind::ALL {
            if !self.mode.has(kind) || self.open.contains_key(&kind) || !self.may_open(kind, now) {
                continue;
            }
            let Some(way) = self.shared.ways().get(&kind).cloned() else { continue };
            let handler = match kind {
                WayKind::Tunnel => self.pairing(),
                WayKind::P2p => Arc::clone(&self.handler),
            };
            let opened = timeout(OPEN_TIMEOUT, way.open(handler)).await.unwrap_or_else(|_| {
                Err(Failure::new(FailureKind::Timeout, format!("{kind} did not open within {OPEN_TIMEOUT:?}")))
            });
            match opened {
                Ok(way) => {
                    self.failed.remove(&kind);
                    let seen = way.state();
                    self.open.insert(kind, Opened { way, since: Instant::now(), seen });
                }
                Err(failure) => {
                    let before = self.failed.get(&kind).map(|failed| failed.pause);
                    let pause = before.map_or(RETRY_MIN, |pause| (pause * 2).min(RETRY_MAX));
                    tracing::warn!("{kind} cannot be opened, again in {pause:?}: {failure}");
                    self.failed.insert(kind, Failed { failure, pause, retry_at: Instant::now() + pause });
                }
            }
        }
    }

    /// The handler of what comes through the tunnel server.
    fn pairing(&self) -> Arc<dyn Handler> {
        let handler = Arc::clone(&self.handler);
        let Some((peers, client_id)) = &self.shared.config.pairing else { return handler };
        let shared = Arc::downgrade(&self.shared);
        let address = move || Some(shared.upgrade()?.lock().ticket.as_ref()?.host.clone());
        let pairing = PairingHandler::new(handler, Arc::clone(peers), address);
        match client_id {
            Some(client_id) => Arc::new(pairing.client_id(client_id)),
            None => Arc::new(pairing),
        }
    }

    fn may_open(&self, kind: WayKind, now: Instant) -> bool {
        self.failed.get(&kind).is_none_or(|failed| failed.retry_at <= now)
            && self.waits_for_drain(kind).is_none_or(|until| until <= now)
    }

    /// A tunnel server knows one host of a name: a new connection ends the old one. That one may finish first, for a while.
    fn waits_for_drain(&self, kind: WayKind) -> Option<Instant> {
        let drains = self.drains.values().filter(|drain| kind == WayKind::Tunnel && drain.kind == kind);
        drains.map(|drain| drain.since.max(self.since) + self.shared.config.handover_timeout).max()
    }

    fn leave_unwanted(&mut self) {
        let now = Instant::now();
        for kind in WayKind::ALL {
            if self.mode.has(kind) || self.leave_at(kind).is_none_or(|at| at > now) {
                continue;
            }
            if let Some(Opened { way, .. }) = self.open.remove(&kind) {
                tracing::info!("{kind} is closed: it takes no new requests");
                let drain = self.draining.spawn(way.drain(self.shared.config.drain_timeout));
                self.drains.insert(drain.id(), Drain { kind, since: now });
            }
        }
    }

    /// When an unwanted way may be left. `None` if that depends on something else.
    fn leave_at(&self, kind: WayKind) -> Option<Instant> {
        let config = &self.shared.config;
        self.open.get(&kind)?;
        match kind {
            WayKind::P2p => {
                let tunnel_is_open =
                    self.open.get(&WayKind::Tunnel).is_some_and(|tunnel| tunnel.seen == WayState::Open);
                Some(if tunnel_is_open { self.since } else { self.since + config.handover_timeout })
            }
            WayKind::Tunnel => Some(self.open.get(&WayKind::P2p)?.since + config.settle),
        }
    }

    async fn release_unused(&self) {
        for (kind, way) in self.shared.ways() {
            let in_use = self.open.contains_key(kind) || self.drains.values().any(|drain| drain.kind == *kind);
            if !in_use {
                way.release().await;
            }
        }
    }

    fn publish(&self) {
        let state_of = |kind| match (self.open.get(&kind), self.failed.get(&kind)) {
            (Some(opened), _) => opened.seen.clone(),
            (None, Some(failed)) if self.mode.has(kind) => WayState::Down(failed.failure.clone()),
            (None, _) if self.mode.has(kind) => WayState::Opening,
            (None, _) => WayState::Closed,
        };
        let holds = WayKind::ALL.into_iter().all(|kind| match self.open.get(&kind) {
            Some(opened) => self.mode.has(kind) && opened.seen == WayState::Open,
            None => !self.mode.has(kind),
        });
        let mut now = self.shared.lock();
        let ticket = self.open.get(&WayKind::P2p).and_then(|opened| opened.way.ticket());
        let before = now.state.clone();
        now.state.tunnel = state_of(WayKind::Tunnel);
        now.state.p2p = state_of(WayKind::P2p);
        now.state.holds = holds && now.state.wanted == self.mode;
        now.ticket = ticket;
        let changed = now.state != before;
        drop(now);
        if changed {
            self.shared.changed.notify_waiters();
        }
    }

    /// Waits until a way is another than it was, a drain has ended, or it is time for something.
    async fn something_happens(&mut self) {
        let now = Instant::now();
        let retries = self.failed.values().map(|failed| failed.retry_at);
        let drains = WayKind::ALL.into_iter().filter(|kind| self.mode.has(*kind) && !self.open.contains_key(kind));
        let drains = drains.filter_map(|kind| self.waits_for_drain(kind));
        let leaves = WayKind::ALL.into_iter().filter(|kind| !self.mode.has(*kind));
        let leaves = leaves.filter_map(|kind| self.leave_at(kind));
        let due = retries.chain(drains).chain(leaves).filter(|at| *at > now).min();
        let time = async {
            match due {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let ways = self.open.iter().map(|(kind, opened)| opened.way.changed_from(&opened.seen).map(move |()| *kind));
        let ways: Vec<_> = ways.map(Box::pin).collect();
        let ways = async { if ways.is_empty() { std::future::pending().await } else { select_all(ways).await.0 } };
        let drained = async {
            match self.draining.join_next_with_id().await {
                Some(Ok((id, _))) => id,
                Some(Err(error)) => error.id(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            id = drained => drop(self.drains.remove(&id)),
            kind = ways => {
                if let Some(opened) = self.open.get_mut(&kind) {
                    opened.seen = opened.way.state();
                }
            }
            () = time => {}
        }
    }

    async fn close(mut self, grace: Duration) -> bool {
        for (_, Opened { way, .. }) in std::mem::take(&mut self.open) {
            self.draining.spawn(way.drain(grace));
        }
        self.publish();
        let ending = async {
            let mut in_time = true;
            while let Some(ended) = self.draining.join_next().await {
                in_time &= ended.unwrap_or(false);
            }
            in_time
        };
        let in_time = timeout(grace, ending).await.unwrap_or(false);
        self.draining.shutdown().await;
        for way in self.shared.ways().values() {
            way.release().await;
        }
        in_time
    }
}

//! Notices that a transport has died silently under somebody who waits.
//!
//! Silence alone proves nothing: event streams are silent, services think. So after a while of it the transport is probed,
//! and only if the probe fails, too, it is taken for dead. A good probe doubles the next wait. Legacy is watched only under
//! a response that p2p could continue.
//!
//! The first wait is `stall_timeout` less twice the `probe_timeout`: the probe may take one of them, and the other transport
//! has the other one to send its first byte, so that from the last byte to the next it takes `stall_timeout` at most.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};
use tunnel_core::{Failure, FailureKind, TransportKind};

use super::{probe::Probe, shared::Shared, upload::Progress};
use crate::RouterConfig;

/// After that many good probes nobody asks more often than this.
const WAIT_MAX: Duration = Duration::from_secs(40);

/// Watches one wait after the other. No timer exists before the first wait.
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    kind: TransportKind,
    epoch: u64,
    first_wait: Duration,
    probe_timeout: Duration,
    wait: Duration,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    probe: Option<Probe>,
}

impl Watchdog {
    pub(crate) fn new(shared: &Arc<Shared>, config: &RouterConfig, kind: TransportKind, epoch: u64) -> Self {
        let first_wait = first_wait(config);
        Self {
            shared: Arc::clone(shared),
            kind,
            epoch,
            first_wait,
            probe_timeout: config.probe_timeout,
            wait: first_wait,
            waiting_since: None,
            timer: None,
            probe: None,
        }
    }

    /// Something arrived.
    pub(crate) fn progress(&mut self) {
        self.waiting_since = None;
        self.wait = self.first_wait;
        self.probe = None;
    }

    /// Nobody can do better: waits on, longer and longer.
    pub(crate) fn wait_on(&mut self) {
        self.waiting_since = Some(Instant::now());
        self.wait = (self.wait * 2).min(WAIT_MAX);
    }

    /// Polled while somebody waits; ready once the transport is dead. The wait begins with the first poll after progress.
    pub(crate) fn poll_dead(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        loop {
            if let Some(probe) = &mut self.probe {
                let result = ready!(Pin::new(probe).poll(cx));
                self.probe = None;
                match result {
                    Ok(()) => self.wait_on(),
                    Err(failure) => return Poll::Ready(self.shared.stalled(self.kind, self.epoch, &failure)),
                }
            }
            let deadline = *self.waiting_since.get_or_insert_with(Instant::now) + self.wait;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() < deadline {
                // It was set for an earlier wait.
                timer.as_mut().reset(deadline);
                continue;
            }
            self.timer = None;
            self.probe = Some(self.shared.prober(self.kind).probe(self.probe_timeout));
        }
    }
}

/// Resolves once p2p is dead under a request that waits for its head. What `upload` sends counts as progress.
pub(super) async fn dead(shared: &Shared, config: &RouterConfig, epoch: u64, upload: Option<&Progress>) -> Failure {
    let mut wait = first_wait(config);
    let mut since = Instant::now();
    loop {
        tokio::time::sleep_until(since + wait).await;
        if let Some(moved) = upload.map(Progress::last).filter(|&moved| moved > since) {
            since = moved;
            continue;
        }
        match shared.prober(TransportKind::P2p).probe(config.probe_timeout).await {
            Ok(()) => {
                since = Instant::now();
                wait = (wait * 2).min(WAIT_MAX);
            }
            Err(failure) => return shared.stalled(TransportKind::P2p, epoch, &failure),
        }
    }
}

fn first_wait(config: &RouterConfig) -> Duration {
    config.stall_timeout.saturating_sub(config.probe_timeout * 2)
}

impl Shared {
    /// Takes p2p down, if it is p2p; the words for whoever waits.
    fn stalled(&self, kind: TransportKind, epoch: u64, probe: &Failure) -> Failure {
        if kind == TransportKind::P2p {
            self.tell(|machine, now| machine.stalled(now, epoch));
        }
        let message = format!("{} has stalled: nothing arrives, and a probe failed: {probe}", kind.name());
        Failure::new(FailureKind::Timeout, message)
    }
}

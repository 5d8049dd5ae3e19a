//! What is wanted of the transports, and how they are.

mod supervisor;

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, SetOnce};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tunnel_core::Handler;

use self::supervisor::Supervisor;
use super::{TransportMode, TransportsConfig, TransportsError, WayKind, WayState, way::Way};
use crate::{Ticket, task};

/// How the transports are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportsState {
    /// The mode that is wanted.
    pub wanted: TransportMode,
    /// Whether it holds: its ways are open, and no other takes requests.
    pub holds: bool,
    /// The way through the tunnel server.
    pub tunnel: WayState,
    /// The peer-to-peer way.
    pub p2p: WayState,
}

/// The switch. Dropping it closes the ways.
pub(crate) struct Switch {
    shared: Arc<Shared>,
    running: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// What the switch and its supervisor both know.
struct Shared {
    config: TransportsConfig,
    now: Mutex<Now>,
    changed: Notify,
    /// Whether all requests ended in time, once all is closed.
    closed: SetOnce<bool>,
}

struct Now {
    state: TransportsState,
    ticket: Option<Ticket>,
    /// How long requests may take to end, once all is to be closed.
    closing: Option<Duration>,
}

impl Switch {
    pub(crate) fn new(config: TransportsConfig) -> Result<Self, TransportsError> {
        config.check(config.mode)?;
        let state =
            TransportsState { wanted: config.mode, holds: false, tunnel: WayState::Closed, p2p: WayState::Closed };
        let now = Mutex::new(Now { state, ticket: None, closing: None });
        let shared = Shared { config, now, changed: Notify::new(), closed: SetOnce::new() };
        Ok(Self { shared: Arc::new(shared), running: Mutex::new(None) })
    }

    /// Opens the ways for this handler; cancelling `closed` closes them. Only the first call does anything.
    pub(crate) fn start(&self, handler: Arc<dyn Handler>, closed: CancellationToken) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            *running = Some(task::spawn(Supervisor::new(Arc::clone(&self.shared), handler, closed).run()));
        }
    }

    pub(super) fn set_mode(&self, mode: TransportMode) -> Result<(), TransportsError> {
        self.shared.config.check(mode)?;
        let mut now = self.shared.lock();
        if now.closing.is_some() {
            return Err(TransportsError::Closed);
        }
        if now.state.wanted != mode {
            tracing::info!(from = %now.state.wanted, to = %mode, "the transport mode changes");
            now.state.wanted = mode;
            now.state.holds = false;
            drop(now);
            self.shared.changed.notify_waiters();
        }
        Ok(())
    }

    pub(super) fn state(&self) -> TransportsState {
        self.shared.lock().state.clone()
    }

    pub(super) fn ticket(&self) -> Option<Ticket> {
        self.shared.lock().ticket.clone()
    }

    pub(super) async fn switched(&self) {
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if self.shared.lock().state.holds {
                return;
            }
            changed.await;
        }
    }

    /// Begins to close: requests under way have so long to end.
    pub(super) fn begin_to_close(&self, grace: Duration) {
        self.shared.lock().closing.get_or_insert(grace);
        self.shared.changed.notify_waiters();
    }

    /// Waits until all is closed, once that has begun. Whether all requests ended in time.
    pub(super) async fn closed(&self) -> bool {
        if self.running.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return true;
        }
        let in_time = *self.shared.closed.wait().await;
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        in_time
    }
}

impl Shared {
    fn ways(&self) -> &BTreeMap<WayKind, Arc<dyn Way>> {
        &self.config.ways
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

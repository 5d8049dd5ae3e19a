//! Incoming connections.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use iroh::{
    Endpoint,
    endpoint::{Connection, Incoming},
};
use tokio::time::timeout;
use tracing::debug;

use super::{connection::IrohConnection, registry::Registry};
use crate::{Direction, P2PListener};

/// Handshakes under way at once. More are refused: the dialler sees it at once and tries again.
const HANDSHAKES_MAX: usize = 64;

/// A handshake takes a few round trips; slower ones are given up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Accepts the connections of other Iroh peers.
pub struct IrohListener {
    endpoint: Endpoint,
    registry: Arc<Registry>,
    handshakes: FuturesUnordered<BoxFuture<'static, Option<Connection>>>,
    _claim: ListenerClaim,
}

impl IrohListener {
    pub(super) fn new(endpoint: Endpoint, registry: Arc<Registry>, claim: ListenerClaim) -> Self {
        Self { endpoint, registry, handshakes: FuturesUnordered::new(), _claim: claim }
    }

    fn admit(&mut self, incoming: Incoming) {
        if self.handshakes.len() < HANDSHAKES_MAX {
            self.handshakes.push(Box::pin(handshake(incoming)));
        } else {
            debug!("refused a connection: {HANDSHAKES_MAX} handshakes are under way");
            incoming.refuse();
        }
    }
}

impl P2PListener for IrohListener {
    type Connection = IrohConnection;

    async fn accept(&mut self) -> Option<IrohConnection> {
        loop {
            tokio::select! {
                biased;
                Some(done) = self.handshakes.next(), if !self.handshakes.is_empty() => {
                    if let Some(connection) = done {
                        return Some(self.registry.open(connection, Direction::Incoming));
                    }
                }
                incoming = self.endpoint.accept() => self.admit(incoming?),
            }
        }
    }
}

impl Drop for IrohListener {
    fn drop(&mut self) {
        self.endpoint.set_alpns(Vec::new());
    }
}

async fn handshake(incoming: Incoming) -> Option<Connection> {
    let attempt = async { incoming.accept().map_err(|error| error.to_string())?.await.map_err(|e| format!("{e:#}")) };
    match timeout(HANDSHAKE_TIMEOUT, attempt).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err(error)) => {
            debug!("an incoming handshake failed: {error}");
            None
        }
        Err(_) => {
            debug!("an incoming handshake took over {HANDSHAKE_TIMEOUT:?}");
            None
        }
    }
}

/// Whether somebody listens.
#[derive(Debug, Default)]
pub(super) struct ListenerSlot(AtomicBool);

impl ListenerSlot {
    pub(super) fn claim(self: &Arc<Self>) -> Option<ListenerClaim> {
        let free = self.0.compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire).is_ok();
        free.then(|| ListenerClaim(Arc::clone(self)))
    }
}

/// The right to listen; dropping it gives it back.
#[derive(Debug)]
pub(super) struct ListenerClaim(Arc<ListenerSlot>);

impl Drop for ListenerClaim {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

//! Incoming connections.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use iroh::endpoint::{Connection, Incoming};
use tokio::time::timeout;
use tracing::debug;

use super::{Shared, connection::IrohConnection};
use crate::{Direction, P2PListener};

/// Handshakes under way at once. More are refused: the dialler sees it at once and tries again.
const HANDSHAKES_MAX: usize = 64;

/// A handshake takes a few round trips; slower ones are given up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Accepts the connections of other Iroh peers.
pub struct IrohListener {
    shared: Arc<Shared>,
    handshakes: FuturesUnordered<BoxFuture<'static, Option<Connection>>>,
    _claim: ListenerClaim,
}

impl IrohListener {
    pub(super) fn new(shared: Arc<Shared>, claim: ListenerClaim) -> Self {
        Self { shared, handshakes: FuturesUnordered::new(), _claim: claim }
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
            // Held only while it is waited for: a retired endpoint gives up its port when nobody holds it any more.
            let (_, endpoint) = self.shared.current.open().await?;
            tokio::select! {
                biased;
                Some(done) = self.handshakes.next(), if !self.handshakes.is_empty() => {
                    if let Some(connection) = done {
                        return Some(self.shared.registry.open(connection, Direction::Incoming, 0));
                    }
                }
                incoming = endpoint.accept() => match incoming {
                    Some(incoming) => self.admit(incoming),
                    // Until it is known to be retired, too.
                    None => tokio::task::yield_now().await,
                },
            }
        }
    }
}

impl Drop for IrohListener {
    fn drop(&mut self) {
        if let Some(endpoint) = self.shared.current.get() {
            endpoint.set_alpns(Vec::new());
        }
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

/// Who listens, and for what.
#[derive(Debug, Default)]
pub(super) struct ListenerSlot(Mutex<Option<Vec<Vec<u8>>>>);

impl ListenerSlot {
    /// Takes the slot, if it is free.
    pub(super) fn claim(self: &Arc<Self>, protocols: Vec<Vec<u8>>) -> Option<ListenerClaim> {
        let mut slot = self.lock();
        if slot.is_some() {
            return None;
        }
        *slot = Some(protocols);
        drop(slot);
        Some(ListenerClaim(Arc::clone(self)))
    }

    /// Nobody listens.
    pub(super) fn is_free(&self) -> bool {
        self.lock().is_none()
    }

    /// What is listened for.
    pub(super) fn protocols(&self) -> Vec<Vec<u8>> {
        self.lock().clone().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to listen; dropping it gives it back.
#[derive(Debug)]
pub(super) struct ListenerClaim(Arc<ListenerSlot>);

impl Drop for ListenerClaim {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

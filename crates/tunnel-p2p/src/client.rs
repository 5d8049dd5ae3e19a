//! The client: sends requests to one host over a connection that is kept up.

mod demand;
mod exchange;
mod link;
mod schedule;
mod state;
mod supervisor;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use p2p_provider::{P2PConnection, P2PProvider};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{
    Failure, FailureKind, Health, PathDetails, Request, Response, SendError, Transport, WsOpen, WsUpgrade,
};

use self::{
    demand::Demand,
    link::Link,
    state::{LinkState, State},
    supervisor::Supervisor,
};
use crate::{ClientConfig, Ticket, task};

/// How long a request waits for a host that gave no answer to the last attempt: a fresh attempt begins within a second.
const SILENCE_PATIENCE: Duration = Duration::from_secs(2);

/// Sends requests to the host of one [`Ticket`]. Clones share the connection; the last one to go closes it.
#[derive(Clone)]
pub struct Client<P: P2PProvider> {
    shared: Arc<Shared<P>>,
    _supervisor: Arc<AbortOnDropHandle<()>>,
}

/// What the client and the task that keeps it connected both know.
pub(crate) struct Shared<P: P2PProvider> {
    provider: P,
    ticket: Ticket,
    config: Arc<ClientConfig>,
    state: State<P::Connection>,
    demand: Demand,
}

impl<P: P2PProvider> Client<P> {
    /// Starts to connect, in the background, on the current tokio runtime.
    #[must_use]
    pub fn start(provider: P, ticket: Ticket, config: ClientConfig) -> Self {
        let shared =
            Arc::new(Shared { provider, ticket, config: Arc::new(config), state: State::new(), demand: Demand::new() });
        let supervisor = task::spawn(Supervisor::new(Arc::clone(&shared)).run());
        Self { shared, _supervisor: Arc::new(supervisor) }
    }

    /// Waits until the host has authorized this client, or until an attempt has failed. Cancel safe.
    pub async fn connected(&self) -> Result<(), Failure> {
        let connected = self.shared.state.wait_for(|state| match state {
            LinkState::Up(link) if link.client_id().is_some() => Some(Ok(())),
            LinkState::Up(_) | LinkState::Connecting => None,
            LinkState::Down { failure, .. } => Some(Err(failure.clone())),
            LinkState::Closed => Some(Err(closed())),
        });
        connected.await
    }

    /// Resolves when [`Transport::health`] may have changed, with `false` once the client is closed. Cancel safe.
    pub async fn health_changed(&self) -> bool {
        let open = || self.shared.state.look(|state| !matches!(state, LinkState::Closed));
        if open() {
            self.shared.state.changed().await;
        }
        open()
    }

    /// Closes the connection. Requests under way fail; later ones fail at once. Idempotent.
    pub fn close(&self) {
        if let LinkState::Up(link) = self.shared.state.close() {
            link.session.close(FailureKind::Aborted, "client closed");
        }
    }

    /// The connection for a request. Without one it waits for the attempt under way, or, if the host gave no answer to the
    /// last one, a little for the next one.
    async fn link(&self) -> Result<Arc<Link<P::Connection>>, Failure> {
        self.shared.demand.note();
        match self.link_now().await {
            Err((failure, true)) => timeout(SILENCE_PATIENCE, self.shared.state.wait_for(connection))
                .await
                .map_or(Err(failure), |found| found.map_err(|(failure, _)| failure)),
            found => found.map_err(|(failure, _)| failure),
        }
    }

    /// The connection, if there is one, or if one comes up before the attempt under way fails; otherwise why there is none,
    /// and whether it is because of silence.
    async fn link_now(&self) -> Found<P::Connection> {
        let found = |state: &LinkState<P::Connection>| match state {
            LinkState::Down { failure, silent } => Some(Err((failure.clone(), *silent))),
            other => connection(other),
        };
        let found = if let Some(found) = self.shared.state.look(found) {
            found
        } else {
            self.shared.demand.raise();
            // Bounded: every attempt ends within `connect_timeout` and then changes the state.
            self.shared.state.wait_for(found).await
        };
        if found.is_err() {
            self.shared.demand.raise();
        }
        found
    }
}

/// A connection; or why there is none, and whether it is because of silence.
type Found<C> = Result<Arc<Link<C>>, (Failure, bool)>;

/// A connection, or the end of this client.
fn connection<C: P2PConnection>(state: &LinkState<C>) -> Option<Found<C>> {
    match state {
        LinkState::Up(link) if link.is_open() => Some(Ok(Arc::clone(link))),
        LinkState::Up(_) | LinkState::Connecting | LinkState::Down { .. } => None,
        LinkState::Closed => Some(Err((closed(), false))),
    }
}

#[async_trait]
impl<P: P2PProvider> Transport for Client<P> {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        match self.link().await {
            Ok(link) => exchange::send(&link, &self.shared.config, request).await,
            Err(failure) => Err(SendError::undelivered(failure, request)),
        }
    }

    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        let link = self.link().await?;
        exchange::open_ws(&link, &self.shared.config, open).await
    }

    /// A question that the host itself answers, on a stream of its own. While there is no connection it waits for the
    /// attempt under way, or fails at once and hastens the next one.
    async fn probe(&self) -> Result<(), Failure> {
        let link = self.link_now().await.map_err(|(failure, _)| failure)?;
        exchange::probe(&link, &self.shared.config).await
    }

    fn path(&self) -> Option<PathDetails> {
        self.shared.state.look(|state| match state {
            LinkState::Up(link) if link.is_open() => Some(link.session.path_details()),
            _ => None,
        })
    }

    fn health(&self) -> Health {
        self.shared.state.look(|state| match state {
            LinkState::Up(link) if link.is_open() => match link.client_id() {
                Some(client_id) => Health::Healthy { path: link.session.path(), client_id: client_id.clone() },
                None => Health::Probing,
            },
            LinkState::Up(_) | LinkState::Connecting => Health::Probing,
            LinkState::Down { failure, .. } => Health::Down(failure.clone()),
            LinkState::Closed => Health::Down(closed()),
        })
    }
}

fn closed() -> Failure {
    Failure::new(FailureKind::ShuttingDown, "this client is closed")
}

//! The host: answers the requests of authorized clients.

mod admission;
mod connection;
mod exchange;
mod sessions;
mod watch;

use std::{sync::Arc, time::Duration};

use p2p_provider::{P2PConnection, P2PError, P2PListener, P2PProvider, PeerId};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tunnel_core::{FailureKind, Handler, PathDetails};

use self::sessions::Sessions;
use crate::{HostConfig, Ticket, task, wire::ALPN};

/// Answers requests until it is [drained](Self::drain) or dropped; dropping it cuts all connections.
pub struct Host<P: P2PProvider> {
    shared: Arc<Shared<P>>,
    accepting: AbortOnDropHandle<()>,
    /// Closes the sessions of those who are turned away.
    _watching: Option<AbortOnDropHandle<()>>,
}

/// What all connections of a host share.
struct Shared<P: P2PProvider> {
    provider: P,
    handler: Arc<dyn Handler>,
    config: HostConfig,
    /// Cancelled when the host is to finish.
    drain: CancellationToken,
    /// The clients that are connected, so that their bulk connections find them.
    sessions: Sessions<P::Connection>,
}

/// One line of [`Host::clients`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientInfo {
    /// The client.
    pub peer: PeerId,
    /// The path to it.
    pub path: PathDetails,
}

impl<P: P2PProvider> Host<P> {
    /// Starts to accept clients, in the background, on the current tokio runtime.
    pub async fn start(provider: P, handler: Arc<dyn Handler>, config: HostConfig) -> Result<Self, P2PError> {
        let listener = provider.listen(&[ALPN]).await?;
        let shared = Arc::new(Shared {
            provider,
            handler,
            config,
            drain: CancellationToken::new(),
            sessions: Sessions::default(),
        });
        let accepting = task::spawn(accept(Arc::clone(&shared), listener));
        let peers = shared.config.peers.clone();
        let watching = peers.map(|peers| task::spawn(watch::watch(Arc::clone(&shared), peers)));
        Ok(Self { shared, accepting, _watching: watching })
    }

    /// The ticket for clients, with the addresses of this moment.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket { host: self.shared.provider.local_addr(), secret: Some(self.shared.config.secret.clone()) }
    }

    /// The clients that are connected and authorized.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientInfo> {
        let sessions = self.shared.sessions.all();
        sessions
            .iter()
            .map(|(admitted, session)| ClientInfo { peer: admitted.peer, path: session.path_details() })
            .collect()
    }

    /// Takes no new requests, lets those in flight end within `grace`, then closes the connections.
    ///
    /// Returns whether all of them ended in time. Dropping the future cuts all connections.
    pub async fn drain(self, grace: Duration) -> bool {
        self.shared.drain.cancel();
        timeout(grace, self.accepting).await.is_ok()
    }
}

/// Accepts connections until the host drains, then waits for those that there are.
async fn accept<P: P2PProvider>(shared: Arc<Shared<P>>, mut listener: P::Listener) {
    let places = Arc::new(Semaphore::new(shared.config.max_connections));
    let mut connections = JoinSet::new();
    loop {
        let connection = tokio::select! {
            biased;
            () = shared.drain.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            connection = listener.accept() => connection,
        };
        let Some(connection) = connection else { break };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(peer = %connection.peer_info().id.short(), "refused a connection: max_connections reached");
            connection.close(FailureKind::Overloaded.code().into(), "the host has too many connections");
            continue;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            connection::serve(shared, connection).await;
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

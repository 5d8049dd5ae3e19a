//! A tunnel server like the published one: hosts keep a WebSocket to it, apps send it HTTP and WebSockets.
//!
//! ```text
//! app ──HTTP/1.1, WebSocket──▶ TunnelServer ──requests as JSON, responses as packets──▶ host
//!                              (accounts in a Storage)                  (one WebSocket)
//! ```
//!
//! It exists to be run in tests and simulations where the published server cannot be, and to be measured against it. It
//! speaks the same protocol, and the additions of `spec/legacy.md` with hosts that ask for them. What the published
//! server does wrong is mended unless [`Behaviour`] says otherwise; each [`Defect`] can be switched on by itself.
//!
//! | route | who may ask | answer |
//! |---|---|---|
//! | `GET /health` | anybody | `{"hash":..,"healthy":true}` |
//! | `POST /auth/register-client?clientId` | bearer: the server's access token | `{"token":..}` |
//! | `POST /auth/signature-token?clientId` | bearer: a client token | `{"token":..}`, good for 14 days |
//! | `POST /auth/validate-signature-token?clientId&signature` | signature | `{"valid":true}` |
//! | `POST /auth/magic-token?clientId&magicToken` | bearer: a client token | `{"success":true}` |
//! | `GET /auth/magic-token?magicToken` | who knows the token | the host's answer |
//! | `GET /ws?clientId&signature[&sender=true]` | signature | a WebSocket, for apps or, as the sender, for the host |
//! | `/files/track`, `/files/albums/{id}/{size}`, `/files/artists/{id}/{size}` | signature | the host's answer |
//! | any other path: GET, POST, PUT, PATCH, DELETE, HEAD | bearer: a client token | the host's answer |
//!
//! Not repeated in any mode: responses compressed again, the stray bytes after a 204 or 304, a worker that panics over an
//! `accept` header that is not ASCII, memory that is never freed after an aborted or finished request, replies lost
//! because they overtake the server's own bookkeeping, a second packet 1 that is delivered again, and 500 for a client id
//! over 64 characters (here 400).

mod account;
mod auth;
mod behaviour;
mod clock;
mod config;
mod connection;
mod cors;
mod exchange;
mod hub;
mod outbox;
mod proxy;
mod query;
mod random;
mod reply;
mod request_body;
mod routes;
mod statistics;
pub mod storage;
mod ws;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fastrand::Rng;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tunnel_http::{Door, Tcp};

pub use behaviour::{Behaviour, Defect};
pub use clock::Clock;
pub use config::{Limits, ServerError, TunnelServerConfig};
pub use random::{Random, RandomError};
pub use statistics::{Snapshot, Statistics};
pub use storage::{MemoryStorage, Storage};
pub use tunnel_http::Listener;

#[cfg(feature = "sqlite")]
pub use storage::SqliteStorage;

use self::{auth::Verified, connection::Connections, hub::Hub};

/// How long WebSockets have for their closing handshake when the server stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A tunnel server, bound and ready to run.
///
/// [`bind`](Self::bind) listens on TCP, [`on`](Self::on) on whatever yields byte streams:
///
/// ```
/// use std::{io, net::SocketAddr, sync::Arc};
///
/// use tokio::{io::DuplexStream, sync::mpsc};
/// use tunnel_legacy::server::{
///     Clock, Listener, MemoryStorage, Random, ServerError, TunnelServer, TunnelServerConfig,
/// };
///
/// /// Hosts and apps in this process.
/// struct InProcess(mpsc::Receiver<DuplexStream>);
///
/// impl Listener for InProcess {
///     type Io = DuplexStream;
///
///     async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
///         let stream = self.0.recv().await.ok_or(io::ErrorKind::NotConnected)?;
///         Ok((stream, self.local_addr()?))
///     }
///
///     fn local_addr(&self) -> io::Result<SocketAddr> {
///         Ok(SocketAddr::from(([127, 0, 0, 1], 8004)))
///     }
/// }
///
/// fn server(seed: u64) -> Result<(TunnelServer<InProcess>, mpsc::Sender<DuplexStream>), ServerError> {
///     let (peers, receiver) = mpsc::channel(16);
///     let clock = Clock::starting_at(1_767_225_600);
///     let config = TunnelServerConfig::new("access token", clock).with_random(Random::seeded(seed));
///     Ok((TunnelServer::on(InProcess(receiver), config, Arc::new(MemoryStorage::new()))?, peers))
/// }
/// ```
pub struct TunnelServer<L = Tcp> {
    listener: L,
    local_addr: SocketAddr,
    shared: Arc<Shared>,
}

/// What every connection needs.
struct Shared {
    config: TunnelServerConfig,
    storage: Arc<dyn Storage>,
    verified: Verified,
    hub: Arc<Hub>,
    /// Request and connection ids. They need to be distinct, not secret.
    ids: Mutex<Rng>,
    /// Cancelled when WebSockets are to close.
    closing: CancellationToken,
}

impl Shared {
    /// A number that is not zero: zero means "nobody asked" in replies of hosts.
    fn next_id(&self) -> u64 {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).u64(1..)
    }
}

impl TunnelServer {
    /// Checks the configuration and binds its address. Dropping the future binds nothing.
    pub async fn bind(config: TunnelServerConfig, storage: Arc<dyn Storage>) -> Result<Self, ServerError> {
        config.check()?;
        let bound = |source: io::Error| ServerError::Bind { listen: config.listen, source };
        let listener = Tcp::bind(config.listen).await.map_err(bound)?;
        let listener = if config.behaviour.has(Defect::Nagle) { listener.with_nagle() } else { listener };
        Self::on(listener, config, storage)
    }
}

impl<L: Listener> TunnelServer<L> {
    /// Checks the configuration, in which the listener's address takes the place of
    /// [`listen`](TunnelServerConfig::listen).
    pub fn on(listener: L, mut config: TunnelServerConfig, storage: Arc<dyn Storage>) -> Result<Self, ServerError> {
        let local_addr = listener.local_addr().map_err(|source| ServerError::Bind { listen: config.listen, source })?;
        config.listen = local_addr;
        config.check()?;
        let ids = Mutex::new(Rng::with_seed(config.random.u64().map_err(ServerError::Random)?));
        let hub = Arc::new(Hub::new(config.behaviour, config.limits.clone()));
        let shared =
            Shared { config, storage, verified: Verified::default(), hub, ids, closing: CancellationToken::new() };
        Ok(Self { listener, local_addr, shared: Arc::new(shared) })
    }

    /// The address on which it listens, with the port that the system chose if none was given.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Counters of this server, readable while it runs and after.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared.hub.statistics()
    }

    /// Serves until `shutdown` is cancelled, then finishes the requests under way for at most the drain timeout, and
    /// closes the WebSockets with 1012 (service restart). Dropping the future cuts everything.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { listener, shared, .. } = self;
        if !shared.config.behaviour.has(Defect::StaleConnectionsHang)
            && let Err(error) = shared.storage.clear_connections().await
        {
            tracing::warn!(%error, "cannot forget the hosts of the last run");
        }
        let mut door = Door::new(listener, shared.config.limits.connections_max);
        let connections = Connections::new(Arc::clone(&shared), shutdown.clone());
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection was lost to a fault of this server");
                    }
                }
                (stream, peer, place) = door.next() => {
                    let connections = connections.clone();
                    tasks.spawn(async move {
                        connections.serve(stream, peer).await;
                        drop(place);
                    });
                }
            }
        }
        drop(door);
        let finished = timeout(shared.config.limits.drain_timeout, shared.hub.requests_finished()).await;
        if finished.is_err() {
            tracing::warn!("requests were cut because they did not finish in time");
        }
        shared.closing.cancel();
        let _ = timeout(CLOSE_TIMEOUT, async { while tasks.join_next().await.is_some() {} }).await;
        tasks.shutdown().await;
    }
}

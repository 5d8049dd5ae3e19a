//! The way in: listens where apps connect and turns what they send into transport calls.

mod access;
mod auth;
mod coalesce;
mod config;
mod connection;
mod cors;
mod linger;
mod moosicbox;
mod refusal;
mod serve;
mod upload;
mod websocket;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
};

use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tunnel_core::Transport;
use tunnel_http::{Door, Tcp};

pub use auth::AuthServer;
pub use config::{GatewayConfig, GatewayError};
pub use tunnel_http::Listener;

use self::{access::Access, connection::Connections};

/// The HTTP and WebSocket server in front of a transport.
///
/// [`bind`](Self::bind) listens on TCP, [`on`](Self::on) on whatever yields byte streams:
///
/// ```
/// use std::{io, net::SocketAddr, sync::Arc};
///
/// use tokio::{io::DuplexStream, sync::mpsc};
/// use tunnel_core::Transport;
/// use tunnel_edge::{Gateway, GatewayConfig, GatewayError, Listener};
///
/// /// Apps in this process.
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
///         Ok(SocketAddr::from(([127, 0, 0, 1], 8017)))
///     }
/// }
///
/// fn gateway(transport: Arc<dyn Transport>) -> Result<(Gateway<InProcess>, mpsc::Sender<DuplexStream>), GatewayError> {
///     let (apps, receiver) = mpsc::channel(16);
///     Ok((Gateway::on(InProcess(receiver), GatewayConfig::default(), transport)?, apps))
/// }
/// ```
pub struct Gateway<L = Tcp> {
    listener: L,
    local_addr: SocketAddr,
    shared: Arc<Shared>,
}

/// What every request needs.
struct Shared {
    config: GatewayConfig,
    access: Access,
    transport: Arc<dyn Transport>,
    next_id: AtomicU64,
}

impl Gateway {
    /// Checks the configuration and binds the address. Dropping the future binds nothing.
    pub async fn bind(config: GatewayConfig, transport: Arc<dyn Transport>) -> Result<Self, GatewayError> {
        config.check()?;
        let bound = |source: io::Error| GatewayError::bind(config.listen, source);
        let listener = Tcp::bind(config.listen).await.map_err(bound)?;
        Self::on(listener, config, transport)
    }
}

impl<L: Listener> Gateway<L> {
    /// Checks the configuration, in which the listener's address takes the place of [`listen`](GatewayConfig::listen).
    pub fn on(listener: L, mut config: GatewayConfig, transport: Arc<dyn Transport>) -> Result<Self, GatewayError> {
        let local_addr = listener.local_addr().map_err(|source| GatewayError::bind(config.listen, source))?;
        config.listen = local_addr;
        config.check()?;
        let access = Access::new(&config, local_addr);
        let shared = Arc::new(Shared { access, config, transport, next_id: AtomicU64::new(1) });
        Ok(Self { listener, local_addr, shared })
    }

    /// The address on which it listens, with the port that the system chose if none was given.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` is cancelled, then finishes what is under way for at most the drain timeout; WebSockets
    /// are closed at once with 1012 (service restart). Dropping the future cuts everything.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { listener, shared, .. } = self;
        let mut door = Door::new(listener, shared.config.max_connections);
        let drain_timeout = shared.config.drain_timeout;
        let connections = Connections::new(shared, shutdown.clone());
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
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
        let finished = timeout(drain_timeout, async { while tasks.join_next().await.is_some() {} }).await;
        if finished.is_err() {
            tracing::warn!(left = tasks.len(), "requests were cut because they did not finish in time");
            tasks.shutdown().await;
        }
    }
}

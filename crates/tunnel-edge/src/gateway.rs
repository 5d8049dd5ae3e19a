//! The way in: listens where apps connect and turns what they send into transport calls.

mod access;
mod coalesce;
mod config;
mod connection;
mod cors;
mod moosicbox;
mod refusal;
mod serve;
mod websocket;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tunnel_core::Transport;

pub use config::{GatewayConfig, GatewayError};

use self::{access::Access, connection::Connections};

/// How long accepting pauses after an error, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The HTTP and WebSocket server in front of a transport.
pub struct Gateway {
    listener: TcpListener,
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
        let listener = TcpListener::bind(config.listen).await.map_err(bound)?;
        let local_addr = listener.local_addr().map_err(bound)?;
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
        let permits = Arc::new(Semaphore::new(self.shared.config.max_connections));
        let drain_timeout = self.shared.config.drain_timeout;
        let connections = Connections::new(self.shared, shutdown.clone());
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
                accepted = accept(&self.listener, &permits) => match accepted {
                    Ok((stream, peer, permit)) => {
                        let connections = connections.clone();
                        tasks.spawn(async move {
                            connections.serve(stream, peer).await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        let finished = timeout(drain_timeout, async { while tasks.join_next().await.is_some() {} }).await;
        if finished.is_err() {
            tracing::warn!(left = tasks.len(), "requests were cut because they did not finish in time");
            tasks.shutdown().await;
        }
    }
}

/// The next connection, as soon as there may be one more. Cancel safe.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Fails only for an app that has left again.
    let _ = stream.set_nodelay(true);
    Ok((stream, peer, permit))
}

//! The host side: keeps the WebSocket to a tunnel server, and answers the requests that come through it.

mod config;
mod connection;
mod encode;
mod exchange;
mod refusal;
mod requests;
mod session;
mod state;
mod supervisor;
mod websockets;
mod window;

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tunnel_core::Handler;
use tunnel_http::HttpClient;

pub use config::LegacyHostConfig;
pub use state::LegacyHostState;

use self::{state::Standing, supervisor::Supervisor};
use crate::{LegacyError, connect, task};

/// Answers requests that come through a tunnel server, until it is [drained](Self::drain) or dropped; dropping it cuts
/// the connection and everything under way.
///
/// It connects again by itself, with a new signature token when the old one is refused or near its end. Requests under way
/// when the connection is lost are dropped, for their packets are: the published tunnel server never tells who waits.
///
/// - Every request gets an answer. A failure of the handler becomes one, with the status of its kind and
///   `x-tunnel-reason`; the published sender lets the client hang.
/// - A response that breaks off is never passed off as whole. With the additions of `spec/legacy.md` the client sees a
///   cut. Without them it does if there is a `content-length`; if not, it waits in vain, because the tunnel server offers
///   nothing else.
/// - Each WebSocket client has a WebSocket of its own to the service, at `/ws`. JSON texts only, both ways.
pub struct LegacyHost {
    shared: Arc<Shared>,
    running: AbortOnDropHandle<()>,
}

/// What all parts of a host share.
struct Shared {
    config: LegacyHostConfig,
    handler: Arc<dyn Handler>,
    http: HttpClient,
    standing: Standing,
    /// Cancelled when the host is to finish.
    drain: CancellationToken,
}

impl LegacyHost {
    /// Starts to connect, in the background, on the current tokio runtime.
    pub fn start(config: LegacyHostConfig, handler: Arc<dyn Handler>) -> Result<Self, LegacyError> {
        config.check()?;
        let http = connect::http_config(&config.url, config.timeouts(), config.ws_limits());
        let http = connect::http_client(&config.url, http)?;
        Ok(Self::with_client(config, handler, http))
    }

    /// As [`start`](Self::start), over whatever byte streams `connect` opens, which then has to encrypt them if need be.
    pub fn with_connector<F, S>(
        config: LegacyHostConfig,
        handler: Arc<dyn Handler>,
        connect: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<Self, LegacyError>
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        config.check()?;
        let http = connect::http_config(&config.url, config.timeouts(), config.ws_limits());
        Ok(Self::with_client(config, handler, HttpClient::new(http, connect)))
    }

    fn with_client(config: LegacyHostConfig, handler: Arc<dyn Handler>, http: HttpClient) -> Self {
        let (standing, drain) = (Standing::new(), CancellationToken::new());
        let shared = Arc::new(Shared { config, handler, http, standing, drain });
        let running = task::spawn(Supervisor::new(Arc::clone(&shared)).run());
        Self { shared, running }
    }

    /// Where it stands with its tunnel server right now. Never waits.
    #[must_use]
    pub fn state(&self) -> LegacyHostState {
        self.shared.standing.look()
    }

    /// Waits until the [state](Self::state) is another than the one that was `seen`, and returns it. Cancel safe.
    pub async fn changed_from(&self, seen: &LegacyHostState) -> LegacyHostState {
        self.shared.standing.changed_from(seen).await
    }

    /// Takes no new requests, lets those in flight end within `grace`, then closes the connection.
    ///
    /// Returns whether all of them ended in time. Dropping the future cuts the connection.
    pub async fn drain(self, grace: Duration) -> bool {
        self.shared.drain.cancel();
        timeout(grace, self.running).await.is_ok()
    }
}

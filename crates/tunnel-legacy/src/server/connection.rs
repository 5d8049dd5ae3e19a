//! One connection, from its first byte to its last.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{Shared, routes, ws::Switched};

/// The most header fields in a request head.
const HEADERS_MAX: usize = 256;

/// Serves connections; cheap to clone.
#[derive(Clone)]
pub(super) struct Connections {
    shared: Arc<Shared>,
    builder: Arc<http1::Builder>,
    shutdown: CancellationToken,
}

/// What the requests of one connection share.
pub(super) struct Connection {
    /// Cancelled to drop the connection as it is.
    pub(super) cut: CancellationToken,
    switched: Mutex<Option<Switched>>,
}

impl Connection {
    /// The connection becomes a WebSocket once the response is out.
    pub(super) fn switch(&self, switched: Switched) {
        *self.switched.lock().unwrap_or_else(PoisonError::into_inner) = Some(switched);
    }
}

impl Connections {
    pub(super) fn new(shared: Arc<Shared>, shutdown: CancellationToken) -> Self {
        let limits = &shared.config.limits;
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read_timeout)
            .max_buf_size(limits.header_bytes_max)
            .max_headers(HEADERS_MAX)
            // An app that has shut its sending half counts as gone: that is how a disconnect looks.
            .half_close(false)
            // The service's own date is passed on; none is made up.
            .auto_date_header(false);
        Self { shared, builder: Arc::new(builder), shutdown }
    }

    /// Serves the connection to its end, HTTP first and then, if the peer asked for it, a WebSocket. Dropping the future
    /// cuts it.
    pub(super) async fn serve<S>(&self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = Arc::new(Connection { cut: CancellationToken::new(), switched: Mutex::new(None) });
        self.serve_http(stream, peer, &connection).await;
        let switched = connection.switched.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(switched) = switched {
            switched.run(&self.shared).await;
        }
    }

    async fn serve_http<S>(&self, stream: S, peer: SocketAddr, connection: &Arc<Connection>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| {
            let (shared, connection) = (Arc::clone(&self.shared), Arc::clone(connection));
            async move { Ok::<_, Infallible>(routes::answer(&shared, &connection, request).await) }
        });
        let mut http = pin!(self.builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
        let mut draining = false;
        loop {
            tokio::select! {
                biased;
                () = connection.cut.cancelled() => return,
                ended = http.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, %peer, "a connection ended");
                    }
                    return;
                }
                () = self.shutdown.cancelled(), if !draining => {
                    draining = true;
                    http.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

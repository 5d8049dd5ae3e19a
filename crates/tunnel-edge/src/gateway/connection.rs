//! One connection of an app, from its first byte to its last.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    linger::{Lingering, Unread},
    serve,
    websocket::Switched,
};

/// The most header fields in a request head.
const HEADERS_MAX: usize = 256;
/// HTTP/2 connections have no other sign that the app has vanished.
const H2_PING_INTERVAL: Duration = Duration::from_secs(30);
const H2_STREAMS_MAX: u32 = 256;
/// Large enough that one stream fills a local connection.
const H2_WINDOW_BYTES: u32 = 1024 * 1024;

/// Serves connections; cheap to clone.
#[derive(Clone)]
pub(super) struct Connections {
    shared: Arc<Shared>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    shutdown: CancellationToken,
}

/// What the requests of one connection share.
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    /// Of the request under way; over HTTP/1 there is one at a time, and HTTP/2 has its own ways.
    pub(super) unread: Unread,
    seen_request: AtomicBool,
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
        let config = &shared.config;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(config.header_read_timeout)
            .max_buf_size(config.header_bytes_max)
            .max_headers(HEADERS_MAX)
            // An app that has shut its sending half counts as gone: that is how a disconnect looks.
            .half_close(false)
            // The service's own date is passed on; none is made up.
            .auto_date_header(false);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(H2_PING_INTERVAL)
            .max_concurrent_streams(H2_STREAMS_MAX)
            .initial_stream_window_size(H2_WINDOW_BYTES)
            .initial_connection_window_size(H2_WINDOW_BYTES * 2)
            .max_header_list_size(u32::try_from(config.header_bytes_max).unwrap_or(u32::MAX))
            .auto_date_header(false);
        Self { shared, builder: Arc::new(builder), shutdown }
    }

    /// Serves the connection to its end, HTTP first and then, if the app asked for it, a WebSocket. Dropping the future
    /// cuts it.
    pub(super) async fn serve<S>(&self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let unread = Unread::default();
        let stream = Lingering::new(stream, unread.clone());
        let (seen_request, switched) = (AtomicBool::new(false), Mutex::new(None));
        let connection = Arc::new(Connection { peer, unread, seen_request, switched });
        self.serve_http(stream, &connection).await;
        let switched = connection.switched.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(switched) = switched {
            switched.bridge(&self.shared.config, &self.shutdown).await;
        }
    }

    async fn serve_http<S>(&self, stream: S, connection: &Arc<Connection>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| {
            connection.seen_request.store(true, Ordering::Relaxed);
            let (shared, connection) = (Arc::clone(&self.shared), Arc::clone(connection));
            async move { Ok::<_, Infallible>(serve::answer(&shared, &connection, request).await) }
        });
        let mut http = pin!(self.builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        // The HTTP library's own timeout starts only once it knows the version of HTTP.
        let mut first_request = pin!(sleep(self.shared.config.header_read_timeout));
        let mut draining = false;
        loop {
            tokio::select! {
                biased;
                ended = http.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, peer = %connection.peer, "connection of an app ended");
                    }
                    return;
                }
                () = self.shutdown.cancelled(), if !draining => {
                    draining = true;
                    http.as_mut().graceful_shutdown();
                }
                () = first_request.as_mut(), if !first_request.is_elapsed() => {
                    if !connection.seen_request.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        }
    }
}

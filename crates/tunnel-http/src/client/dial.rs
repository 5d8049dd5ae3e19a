//! One connection to the server.

use std::io;

use futures::future::BoxFuture;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::Failure;

use super::{HttpClientConfig, upload::Upload};

/// The most header fields in a response head; more is an attack or a mistake.
const HEADERS_MAX: usize = 256;

/// A connection; dropping it closes the socket, whatever is under way.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Upload>,
    _driver: AbortOnDropHandle<()>,
}

/// Opens connections. What kind of byte stream they use is known only in here: that costs an allocation for each
/// connection, and nothing for each byte.
pub(super) struct Dialer(Box<dyn Fn() -> BoxFuture<'static, io::Result<Connection>> + Send + Sync>);

impl Dialer {
    /// Asks `connect` for byte streams.
    pub(super) fn new<F, S>(header_bytes_max: usize, connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self(Box::new(move || {
            let connecting = connect();
            Box::pin(async move { handshake(connecting.await?, header_bytes_max).await })
        }))
    }

    /// Connects. Dropping the future abandons the attempt.
    pub(super) async fn dial(&self, config: &HttpClientConfig) -> Result<Connection, Failure> {
        let HttpClientConfig { peer, connect_timeout, .. } = config;
        let unreachable = |cause: &dyn std::fmt::Display| {
            let message = format!("{} does not accept connections ({cause}): is it running?", peer.name);
            Failure::new(peer.unreachable, message)
        };
        match timeout(*connect_timeout, (self.0)()).await {
            Ok(Ok(connection)) => Ok(connection),
            // TLS says so when it does not like what it hears, the certificate for example.
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                Err(Failure::new(peer.unreachable, format!("no connection to {} can be made: {error}", peer.name)))
            }
            Ok(Err(error)) => Err(unreachable(&error)),
            Err(_) => Err(unreachable(&format_args!("no answer for {connect_timeout:?}"))),
        }
    }
}

async fn handshake<S>(stream: S, header_bytes_max: usize) -> io::Result<Connection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = Builder::new()
        .max_headers(HEADERS_MAX)
        .max_header_size(header_bytes_max)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let driver = AbortOnDropHandle::new(tokio::runtime::Handle::current().spawn(async move {
        // The caller of `sender` gets the error, so here it is only for the log.
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "an HTTP connection ended");
        }
    }));
    Ok(Connection { sender, _driver: driver })
}

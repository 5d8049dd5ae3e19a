//! One connection to the service.

use std::time::Duration;

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{Failure, FailureKind};

use super::{ServiceTarget, upload::Upload};

/// The most header fields in a response head; more is an attack or a mistake.
const HEADERS_MAX: usize = 256;

/// A connection; dropping it closes the socket, whatever is under way.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Upload>,
    _driver: AbortOnDropHandle<()>,
}

/// Connects, with Nagle's algorithm off. Dropping the future abandons the attempt.
pub(super) async fn dial(
    target: &ServiceTarget,
    connect_timeout: Duration,
    header_bytes_max: usize,
) -> Result<Connection, Failure> {
    let unreachable = |cause: &dyn std::fmt::Display| {
        Failure::new(
            FailureKind::ServiceUnreachable,
            format!("the service at {target} does not accept connections ({cause}): is it running?"),
        )
    };
    let connected = timeout(connect_timeout, async {
        match target {
            ServiceTarget::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| unreachable(&error))?;
                stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
                handshake(stream, header_bytes_max).await.map_err(|error| unreachable(&error))
            }
            #[cfg(unix)]
            ServiceTarget::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path).await.map_err(|error| unreachable(&error))?;
                handshake(stream, header_bytes_max).await.map_err(|error| unreachable(&error))
            }
            #[cfg(not(unix))]
            ServiceTarget::Unix(_) => Err(unreachable(&"this system has no Unix sockets")),
        }
    });
    connected.await.unwrap_or_else(|_| Err(unreachable(&format_args!("no answer for {connect_timeout:?}"))))
}

async fn handshake<S>(stream: S, header_bytes_max: usize) -> hyper::Result<Connection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = Builder::new()
        .max_headers(HEADERS_MAX)
        .max_header_size(header_bytes_max)
        .handshake(TokioIo::new(stream))
        .await?;
    let driver = AbortOnDropHandle::new(tokio::runtime::Handle::current().spawn(async move {
        // The caller of `sender` gets the error, so here it is only for the log.
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to the service ended");
        }
    }));
    Ok(Connection { sender, _driver: driver })
}

//! One connection to the service.

use std::{io, time::Duration};

use futures::future::BoxFuture;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{Failure, FailureKind};

use super::{ServiceConfig, ServiceTarget, upload::Upload};

/// The most header fields in a response head; more is an attack or a mistake.
const HEADERS_MAX: usize = 256;

/// A connection; dropping it closes the socket, whatever is under way.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Upload>,
    _driver: AbortOnDropHandle<()>,
}

/// Opens connections. What kind of byte stream they use is known only in here: that costs an allocation for each
/// connection, and nothing for each byte.
pub(super) struct Dialer {
    target: ServiceTarget,
    connect_timeout: Duration,
    connect: Connect,
}

type Connect = Box<dyn Fn() -> BoxFuture<'static, io::Result<Connection>> + Send + Sync>;

impl Dialer {
    /// Connects to the target.
    pub(super) fn to_target(config: &ServiceConfig) -> Self {
        let (target, header_bytes_max) = (config.target.clone(), config.header_bytes_max);
        let connect = move || -> BoxFuture<'static, _> { Box::pin(connect(target.clone(), header_bytes_max)) };
        Self::new(config, Box::new(connect))
    }

    /// Asks `connect` for byte streams.
    pub(super) fn with_connector<F, S>(config: &ServiceConfig, connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let header_bytes_max = config.header_bytes_max;
        let connect = move || -> BoxFuture<'static, _> {
            let connecting = connect();
            Box::pin(async move { handshake(connecting.await?, header_bytes_max).await })
        };
        Self::new(config, Box::new(connect))
    }

    fn new(config: &ServiceConfig, connect: Connect) -> Self {
        Self { target: config.target.clone(), connect_timeout: config.connect_timeout, connect }
    }

    /// Connects. Dropping the future abandons the attempt.
    pub(super) async fn dial(&self) -> Result<Connection, Failure> {
        let Self { target, connect_timeout, connect } = self;
        let unreachable = |cause: &dyn std::fmt::Display| {
            Failure::new(
                FailureKind::ServiceUnreachable,
                format!("the service at {target} does not accept connections ({cause}): is it running?"),
            )
        };
        match timeout(*connect_timeout, connect()).await {
            Ok(connected) => connected.map_err(|error| unreachable(&error)),
            Err(_) => Err(unreachable(&format_args!("no answer for {connect_timeout:?}"))),
        }
    }
}

/// Connects to a service, with Nagle's algorithm off.
async fn connect(target: ServiceTarget, header_bytes_max: usize) -> io::Result<Connection> {
    match target {
        ServiceTarget::Tcp { host, port } => {
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            handshake(stream, header_bytes_max).await
        }
        #[cfg(unix)]
        ServiceTarget::Unix(path) => handshake(tokio::net::UnixStream::connect(path).await?, header_bytes_max).await,
        #[cfg(not(unix))]
        ServiceTarget::Unix(_) => Err(io::Error::other("this system has no Unix sockets")),
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
            tracing::debug!(%error, "connection to the service ended");
        }
    }));
    Ok(Connection { sender, _driver: driver })
}

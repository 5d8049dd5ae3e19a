//! The way out: answers requests from a server on this machine.

mod config;
mod head;
mod target;

use std::io;

use async_trait::async_trait;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tunnel_core::{Failure, Handler, Request, RequestHead, Response, WsOpen, WsUpgrade, convert::to_http};
use tunnel_http::{HttpClient, HttpError};

pub use config::{ServiceConfig, ServiceError};
pub use target::ServiceTarget;

/// A server on this machine, as a [`Handler`].
///
/// Connections are kept alive and reused. Dropping the future of a call, or the body of its response, closes the
/// connection that carried it, so that the service stops working on it.
pub struct LocalService {
    config: ServiceConfig,
    client: HttpClient,
}

impl LocalService {
    /// Checks the configuration; connects only when a request comes.
    pub fn new(config: ServiceConfig) -> Result<Self, ServiceError> {
        match config.target.clone() {
            ServiceTarget::Tcp { host, port } => Self::with_connector(config, move || {
                let host = host.clone();
                async move {
                    let stream = TcpStream::connect((host, port)).await?;
                    stream.set_nodelay(true)?;
                    Ok(stream)
                }
            }),
            #[cfg(unix)]
            ServiceTarget::Unix(path) => {
                Self::with_connector(config, move || tokio::net::UnixStream::connect(path.clone()))
            }
            #[cfg(not(unix))]
            ServiceTarget::Unix(_) => Self::with_connector(config, || async {
                Err::<TcpStream, _>(io::Error::other("this system has no Unix sockets"))
            }),
        }
    }

    /// As [`new`](Self::new), over whatever byte streams `connect` opens: one call, one new connection, of which the pool
    /// takes care. The [target](ServiceConfig::target) then only names the service, in `Host` and in messages.
    ///
    /// `connect` has the [connect timeout](ServiceConfig::connect_timeout); its future is dropped when that is over, or
    /// the request is given up.
    ///
    /// ```
    /// use tokio::{io::DuplexStream, sync::mpsc};
    /// use tunnel_edge::{LocalService, ServiceConfig, ServiceError};
    ///
    /// /// A service in this process, which is handed its end of every connection.
    /// fn in_process(service: mpsc::Sender<DuplexStream>) -> Result<LocalService, ServiceError> {
    ///     let config = ServiceConfig::new("http://localhost".parse()?);
    ///     LocalService::with_connector(config, move || {
    ///         let service = service.clone();
    ///         async move {
    ///             let (near, far) = tokio::io::duplex(64 * 1024);
    ///             service.send(far).await.map_err(|_| std::io::ErrorKind::ConnectionRefused)?;
    ///             Ok(near)
    ///         }
    ///     })
    /// }
    /// ```
    pub fn with_connector<F, S>(
        config: ServiceConfig,
        connect: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<Self, ServiceError>
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        config.check()?;
        Ok(Self { client: HttpClient::new(config.client(), connect), config })
    }

    /// The service behind it.
    #[must_use]
    pub const fn target(&self) -> &ServiceTarget {
        &self.config.target
    }
}

#[async_trait]
impl Handler for LocalService {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        let (mut parts, body) = match request.head {
            RequestHead::Http(parts) => (*parts, request.body),
            RequestHead::Tunnel(request) => to_http(*request)?,
        };
        head::prepare(&mut parts, &self.config)?;
        self.client.send(parts, body).await.map_err(failure)
    }

    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.uri = open.uri;
        parts.headers = open.headers;
        head::prepare(&mut parts, &self.config)?;
        self.client.open_ws(parts).await.map_err(failure)
    }
}

/// A service is on the same machine: who cannot reach it once does not try again.
fn failure(error: HttpError) -> Failure {
    error.into_parts().0
}

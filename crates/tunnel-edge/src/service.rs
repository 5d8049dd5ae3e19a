//! The way out: answers requests from a server on this machine.

mod config;
mod dial;
mod head;
mod pool;
mod reply;
mod target;
mod upload;
mod websocket;

use std::io;

use async_trait::async_trait;
use http::{StatusCode, request::Parts};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Request, RequestHead, Response, WsOpen, WsUpgrade, convert::to_http,
};

pub use config::{ServiceConfig, ServiceError};
pub use target::ServiceTarget;

use self::{
    dial::Dialer,
    pool::{Lease, Pool},
    reply::ServiceBody,
    upload::Upload,
};

/// A server on this machine, as a [`Handler`].
///
/// Connections are kept alive and reused. Dropping the future of a call, or the body of its response, closes the
/// connection that carried it, so that the service stops working on it.
pub struct LocalService {
    config: ServiceConfig,
    pool: Pool,
}

impl LocalService {
    /// Checks the configuration; connects only when a request comes.
    pub fn new(config: ServiceConfig) -> Result<Self, ServiceError> {
        config.check()?;
        let dialer = Dialer::to_target(&config);
        Ok(Self { pool: Pool::new(&config, dialer), config })
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
        let dialer = Dialer::with_connector(&config, connect);
        Ok(Self { pool: Pool::new(&config, dialer), config })
    }

    /// The service behind it.
    #[must_use]
    pub const fn target(&self) -> &ServiceTarget {
        &self.config.target
    }

    /// Sends the request and waits for the head of the response, as long as somebody makes progress.
    async fn exchange(&self, parts: Parts, body: Body) -> Result<(http::Response<Incoming>, Lease), Failure> {
        let (upload, progress) = Upload::new(body);
        let request = http::Request::from_parts(parts, upload);
        tokio::select! {
            biased;
            answer = self.pool.send(request) => {
                let (response, lease) = answer?;
                Ok((response, lease.with_progress(progress)))
            }
            () = progress.client_stalled(self.config.body_idle_timeout) => Err(Failure::new(
                FailureKind::Timeout,
                format!("the client sent nothing of its request body for {:?}", self.config.body_idle_timeout),
            )),
            () = progress.service_stalled(self.config.head_timeout) => Err(Failure::new(
                FailureKind::ServiceTimeout,
                format!("the service at {} did not answer for {:?}", self.config.target, self.config.head_timeout),
            )),
        }
    }

    fn response(&self, response: http::Response<Incoming>, lease: Lease) -> Response {
        let (mut parts, incoming) = response.into_parts();
        crate::fields::strip_hop_by_hop(&mut parts.headers);
        let body = if incoming.is_end_stream() {
            lease.release();
            Body::empty()
        } else {
            Body::stream(ServiceBody::new(incoming, lease, &self.config))
        };
        Response { status: parts.status, headers: parts.headers, body, via: None }
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
        head::frame(&mut parts, &body);
        let (response, lease) = self.exchange(parts, body).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::new(
                FailureKind::ServiceFailed,
                format!("the service at {} switched protocols without being asked to", self.config.target),
            ));
        }
        Ok(self.response(response, lease))
    }

    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        websocket::open(self, open).await
    }
}

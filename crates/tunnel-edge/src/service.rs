//! The way out: answers requests from a server on this machine.

mod config;
mod dial;
mod head;
mod pool;
mod reply;
mod target;
mod upload;
mod websocket;

use async_trait::async_trait;
use http::{StatusCode, request::Parts};
use http_body::Body as _;
use hyper::body::Incoming;
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Request, RequestHead, Response, WsOpen, WsUpgrade, convert::to_http,
};

pub use config::{ServiceConfig, ServiceError};
pub use target::ServiceTarget;

use self::{
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
        Ok(Self { pool: Pool::new(&config), config })
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

//! Who sees by which transport a request has reached a host.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue};
use tunnel_core::{
    Failure, Handler, Request, RequestHead, Response, TransportKind, WsOpen, WsUpgrade, convert::to_http,
};

use crate::service::CAME_BY;

/// Stands in a host before its handler, and tells the service behind it how each request has come. That is the truth with
/// which the oracle compares what clients are told.
pub(super) struct Witness {
    handler: Arc<dyn Handler>,
    transport: TransportKind,
}

impl Witness {
    pub(super) fn new(transport: TransportKind, handler: Arc<dyn Handler>) -> Arc<Self> {
        Arc::new(Self { handler, transport })
    }

    fn sign(&self, headers: &mut HeaderMap) {
        headers.insert(CAME_BY, HeaderValue::from_static(self.transport.name()));
    }
}

#[async_trait]
impl Handler for Witness {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        let (mut head, body) = match request.head {
            RequestHead::Http(parts) => (*parts, request.body),
            RequestHead::Tunnel(tunnel) => to_http(*tunnel)?,
        };
        self.sign(&mut head.headers);
        self.handler.http(Request::http(request.id, head, body)).await
    }

    async fn ws(&self, mut open: WsOpen) -> Result<WsUpgrade, Failure> {
        self.sign(&mut open.headers);
        self.handler.ws(open).await
    }
}

//! Requests without what only the tunnel server needed.

use std::sync::Arc;

use async_trait::async_trait;
use tunnel_core::{Failure, Handler, Request, RequestHead, Response, WsOpen, WsUpgrade};

/// A tunnel server is told whom to ask by a query parameter, which it passes on. The service did not ask for it, and over
/// the peer-to-peer way it does not get it.
pub(super) struct Stripped {
    inner: Arc<dyn Handler>,
    client_id: String,
}

impl Stripped {
    pub(super) fn new(inner: Arc<dyn Handler>, client_id: String) -> Self {
        Self { inner, client_id }
    }
}

#[async_trait]
impl Handler for Stripped {
    async fn http(&self, mut request: Request) -> Result<Response, Failure> {
        if let RequestHead::Tunnel(head) = &mut request.head
            && let Some(query) = head.query.as_object_mut()
            && query.get("clientId").is_some_and(|id| *id == self.client_id.as_str())
        {
            query.remove("clientId");
        }
        self.inner.http(request).await
    }

    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        self.inner.ws(open).await
    }
}

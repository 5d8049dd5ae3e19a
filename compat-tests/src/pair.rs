//! A host and a client of it.

use std::sync::Arc;

use http::HeaderMap;
use tunnel_core::{Failure, Handler, Request, Response, SendError, Transport, WsOpen, WsSession, WsUpgrade};

use crate::{
    backend::{Backend, ClientSettings, HostSettings, RunningClient},
    patience::soon,
};

/// A host and a client that is connected to it.
pub struct Pair<B: Backend> {
    /// The host.
    pub host: B::Host,
    /// The client.
    pub client: B::Client,
    /// The client's way to the host.
    pub transport: Arc<dyn Transport>,
}

impl<B: Backend> Pair<B> {
    /// Starts both, with the settings of the product.
    pub async fn start(backend: &B, service: impl Handler) -> Self {
        Self::with(backend, service, HostSettings::default(), ClientSettings::default()).await
    }

    /// Starts both.
    pub async fn with(backend: &B, service: impl Handler, host: HostSettings, client: ClientSettings) -> Self {
        let host = backend.host(Arc::new(service), host).await;
        let client = connected(backend, &host, client).await;
        let transport = client.transport();
        Self { host, client, transport }
    }

    /// Sends a request.
    pub async fn send(&self, request: Request) -> Result<Response, SendError> {
        soon("a response or an error", self.transport.send(request)).await
    }

    /// The response to a request that must succeed.
    pub async fn answer(&self, request: Request) -> Response {
        self.send(request).await.expect("a response")
    }

    /// Opens a WebSocket.
    pub async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        soon("an answer to the handshake", self.transport.open_ws(open)).await
    }

    /// A WebSocket that the service must accept.
    pub async fn websocket(&self) -> WsSession {
        accepted(self.open_ws(handshake("/ws")).await).1
    }
}

/// A further client of a host.
pub async fn connected<B: Backend>(backend: &B, host: &B::Host, settings: ClientSettings) -> B::Client {
    let client = backend.client(host, settings).await;
    soon("connecting", client.connected()).await.expect("the client connects");
    client
}

/// A handshake without headers.
pub fn handshake(target: &str) -> WsOpen {
    WsOpen { id: 1, uri: target.parse().expect("a target"), headers: HeaderMap::new() }
}

/// The WebSocket, which must be open.
pub fn accepted(upgrade: Result<WsUpgrade, Failure>) -> (HeaderMap, WsSession) {
    match upgrade.expect("an answer to the handshake") {
        WsUpgrade::Accepted { headers, session, .. } => (headers, session),
        WsUpgrade::Rejected(response) => panic!("rejected with {}", response.status),
    }
}

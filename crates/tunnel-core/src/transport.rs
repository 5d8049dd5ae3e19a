//! The two sides of the contract.

use async_trait::async_trait;

use crate::{Failure, Request, Response, SendError, WsOpen, WsUpgrade};

/// The client side: carries requests to one host.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and waits for the head of its response.
    ///
    /// Returns within the transport's configured times. Dropping the future aborts the request on the host.
    async fn send(&self, request: Request) -> Result<Response, SendError>;

    /// Opens a WebSocket. A refusal by the service is [`WsUpgrade::Rejected`], not an error.
    ///
    /// Dropping the future abandons the attempt; dropping the session closes the WebSocket.
    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure>;

    /// What the transport knows about its host right now. Cheap; never waits.
    fn health(&self) -> Health;
}

/// The host side: answers requests.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. The future, or the response body, is dropped as soon as the client has gone.
    async fn http(&self, request: Request) -> Result<Response, Failure>;

    /// Opens one WebSocket to the service. The session is dropped as soon as the client has gone.
    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure>;
}

/// What a transport knows about its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Connected and authorized.
    Healthy {
        /// The path of the connection.
        path: PathKind,
        /// The client id that the host announced, if it has one.
        client_id: Option<String>,
    },
    /// Connecting, after the start or after a loss.
    Probing,
    /// The last attempt failed; further ones are under way.
    Down(Failure),
}

/// The network path of a peer-to-peer connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathKind {
    /// Packets go straight to the peer.
    Direct,
    /// Packets go through a relay, still encrypted end to end.
    Relayed,
    /// Not known at this moment, while paths change.
    Unknown,
}

impl PathKind {
    /// The name, as in the `x-tunnel-path` response header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
            Self::Unknown => "unknown",
        }
    }
}

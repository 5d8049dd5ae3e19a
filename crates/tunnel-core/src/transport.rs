//! The two sides of the contract.

use std::{sync::Arc, time::Duration};

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

    /// More on the path that a [healthy](Health::Healthy) transport takes, if it goes straight from peer to peer. Cheap; never
    /// waits.
    fn path(&self) -> Option<PathDetails> {
        None
    }

    /// Whether the transport can carry this request unaltered, or with no more loss than its operator allows. Pure and
    /// cheap; a refusal says what would be lost. A transport that refuses here refuses in [`send`](Self::send) too.
    fn can_carry(&self, _request: &Request) -> Result<(), Failure> {
        Ok(())
    }

    /// As [`can_carry`](Self::can_carry), for a WebSocket.
    fn can_carry_ws(&self, _open: &WsOpen) -> Result<(), Failure> {
        Ok(())
    }

    /// The longest request body it carries, in bytes, if it carries only bodies that are in memory; `None` if it streams.
    fn body_bytes_max(&self) -> Option<usize> {
        None
    }

    /// Finds out whether the way to the host works now, end to end, without a request to the service. Returns within the
    /// transport's configured times. Cancel safe.
    async fn probe(&self) -> Result<(), Failure>;
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

/// The network path of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathKind {
    /// Packets go straight to the peer.
    Direct,
    /// Packets go through a relay, still encrypted end to end.
    Relayed,
    /// Requests go through a tunnel server, which can read them.
    Server,
    /// Not known at this moment, while paths change.
    Unknown,
}

/// The path of a connection between peers, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathDetails {
    /// Direct or relayed.
    pub kind: PathKind,
    /// The address at the other end of the path: an IP address and port, or the URL of the relay.
    pub remote: Option<Arc<str>>,
    /// The smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// For how long it has been this path.
    pub age: Duration,
}

impl PathKind {
    /// The name, as in the `x-tunnel-path` response header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
            Self::Server => "server",
            Self::Unknown => "unknown",
        }
    }
}

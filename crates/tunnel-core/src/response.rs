//! A response, and how it travelled.

use http::{HeaderMap, StatusCode};

use crate::{Body, PathKind};

/// One HTTP response.
#[derive(Debug)]
pub struct Response {
    /// Any status from 200 to 999.
    pub status: StatusCode,
    /// The headers, repeated ones in the order in which the service sent them.
    pub headers: HeaderMap,
    /// The body; dropping it aborts the exchange.
    pub body: Body,
    /// How the response travelled. `None` as long as it is on the host.
    pub via: Option<Via>,
}

impl Response {
    /// A response without headers.
    #[must_use]
    pub fn new(status: StatusCode, body: Body) -> Self {
        Self { status, headers: HeaderMap::new(), body, via: None }
    }
}

/// How a response travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// The transport that carried it.
    pub transport: TransportKind,
    /// The network path inside the transport, as it was when the head arrived.
    pub path: PathKind,
    /// Why this transport, in one word, if somebody had a choice; as in the `x-tunnel-reason` response header.
    pub reason: Option<&'static str>,
}

/// The transports that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// Peer to peer.
    P2p,
    /// Through a tunnel server.
    Legacy,
}

impl TransportKind {
    /// The name, as in the `x-tunnel-transport` response header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P2p => "p2p",
            Self::Legacy => "legacy",
        }
    }
}

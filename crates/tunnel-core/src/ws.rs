//! One WebSocket, message by message.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use futures::{Sink, Stream};
use http::{HeaderMap, Uri};

use crate::{Failure, Response, Via};

/// The opening handshake of a WebSocket, without its hop-by-hop headers.
#[derive(Clone, Debug)]
pub struct WsOpen {
    /// Names the WebSocket in logs; unique within the process that made it.
    pub id: u64,
    /// The target in origin form.
    pub uri: Uri,
    /// The headers; `sec-websocket-protocol` holds the subprotocols that the client offers.
    pub headers: HeaderMap,
}

/// The answer to an opening handshake.
#[derive(Debug)]
pub enum WsUpgrade {
    /// 101: the WebSocket is open.
    Accepted {
        /// The headers of the 101; `sec-websocket-protocol` holds the subprotocol that the service chose.
        headers: HeaderMap,
        /// The messages in both directions.
        session: WsSession,
        /// How the WebSocket travels. `None` as long as it is on the host.
        via: Option<Via>,
    },
    /// Any other status: the service answered with plain HTTP.
    Rejected(Response),
}

/// An open WebSocket. Dropping it closes the WebSocket.
pub struct WsSession {
    /// Messages to the other end. Backpressure is the sink's readiness.
    pub sink: Pin<Box<dyn Sink<WsMessage, Error = Failure> + Send>>,
    /// Messages from the other end. It ends after a close message; an end without one is an error.
    pub stream: Pin<Box<dyn Stream<Item = Result<WsMessage, Failure>> + Send>>,
}

impl fmt::Debug for WsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WsSession")
    }
}

/// One WebSocket message (RFC 6455 §5.6, fragments joined).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WsMessage {
    /// Text; the bytes are valid UTF-8.
    Text(Bytes),
    /// Binary.
    Binary(Bytes),
    /// A ping, at most 125 bytes. Each hop answers it at once and passes it on, so that the far end sees the activity.
    Ping(Bytes),
    /// A pong that answers no ping of the hop (a one-way heartbeat), at most 125 bytes. Answers stay on their hop.
    Pong(Bytes),
    /// The last message in its direction.
    Close(Option<WsClose>),
}

impl WsMessage {
    /// The payload length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) | Self::Ping(bytes) | Self::Pong(bytes) => bytes.len(),
            Self::Close(None) => 0,
            Self::Close(Some(close)) => 2 + close.reason.len(),
        }
    }

    /// Whether the payload is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a WebSocket closes (RFC 6455 §7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsClose {
    /// The status code.
    pub code: u16,
    /// The reason, at most 123 bytes.
    pub reason: String,
}

//! How a receiver and a sender exchange WebSocket messages in upstream's own types: a WebSocket subprotocol.
//!
//! Client to host: `TunnelRequest::Ws` as JSON, of any number of WebSocket clients, and a [`Note`] when one has come or left. Host
//! to client: `TunnelWsResponse` as JSON. A host that does not choose the subprotocol is spoken to in bodies alone, on one
//! WebSocket for each client.

use http::HeaderMap;
use serde::{Deserialize, Serialize};

/// The name in `sec-websocket-protocol`.
pub(crate) const WS_PROTOCOL: &str = "moosicbox-tunnel";

/// The path of upstream's WebSocket, the only one that there is.
pub(crate) const WS_PATH: &str = "/ws";

/// Whether the list in `sec-websocket-protocol` has the subprotocol.
pub(crate) fn is_offered(headers: &HeaderMap) -> bool {
    let values = headers.get_all(http::header::SEC_WEBSOCKET_PROTOCOL);
    let values = values.iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|name| name.trim() == WS_PROTOCOL)
}

/// A WebSocket client has come or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Note {
    /// It is there for broadcasts, though it has said nothing yet.
    WsOpened {
        conn_id: u64,
    },
    WsClosed {
        conn_id: u64,
    },
}

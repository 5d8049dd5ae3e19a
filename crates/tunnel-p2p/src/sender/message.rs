//! What the message loop receives, and the JSON texts in it.

use bytes::Bytes;
use serde::Serialize;
use tunnel_core::moosicbox_tunnel::{TunnelAbortRequest, TunnelHttpRequest, TunnelRequest, TunnelWsRequest};

/// A message for the server's loop, with upstream's variants.
///
/// Only [`Text`](Self::Text) comes: the JSON of a `TunnelRequest`, byte for byte what the tunnel server would have sent.
/// The other variants are there so that a `match` over upstream's compiles.
#[derive(Debug)]
pub enum TunnelMessage {
    /// A `TunnelRequest` as JSON.
    Text(String),
    /// Never yielded.
    Binary(Bytes),
    /// Never yielded: pings are answered below.
    Ping(Vec<u8>),
    /// Never yielded.
    Pong(Vec<u8>),
    /// Never yielded: the receiver ends when the sender is closed.
    Close,
    /// Never yielded.
    Frame(Frame),
}

/// A raw WebSocket frame, of which there is none here.
#[derive(Debug)]
pub struct Frame(());

/// An HTTP request, its keys sorted as the tunnel server sorts them.
pub(super) fn http_text(request: TunnelHttpRequest) -> String {
    serde_json::to_value(TunnelRequest::Http(request)).unwrap_or_default().to_string()
}

/// A message of a WebSocket client, in the order of the fields.
pub(super) fn ws_text(request: TunnelWsRequest) -> String {
    to_string(&TunnelRequest::Ws(request))
}

/// Nobody waits for this response any more.
pub(super) fn abort_text(request_id: u64) -> String {
    to_string(&TunnelRequest::Abort(TunnelAbortRequest { request_id }))
}

/// These types always become JSON: they have neither maps with keys that are not text nor writers that fail.
pub(super) fn to_string(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

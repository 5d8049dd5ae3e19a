//! The JSON text messages between a tunnel server and a host.
//!
//! Those of the published crates, byte for byte, and the additions of `spec/legacy.md`: `WINDOW`, `WS_CLOSED` and `RESET`,
//! which only go to an end that has said it knows them. Pure: nothing here reads or waits.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tunnel_core::{
    Failure, FailureKind,
    moosicbox_tunnel::{
        TunnelAbortRequest, TunnelEncoding, TunnelHttpRequest, TunnelRequest, TunnelWsRequest, TunnelWsResponse,
    },
};

/// The header of the opening handshake, and of its 101, that lists the additions which an end knows.
pub const EXTENSIONS_HEADER: http::HeaderName = http::HeaderName::from_static("x-tunnel-extensions");
/// The one extension that there is.
pub const FLOW_EXTENSION: &str = "flow";
/// With the extension: the packets that each response may begin with.
pub const WINDOW_PACKETS: u32 = 32;

/// A message from the tunnel server to the host.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ToHost {
    /// A request to answer.
    Http {
        /// The request.
        request: Box<TunnelHttpRequest>,
        /// Whether the packets of the response are wanted as text ([`tunnel_core::packet::encode_text`]).
        base64: bool,
    },
    /// A message of a WebSocket client.
    Ws(TunnelWsRequest),
    /// Nobody waits for this response any more.
    Abort {
        /// The request.
        request_id: u64,
    },
    /// Addition: so many more packets of a response may be sent.
    Window {
        /// The request.
        request_id: u64,
        /// How many.
        packets: u32,
    },
    /// Addition: a WebSocket client has left.
    WsClosed {
        /// The client.
        conn_id: u64,
    },
}

/// A message from the host to the tunnel server.
#[derive(Debug)]
#[non_exhaustive]
pub enum ToServer {
    /// A message for one WebSocket client, or several.
    Ws(TunnelWsResponse),
    /// Addition: a response ends without its last packet.
    Reset {
        /// The request.
        request_id: u64,
        /// Why.
        failure: Failure,
    },
}

impl ToHost {
    /// Reads a message.
    ///
    /// The published types know the encoding `BASE64` only with a cargo feature that changes them for the whole build; it
    /// is read here without it.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let published = match serde_json::from_str::<TunnelRequest>(text) {
            Ok(request) => return Ok(Self::from_published(request)),
            Err(error) => error,
        };
        if let Ok(addition) = serde_json::from_str::<HostAddition>(text) {
            return Ok(match addition {
                HostAddition::Window { request_id, packets } => Self::Window { request_id, packets },
                HostAddition::WsClosed { conn_id } => Self::WsClosed { conn_id },
            });
        }
        without_base64(text).ok_or(MessageError(published))
    }

    /// Writes a message as the published tunnel server does: HTTP requests with sorted keys, all else in the order of the
    /// fields.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Http { request, base64 } => {
                let mut value = to_value(&TunnelRequest::Http((**request).clone()));
                if *base64 {
                    value["encoding"] = Value::from("BASE64");
                }
                value.to_string()
            }
            Self::Ws(request) => to_string(&TunnelRequest::Ws(request.clone())),
            Self::Abort { request_id } => {
                to_string(&TunnelRequest::Abort(TunnelAbortRequest { request_id: *request_id }))
            }
            Self::Window { request_id, packets } => {
                to_string(&HostAddition::Window { request_id: *request_id, packets: *packets })
            }
            Self::WsClosed { conn_id } => to_string(&HostAddition::WsClosed { conn_id: *conn_id }),
        }
    }

    fn from_published(request: TunnelRequest) -> Self {
        match request {
            TunnelRequest::Http(request) => {
                let base64 = request.encoding != TunnelEncoding::Binary;
                Self::Http { request: Box::new(request), base64 }
            }
            TunnelRequest::Ws(request) => Self::Ws(request),
            TunnelRequest::Abort(request) => Self::Abort { request_id: request.request_id },
        }
    }
}

impl ToServer {
    /// Reads a message. A kind of failure that is not known here counts as [`FailureKind::Internal`].
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let published = match serde_json::from_str::<TunnelWsResponse>(text) {
            Ok(response) => return Ok(Self::Ws(response)),
            Err(error) => error,
        };
        match serde_json::from_str::<ServerAddition>(text) {
            Ok(ServerAddition::Reset { request_id, kind, message }) => {
                let kind = FailureKind::ALL.into_iter().find(|known| known.name() == kind);
                let failure = Failure::new(kind.unwrap_or(FailureKind::Internal), message.into_owned());
                Ok(Self::Reset { request_id, failure })
            }
            Err(_) => Err(MessageError(published)),
        }
    }

    /// Writes a message, in the order of the fields.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Ws(response) => to_string(response),
            Self::Reset { request_id, failure } => to_string(&ServerAddition::Reset {
                request_id: *request_id,
                kind: failure.kind().name().into(),
                message: failure.message().into(),
            }),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
enum HostAddition {
    Window { request_id: u64, packets: u32 },
    WsClosed { conn_id: u64 },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
enum ServerAddition<'a> {
    Reset { request_id: u64, kind: Cow<'a, str>, message: Cow<'a, str> },
}

/// Reads an HTTP request that wants its packets as text.
fn without_base64(text: &str) -> Option<ToHost> {
    let mut value = serde_json::from_str::<Value>(text).ok()?;
    let encoding = value.get_mut("encoding").filter(|encoding| **encoding == "BASE64")?;
    *encoding = Value::from("BINARY");
    match serde_json::from_value(value).ok()? {
        TunnelRequest::Http(request) => Some(ToHost::Http { request: Box::new(request), base64: true }),
        _ => None,
    }
}

/// These types always become JSON: they have neither maps with keys that are not text nor writers that fail.
fn to_string(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

fn to_value(message: &impl Serialize) -> Value {
    serde_json::to_value(message).unwrap_or_default()
}

/// A text that is no message. The other end made it; the connection may go on.
#[derive(Debug, thiserror::Error)]
#[error("the text is not a message of the tunnel: {0}")]
pub struct MessageError(#[source] serde_json::Error);

//! The messages of the control stream, and `FAIL`.

use bincode::{BorrowDecode, Encode};
use bytes::BytesMut;
use tunnel_core::{Failure, FailureKind};

use super::{
    WireError,
    frame::{FrameType, put_frame},
};
use crate::codec;

/// The longest sentence that `FAIL` carries, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024;

/// The client's first message on every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct Hello<'a> {
    /// The client's minor version.
    pub(crate) minor: u16,
    /// Features beyond the minor version: [`CAPABILITIES`](super::CAPABILITIES).
    pub(crate) capabilities: u64,
    /// What this connection carries.
    pub(crate) role: Role,
    /// Joins the connections of one client; random.
    pub(crate) session: u128,
    /// The ticket's secret.
    pub(crate) credential: &'a [u8],
    /// The client id that the client expects the host to serve, if it knows one.
    pub(crate) client_id: Option<&'a str>,
    /// Name and version, for logs.
    pub(crate) software: &'a str,
}

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) enum Role {
    /// Requests, WebSockets and small bodies.
    Main,
    /// Large bodies, so that they do not delay the small ones.
    Bulk,
}

/// The host's answer to `HELLO`: the client is authorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct Welcome<'a> {
    /// The host's minor version; the smaller of the two counts.
    pub(crate) minor: u16,
    /// Features beyond the minor version: [`CAPABILITIES`](super::CAPABILITIES).
    pub(crate) capabilities: u64,
    /// HTTP exchanges that the client may have in flight on this connection.
    pub(crate) max_requests: u32,
    /// WebSockets that the client may have open on this connection.
    pub(crate) max_websockets: u32,
    /// The client id that the host serves, if it has one.
    pub(crate) client_id: Option<&'a str>,
    /// Name and version, for logs.
    pub(crate) software: &'a str,
}

/// Asks for a `PONG` with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct Ping {
    pub(crate) number: u64,
}

/// No new streams, please: the sender is about to close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct GoAway<'a> {
    /// Why, for logs.
    pub(crate) reason: &'a str,
}

/// Allows the receiver to send that many further `DATA` or WebSocket frames on a stream of this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct Credit {
    pub(crate) stream: u64,
    pub(crate) frames: u32,
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct Fail<'a> {
    pub(crate) code: u16,
    pub(crate) message: &'a str,
}

/// Appends a control frame.
pub(crate) fn put(buffer: &mut BytesMut, kind: FrameType, message: &impl Encode) {
    put_frame(buffer, kind, |buffer| codec::encode(message, buffer));
}

/// Appends a `FAIL` frame.
pub(crate) fn put_fail(buffer: &mut BytesMut, failure: &Failure) {
    let message = failure.message();
    let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    put(buffer, FrameType::Fail, &Fail { code: failure.kind().code(), message });
}

/// Decodes the payload of a control frame.
pub(crate) fn parse<'a, T: BorrowDecode<'a, ()>>(kind: FrameType, payload: &'a [u8]) -> Result<T, WireError> {
    codec::decode(payload).map_err(|error| WireError::Malformed { frame: kind.name(), message: error.to_string() })
}

/// Decodes a `FAIL` frame. A code of a later version counts as an internal failure of the host.
pub(crate) fn parse_fail(payload: &[u8]) -> Result<Failure, WireError> {
    let fail: Fail<'_> = parse(FrameType::Fail, payload)?;
    let kind = FailureKind::from_code(fail.code.into()).unwrap_or(FailureKind::Internal);
    Ok(Failure::new(kind, fail.message.to_owned()))
}

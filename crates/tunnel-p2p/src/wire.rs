//! The wire format of `tunnel-p2p/1` (`spec/wire.md`), without any I/O.

pub(crate) mod continuation;
pub(crate) mod control;
pub(crate) mod decoder;
pub(crate) mod frame;
pub(crate) mod head;

/// The TLS ALPN. Its number is the major version of the protocol.
pub const ALPN: &[u8] = b"tunnel-p2p/1";

/// The minor version that this build speaks.
pub const MINOR: u16 = 0;

/// A bit of `capabilities`: who sets it reads bodies that are spread over several streams.
pub(crate) const SPREAD_BODIES: u64 = 1;

/// A bit of `capabilities`: who sets it reads credits on streams of their own.
pub(crate) const CREDIT_STREAMS: u64 = 2;

/// What this build can do.
pub(crate) const CAPABILITIES: u64 = SPREAD_BODIES | CREDIT_STREAMS;

/// What a stream is for: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum StreamKind {
    /// The control stream: the first bidirectional stream of every connection.
    Control = 0,
    /// One HTTP exchange.
    Http = 1,
    /// One WebSocket.
    WebSocket = 2,
    /// The rest of a body, on a unidirectional stream of the bulk connection.
    Bulk = 3,
    /// A question whether the other side is there; answered with the same byte.
    Probe = 4,
    /// As [`Bulk`](Self::Bulk), one of several streams of the body.
    BulkPart = 5,
    /// Credits, on a unidirectional stream of the bulk connection.
    Credits = 6,
}

impl StreamKind {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Control, Self::Http, Self::WebSocket, Self::Bulk, Self::Probe, Self::BulkPart, Self::Credits]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Bytes that are not the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A stream began with a byte that names no kind of stream, or the wrong kind in this place.
    #[error("unexpected stream kind {0:#04x}")]
    StreamKind(u8),
    /// A frame type that this version must understand and does not.
    #[error("unknown frame type {0:#04x}")]
    FrameType(u8),
    /// A known frame in a place where it has no meaning.
    #[error("unexpected {0} frame")]
    UnexpectedFrame(&'static str),
    /// A frame that is longer than its type allows.
    #[error("{frame} frame of {bytes} bytes is over the limit of {limit}")]
    FrameTooLong {
        /// The frame's name.
        frame: &'static str,
        /// Its declared length.
        bytes: u32,
        /// The limit.
        limit: u32,
    },
    /// A `DATA` frame without data.
    #[error("empty DATA frame")]
    EmptyData,
    /// The stream ended inside a frame, or before the frame that ends the message.
    #[error("stream ended in the middle of a message")]
    Truncated,
    /// The body has not the length that its head declared.
    #[error("body has {actual} bytes instead of {declared}")]
    Length {
        /// What the head said.
        declared: u64,
        /// What came.
        actual: u64,
    },
    /// A part of a body that cannot be, or that contradicts its other parts.
    #[error("part {index} of {count} of a body has no place")]
    Part {
        /// Its turn, from 0 on.
        index: u8,
        /// How many parts it says there are.
        count: u8,
    },
    /// The payload of a frame does not decode.
    #[error("malformed {frame} frame: {message}")]
    Malformed {
        /// The frame's name.
        frame: &'static str,
        /// What the decoder said.
        message: String,
    },
}

#[cfg(test)]
mod tests;

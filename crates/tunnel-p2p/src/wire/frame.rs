//! Frame types, their limits, and the five-byte header.

use bytes::{BufMut, Bytes, BytesMut};

use super::WireError;

/// Type (1 byte), length of the payload (4 bytes, big endian).
pub(crate) const HEADER_BYTES: usize = 5;

/// The largest `DATA` frame. Data is passed on piece by piece, so this bounds no memory, only the work of skipping.
pub(crate) const DATA_BYTES_MAX: u32 = 1 << 20;

/// The largest `HEAD`: hyper takes 400 KiB of header section by default, common servers 8 to 64 KiB.
pub(crate) const HEAD_BYTES_MAX: u32 = 128 << 10;

/// The largest frame of the other kinds that are held in memory as a whole.
const SMALL_BYTES_MAX: u32 = 16 << 10;

/// Frame types with this bit are skipped when they are unknown; others are an error.
const OPTIONAL_BIT: u8 = 0x80;

macro_rules! frame_types {
    ($($(#[$doc:meta])* $name:ident = $byte:literal, $label:literal, $limit:expr;)*) => {
        /// The type of a frame.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub(crate) enum FrameType { $($(#[$doc])* $name = $byte,)* }

        impl FrameType {
            pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Self::$name),)* _ => None }
            }

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// The largest payload in bytes. WebSocket messages have a configured limit below this one.
            const fn bytes_max(self) -> u32 {
                match self { $(Self::$name => $limit,)* }
            }
        }
    };
}

frame_types! {
    /// Head of a request or a response.
    Head = 0x01, "HEAD", HEAD_BYTES_MAX;
    /// A piece of a body.
    Data = 0x02, "DATA", DATA_BYTES_MAX;
    /// The end of a body, with its trailers.
    End = 0x03, "END", HEAD_BYTES_MAX;
    /// In place of a response head: why there is none.
    Fail = 0x04, "FAIL", SMALL_BYTES_MAX;
    /// The rest of this direction follows on the bulk connection.
    Moved = 0x05, "MOVED", 0;
    /// Head of a request in the tunnel's own form (JSON).
    TunnelHead = 0x06, "TUNNEL_HEAD", DATA_BYTES_MAX;
    /// WebSocket messages.
    WsText = 0x10, "WS_TEXT", u32::MAX;
    WsBinary = 0x11, "WS_BINARY", u32::MAX;
    WsPing = 0x12, "WS_PING", 125;
    WsPong = 0x13, "WS_PONG", 125;
    WsClose = 0x14, "WS_CLOSE", 125;
    /// Control stream.
    Hello = 0x20, "HELLO", SMALL_BYTES_MAX;
    Welcome = 0x21, "WELCOME", SMALL_BYTES_MAX;
    Ping = 0x22, "PING", SMALL_BYTES_MAX;
    Pong = 0x23, "PONG", SMALL_BYTES_MAX;
    GoAway = 0x24, "GOAWAY", SMALL_BYTES_MAX;
    Credit = 0x25, "CREDIT", SMALL_BYTES_MAX;
}

/// A frame header as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// A frame that this version knows.
    Known(FrameType, u32),
    /// A frame to skip.
    Optional(u32),
}

impl Header {
    pub(crate) fn parse(bytes: [u8; HEADER_BYTES], ws_message_bytes_max: u32) -> Result<Self, WireError> {
        let [byte, length @ ..] = bytes;
        let length = u32::from_be_bytes(length);
        let (name, limit) = match FrameType::from_byte(byte) {
            Some(kind @ (FrameType::WsText | FrameType::WsBinary)) => (kind.name(), ws_message_bytes_max),
            Some(kind) => (kind.name(), kind.bytes_max()),
            None if byte & OPTIONAL_BIT != 0 => ("optional", SMALL_BYTES_MAX),
            None => return Err(WireError::FrameType(byte)),
        };
        if length > limit {
            return Err(WireError::FrameTooLong { frame: name, bytes: length, limit });
        }
        match FrameType::from_byte(byte) {
            Some(FrameType::Data) if length == 0 => Err(WireError::EmptyData),
            Some(kind) => Ok(Self::Known(kind, length)),
            None => Ok(Self::Optional(length)),
        }
    }
}

/// Appends a header.
///
/// # Panics
///
/// When `length` does not fit 32 bits; callers check against the limits first.
pub(crate) fn put_header(buffer: &mut BytesMut, kind: FrameType, length: usize) {
    buffer.put_u8(kind as u8);
    buffer.put_u32(u32::try_from(length).expect("frame lengths are checked before"));
}

/// Appends a whole frame whose payload `write` appends.
pub(crate) fn put_frame(buffer: &mut BytesMut, kind: FrameType, write: impl FnOnce(&mut BytesMut)) {
    let start = buffer.len();
    put_header(buffer, kind, 0);
    write(buffer);
    let length = u32::try_from(buffer.len() - start - HEADER_BYTES).expect("frame lengths are checked before");
    buffer[start + 1..start + HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
}

/// The header of a `DATA` frame.
pub(crate) fn data_header(length: usize) -> Bytes {
    let mut buffer = BytesMut::with_capacity(HEADER_BYTES);
    put_header(&mut buffer, FrameType::Data, length);
    buffer.freeze()
}

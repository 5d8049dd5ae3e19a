//! The first bytes of a stream that continues a body.

use bytes::{BufMut, Bytes, BytesMut};

use super::{StreamKind, WireError};

/// The most streams over which a body is spread.
pub(crate) const PARTS_MAX: usize = 8;

/// The bytes after the kind byte: the exchange, and for a part its index and the count.
const WHOLE_BYTES: usize = 8;
const PART_BYTES: usize = 10;

/// What a stream on the bulk connection continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Continuation {
    /// The exchange's stream on the main connection.
    pub(crate) exchange: u64,
    /// The turn of this stream among those of the body, from 0 on.
    pub(crate) index: u8,
    /// The streams of the body; 1 if it is not spread.
    pub(crate) count: u8,
}

impl Continuation {
    /// How many bytes follow the kind byte.
    pub(crate) const fn bytes_after(kind: StreamKind) -> Result<usize, WireError> {
        match kind {
            StreamKind::Bulk => Ok(WHOLE_BYTES),
            StreamKind::BulkPart => Ok(PART_BYTES),
            StreamKind::Control
            | StreamKind::Http
            | StreamKind::WebSocket
            | StreamKind::Probe
            | StreamKind::Credits => Err(WireError::StreamKind(kind as u8)),
        }
    }

    /// Reads the bytes after the kind byte.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let (exchange, place) = bytes.split_first_chunk().ok_or(WireError::Truncated)?;
        let exchange = u64::from_be_bytes(*exchange);
        match *place {
            [] => Ok(Self { exchange, index: 0, count: 1 }),
            [index, count] if index < count && (2..=PARTS_MAX).contains(&usize::from(count)) => {
                Ok(Self { exchange, index, count })
            }
            [index, count] => Err(WireError::Part { index, count }),
            _ => Err(WireError::Truncated),
        }
    }

    /// The first bytes of the stream.
    pub(crate) fn preface(self) -> Bytes {
        let mut buffer = BytesMut::with_capacity(1 + PART_BYTES);
        let kind = if self.count == 1 { StreamKind::Bulk } else { StreamKind::BulkPart };
        buffer.put_u8(kind as u8);
        buffer.put_u64(self.exchange);
        if kind == StreamKind::BulkPart {
            buffer.put_slice(&[self.index, self.count]);
        }
        buffer.freeze()
    }
}

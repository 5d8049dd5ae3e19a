//! The binary form.

use std::{collections::BTreeMap, fmt};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use moosicbox_tunnel::TunnelResponse;

/// Reads one packet. The body shares memory with `packet`; nothing is copied.
///
/// Any length is accepted: [`PACKET_BYTES_MAX`](super::PACKET_BYTES_MAX) binds who sends, and whoever receives limits
/// its frames. Packet ids other than 1 have no status and no headers.
pub fn decode(mut packet: Bytes) -> Result<TunnelResponse, PacketError> {
    let request_id = u64::from_be_bytes(take(&mut packet, PacketField::RequestId)?);
    let packet_id = u32::from_be_bytes(take(&mut packet, PacketField::PacketId)?);
    let [last] = take(&mut packet, PacketField::Last)?;
    let (status, headers) = if packet_id == 1 {
        let status = u16::from_be_bytes(take(&mut packet, PacketField::Status)?);
        let wanted = u32::from_be_bytes(take(&mut packet, PacketField::HeadersLength)?);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        if packet.len() < wanted {
            return Err(PacketError::Short { field: PacketField::Headers, wanted, had: packet.len() });
        }
        let headers: BTreeMap<String, String> =
            serde_json::from_slice(&packet.split_to(wanted)).map_err(PacketError::Headers)?;
        (Some(status), Some(headers))
    } else {
        (None, None)
    };
    Ok(TunnelResponse { request_id, packet_id, last: last == 1, bytes: packet, status, headers })
}

/// Writes one packet into one piece of memory, copying the body once. [`encode_head`] avoids the copy.
pub fn encode(packet: &TunnelResponse) -> Result<Bytes, PacketError> {
    let mut bytes = write_head(packet, packet.bytes.len())?;
    bytes.put_slice(&packet.bytes);
    Ok(bytes.freeze())
}

/// Writes everything but the body. The packet is these bytes followed by `packet.bytes`.
pub fn encode_head(packet: &TunnelResponse) -> Result<Bytes, PacketError> {
    Ok(write_head(packet, 0)?.freeze())
}

fn write_head(packet: &TunnelResponse, reserve: usize) -> Result<BytesMut, PacketError> {
    let (status, headers) = match (packet.packet_id, packet.status, &packet.headers) {
        (1, Some(status), Some(headers)) => (status, serde_json::to_vec(headers).map_err(PacketError::Headers)?),
        (1, _, _) => return Err(PacketError::HeadMissing),
        (_, None, None) => {
            let mut bytes = BytesMut::with_capacity(13 + reserve);
            write_ids(&mut bytes, packet);
            return Ok(bytes);
        }
        (packet_id, _, _) => return Err(PacketError::HeadMisplaced { packet_id }),
    };
    let length =
        u32::try_from(headers.len()).map_err(|_| PacketError::HeadersTooLong { header_bytes: headers.len() })?;
    let mut bytes = BytesMut::with_capacity(19 + headers.len() + reserve);
    write_ids(&mut bytes, packet);
    bytes.put_u16(status);
    bytes.put_u32(length);
    bytes.put_slice(&headers);
    Ok(bytes)
}

fn write_ids(bytes: &mut BytesMut, packet: &TunnelResponse) {
    bytes.put_u64(packet.request_id);
    bytes.put_u32(packet.packet_id);
    bytes.put_u8(u8::from(packet.last));
}

fn take<const N: usize>(packet: &mut Bytes, field: PacketField) -> Result<[u8; N], PacketError> {
    match packet.first_chunk::<N>().copied() {
        Some(array) => {
            packet.advance(N);
            Ok(array)
        }
        None => Err(PacketError::Short { field, wanted: N, had: packet.len() }),
    }
}

/// Why bytes are not a packet, or a packet cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Sender: the packet ends inside a field.
    #[error("the packet ends inside its {field}: {wanted} bytes wanted, {had} there")]
    Short {
        /// The field that is cut.
        field: PacketField,
        /// The length of the field in bytes.
        wanted: usize,
        /// The bytes that are left for it.
        had: usize,
    },
    /// Sender: the headers of packet 1 are not a JSON object of strings.
    #[error("the headers of the packet are not a JSON object of strings")]
    Headers(#[source] serde_json::Error),
    /// Local: packet 1 needs a status and headers.
    #[error("packet 1 has no status or no headers")]
    HeadMissing,
    /// Local: only packet 1 can carry a status and headers.
    #[error("packet {packet_id} has a status or headers, which only packet 1 can carry")]
    HeadMisplaced {
        /// The id of the packet.
        packet_id: u32,
    },
    /// Local: the length field has 32 bits.
    #[error("the headers are {header_bytes} bytes long, more than 32 bits can say")]
    HeadersTooLong {
        /// The length of the headers as JSON, in bytes.
        header_bytes: usize,
    },
}

/// The fields of a packet before its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketField {
    /// 8 bytes.
    RequestId,
    /// 4 bytes.
    PacketId,
    /// 1 byte.
    Last,
    /// 2 bytes, in packet 1.
    Status,
    /// 4 bytes, in packet 1.
    HeadersLength,
    /// As many bytes as the field before says, in packet 1.
    Headers,
}

impl fmt::Display for PacketField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestId => "request id",
            Self::PacketId => "packet id",
            Self::Last => "last flag",
            Self::Status => "status",
            Self::HeadersLength => "header length",
            Self::Headers => "headers",
        })
    }
}

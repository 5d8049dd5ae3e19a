//! Packets, as the messages of the WebSocket that carry them.

use bytes::Bytes;
use tunnel_core::{
    Failure, FailureKind, WsMessage,
    packet::{PACKET_BYTES_MAX, TunnelResponse, encode, encode_text},
};

/// Writes the packets of one response.
pub(super) enum Encoder {
    /// One binary message for each packet.
    Binary,
    /// Text messages: Base64 makes a packet a third longer, so a long one becomes two, and the packets are numbered anew.
    Text {
        /// How many were written.
        written: u32,
    },
}

impl Encoder {
    pub(super) const fn new(base64: bool) -> Self {
        if base64 { Self::Text { written: 0 } } else { Self::Binary }
    }

    /// The messages of one packet, in order. Packets come in order, too.
    pub(super) fn encode(&mut self, mut packet: TunnelResponse) -> Result<Vec<WsMessage>, Failure> {
        let written = match self {
            Self::Binary => return Ok(vec![WsMessage::Binary(encode(&packet).map_err(failed)?)]),
            Self::Text { written } => written,
        };
        let mut messages = Vec::new();
        let (mut rest, last) = (std::mem::take(&mut packet.bytes), packet.last);
        loop {
            packet.packet_id = written.checked_add(1).ok_or_else(|| failed("too many packets"))?;
            let head = encode_text(&packet).map_err(failed)?.len();
            // Four characters for three bytes.
            let room = PACKET_BYTES_MAX.saturating_sub(head) / 4 * 3;
            if head > PACKET_BYTES_MAX || (room == 0 && !rest.is_empty()) {
                let message = format!("the response headers do not fit into a text of {PACKET_BYTES_MAX} bytes");
                return Err(Failure::new(FailureKind::TooLarge, message));
            }
            packet.bytes = rest.split_to(rest.len().min(room));
            packet.last = last && rest.is_empty();
            messages.push(WsMessage::Text(Bytes::from(encode_text(&packet).map_err(failed)?)));
            *written = packet.packet_id;
            if rest.is_empty() {
                return Ok(messages);
            }
            packet.bytes = Bytes::new();
            (packet.status, packet.headers) = (None, None);
        }
    }

    /// The packet that ends a response of which so many packets were written.
    pub(super) fn end(&mut self, request_id: u64, written: u32) -> Result<Vec<WsMessage>, Failure> {
        let packet_id = written.checked_add(1).ok_or_else(|| failed("too many packets"))?;
        let bytes = Bytes::new();
        self.encode(TunnelResponse { request_id, packet_id, last: true, bytes, status: None, headers: None })
    }
}

/// Packets that were cut here can be written.
fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Internal, format!("a packet cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tunnel_core::packet::decode_text;

    use super::*;

    #[test]
    fn texts_fit_the_frames_of_the_tunnel_server_and_are_numbered_anew() {
        let mut encoder = Encoder::new(true);
        let packet = |packet_id, last| TunnelResponse {
            request_id: u64::MAX,
            packet_id,
            last,
            bytes: Bytes::from(vec![b'0' + u8::from(last); 65_000]),
            status: (packet_id == 1).then_some(200),
            headers: (packet_id == 1).then(|| BTreeMap::from([("a".to_owned(), "b".repeat(400))])),
        };
        let mut messages = encoder.encode(packet(1, false)).unwrap();
        messages.extend(encoder.encode(packet(2, true)).unwrap());
        let mut bytes = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            let WsMessage::Text(text) = message else { panic!("{message:?}") };
            assert!(text.len() <= PACKET_BYTES_MAX);
            let packet = decode_text(std::str::from_utf8(text).unwrap()).unwrap();
            assert_eq!(packet.packet_id as usize, index + 1);
            assert_eq!(packet.last, index + 1 == messages.len());
            bytes.extend_from_slice(&packet.bytes);
        }
        assert_eq!(bytes, [vec![b'0'; 65_000], vec![b'1'; 65_000]].concat());
        assert_eq!(messages.len(), 4);
    }

    #[test]
    fn headers_that_fit_no_text_are_an_error() {
        let headers = Some(BTreeMap::from([("a".to_owned(), "b".repeat(PACKET_BYTES_MAX))]));
        let packet =
            TunnelResponse { request_id: 1, packet_id: 1, last: true, bytes: Bytes::new(), status: Some(200), headers };
        let mut encoder = Encoder::new(true);
        assert_eq!(encoder.encode(packet).unwrap_err().kind(), FailureKind::TooLarge);
        assert!(matches!(encoder, Encoder::Text { written: 0 }), "another response may take its place");
    }
}

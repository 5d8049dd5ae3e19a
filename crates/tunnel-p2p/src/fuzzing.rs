//! What the fuzz target and the corpus test run. Not part of the API.

use bytes::{Bytes, BytesMut};
use data_encoding::BASE32_NOPAD_NOCASE;
use http::{HeaderMap, request::Parts};
use sha2::{Digest, Sha256};
use tunnel_core::moosicbox_tunnel::TunnelHttpRequest;

use crate::{
    Ticket,
    wire::{
        StreamKind, WireError,
        continuation::Continuation,
        control::{self, Credit, GoAway, Hello, Ping, Welcome},
        decoder::{Decoder, Event},
        frame::{FrameType, HEADER_BYTES},
        head::{self, BodySize},
    },
};

/// Small, so that the limit is within a fuzzer's reach.
const WS_MESSAGE_BYTES_MAX: u32 = 4096;

/// Decodes `bytes` as a stream, whole and in pieces, parses every payload, and tries the stream as a ticket.
///
/// The first byte, modulo 16, is the number of bytes that follow it and say where to cut: each is the length of a piece,
/// in turn. The rest is the stream with its kind byte.
///
/// # Panics
///
/// When pieces give something else than the whole, or an accepted message does not survive being written again.
pub fn decode_frames(bytes: &[u8]) {
    let Some((count, rest)) = bytes.split_first() else { return };
    let (lengths, stream) = rest.split_at(rest.len().min(usize::from(count % 16)));
    let whole = Outcome::read([Bytes::copy_from_slice(stream)]);
    assert_eq!(whole, Outcome::read(pieces(stream, lengths)), "the pieces change the meaning");
    for (kind, payload) in &whole.frames {
        if *kind != FrameType::Data {
            parse(*kind, payload);
        }
    }
    parse_ticket(stream);
}

/// All that a stream says, independent of its pieces.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    kind: Option<StreamKind>,
    continuation: Option<Continuation>,
    /// `DATA` joined per frame; the last one may be cut.
    frames: Vec<(FrameType, Bytes)>,
    at_boundary: bool,
    error: Option<WireError>,
}

impl Outcome {
    fn read(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let mut decoder = Decoder::new(WS_MESSAGE_BYTES_MAX);
        let mut this = Self::default();
        let mut data = BytesMut::new();
        for piece in pieces {
            decoder.push(piece);
            if let Err(error) = this.advance(&mut decoder, &mut data) {
                this.error = Some(error);
                break;
            }
        }
        this.at_boundary = this.error.is_none() && decoder.is_at_boundary();
        if !data.is_empty() {
            this.frames.push((FrameType::Data, data.freeze()));
        }
        this
    }

    fn advance(&mut self, decoder: &mut Decoder, data: &mut BytesMut) -> Result<(), WireError> {
        if self.kind.is_none() {
            self.kind = decoder.stream_kind()?;
        }
        let Some(kind) = self.kind else { return Ok(()) };
        if matches!(kind, StreamKind::Bulk | StreamKind::BulkPart) && self.continuation.is_none() {
            self.continuation = decoder.continuation(kind)?;
            let Some(continuation) = self.continuation else { return Ok(()) };
            assert_eq!(Continuation::parse(&continuation.preface()[1..]), Ok(continuation));
        }
        while let Some(event) = decoder.next()? {
            match event {
                Event::Data { bytes, last } => {
                    assert!(!bytes.is_empty(), "an empty piece");
                    data.extend_from_slice(&bytes);
                    if last {
                        self.frames.push((FrameType::Data, data.split().freeze()));
                    }
                }
                Event::Frame(kind, payload) => self.frames.push((kind, payload)),
            }
        }
        Ok(())
    }
}

fn pieces<'a>(mut stream: &'a [u8], lengths: &'a [u8]) -> impl Iterator<Item = Bytes> + 'a {
    let mut lengths = lengths.iter().map(|length| usize::from(*length).max(1)).cycle();
    std::iter::from_fn(move || {
        let length = lengths.next().unwrap_or(usize::MAX).min(stream.len());
        let (piece, rest) = stream.split_at(length);
        stream = rest;
        (length > 0).then(|| Bytes::copy_from_slice(piece))
    })
}

fn parse(kind: FrameType, payload: &Bytes) {
    match kind {
        FrameType::Head => {
            if let Ok((parts, body)) = head::parse_request(payload) {
                rewrite_request(&parts, body);
            }
            if let Ok((status, headers, body)) = head::parse_response(payload) {
                let again = rewritten(|buffer| head::put_response(buffer, status, &headers, body));
                assert_eq!(head::parse_response(&again), Ok((status, headers, body)));
            }
        }
        FrameType::End => {
            if let Ok(trailers) = head::parse_end(payload) {
                let again = rewritten(|buffer| head::put_end(buffer, &trailers));
                assert_eq!(head::parse_end(&again), Ok::<HeaderMap, _>(trailers));
            }
        }
        FrameType::Fail => {
            control::parse_fail(payload).ok();
        }
        FrameType::TunnelHead => {
            serde_json::from_slice::<TunnelHttpRequest>(payload).ok();
        }
        FrameType::Hello => {
            control::parse::<Hello<'_>>(kind, payload).ok();
        }
        FrameType::Welcome => {
            control::parse::<Welcome<'_>>(kind, payload).ok();
        }
        FrameType::Ping | FrameType::Pong => {
            control::parse::<Ping>(kind, payload).ok();
        }
        FrameType::GoAway => {
            control::parse::<GoAway<'_>>(kind, payload).ok();
        }
        FrameType::Credit => {
            control::parse::<Credit>(kind, payload).ok();
        }
        FrameType::Data
        | FrameType::Moved
        | FrameType::WsText
        | FrameType::WsBinary
        | FrameType::WsPing
        | FrameType::WsPong
        | FrameType::WsClose => {}
    }
}

fn rewrite_request(parts: &Parts, body: BodySize) {
    let again = rewritten(|buffer| head::put_request(buffer, &parts.method, &parts.uri, &parts.headers, body));
    let (read, size) = head::parse_request(&again).expect("what was accepted once is accepted again");
    assert_eq!((&read.method, &read.uri, &read.headers, size), (&parts.method, &parts.uri, &parts.headers, body));
}

fn rewritten(put: impl FnOnce(&mut BytesMut) -> Result<(), head::HeadTooLong>) -> Bytes {
    let mut buffer = BytesMut::new();
    put(&mut buffer).expect("what came in a frame fits a frame");
    buffer.freeze().slice(HEADER_BYTES..)
}

/// As a ticket's text, and as the content of a ticket whose checksum is right.
fn parse_ticket(bytes: &[u8]) {
    String::from_utf8_lossy(bytes).parse::<Ticket>().ok();
    // The checksum of the second kind covers its prefix.
    for (prefix, checked) in [("tp2p1", ""), ("tp2pk1", "tp2pk1")] {
        let sum = Sha256::new().chain_update(checked).chain_update(bytes).finalize();
        let content = [bytes, &sum[..4]].concat();
        if let Ok(ticket) = format!("{prefix}{}", BASE32_NOPAD_NOCASE.encode(&content)).parse::<Ticket>() {
            assert_eq!(ticket.to_string().parse(), Ok(ticket));
        }
    }
}

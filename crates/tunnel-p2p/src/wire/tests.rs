//! Tests of the wire format: structures, the decoder, its limits, and the golden vectors of `spec/vectors/wire.json`.

use bytes::{Bytes, BytesMut};

use super::{
    WireError,
    decoder::{Decoder, Event},
    frame::{FrameType, put_frame},
};

mod limits;
mod stream;
mod structures;
mod vectors;

/// The limit of WebSocket messages in these tests.
const WS_MESSAGE_BYTES_MAX: u32 = 64 << 10;

/// A frame with this payload.
fn frame(kind: FrameType, payload: &[u8]) -> Bytes {
    let mut buffer = BytesMut::new();
    put_frame(&mut buffer, kind, |buffer| buffer.extend_from_slice(payload));
    buffer.freeze()
}

/// All events of these pieces, then where the stream stands.
fn events(pieces: impl IntoIterator<Item = Bytes>) -> (Vec<Event>, Result<bool, WireError>) {
    let mut decoder = Decoder::new(WS_MESSAGE_BYTES_MAX);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Err(error)),
            }
        }
    }
    (events, Ok(decoder.is_at_boundary()))
}

/// The payload of the only frame in `bytes`.
fn payload(bytes: impl Into<Bytes>) -> (FrameType, Bytes) {
    match events([bytes.into()]) {
        (events, Ok(true)) => match &events[..] {
            [Event::Frame(kind, payload)] => (*kind, payload.clone()),
            [Event::Data { bytes, last: true }] => (FrameType::Data, bytes.clone()),
            other => panic!("not one frame: {other:?}"),
        },
        other => panic!("not one frame: {other:?}"),
    }
}

//! Turns the pieces of a stream into frames. Pure: no I/O, no clock.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::{
    StreamKind, WireError,
    continuation::Continuation,
    frame::{FrameType, HEADER_BYTES, Header},
};

/// What a stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A piece of a `DATA` frame, not copied; `last` marks the end of the frame.
    Data { bytes: Bytes, last: bool },
    /// Any other frame, whole.
    Frame(FrameType, Bytes),
}

/// Decodes one direction of one stream. Holds at most one frame besides the pieces that were pushed.
#[derive(Debug)]
pub(crate) struct Decoder {
    pieces: VecDeque<Bytes>,
    header: Partial,
    state: State,
    ws_message_bytes_max: u32,
}

#[derive(Debug, Default)]
struct Partial {
    bytes: [u8; HEADER_BYTES],
    filled: usize,
}

#[derive(Debug)]
enum State {
    Header,
    Data { remaining: usize },
    Payload { kind: FrameType, length: usize, collected: BytesMut },
    Skip { remaining: usize },
}

impl Decoder {
    pub(crate) fn new(ws_message_bytes_max: u32) -> Self {
        Self { pieces: VecDeque::new(), header: Partial::default(), state: State::Header, ws_message_bytes_max }
    }

    /// Adds the next piece of the stream.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    /// Takes the stream's kind byte, once there is one. Only before the first frame.
    pub(crate) fn stream_kind(&mut self) -> Result<Option<StreamKind>, WireError> {
        let Some(byte) = self.take(1).map(|piece| piece[0]) else { return Ok(None) };
        StreamKind::from_byte(byte).map(Some).ok_or(WireError::StreamKind(byte))
    }

    /// Takes what a stream of this kind says of the body that it continues, once that is there. Only before the first
    /// frame.
    pub(crate) fn continuation(&mut self, kind: StreamKind) -> Result<Option<Continuation>, WireError> {
        let length = Continuation::bytes_after(kind)?;
        if self.pieces.iter().map(Bytes::len).sum::<usize>() < length {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let Some(piece) = self.take(length - bytes.len()) else { return Ok(None) };
            bytes.extend_from_slice(&piece);
        }
        Continuation::parse(&bytes).map(Some)
    }

    /// The next event, or `None` if more pieces are needed. After an error the decoder is of no more use.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, WireError> {
        loop {
            match &mut self.state {
                State::Header => {
                    let Some(header) = self.next_header()? else { return Ok(None) };
                    self.state = match header {
                        Header::Known(FrameType::Data, length) => State::Data { remaining: length as usize },
                        Header::Known(kind, length) => {
                            State::Payload { kind, length: length as usize, collected: BytesMut::new() }
                        }
                        Header::Optional(length) => State::Skip { remaining: length as usize },
                    };
                }
                State::Data { remaining } => {
                    let wanted = *remaining;
                    let Some(bytes) = self.take(wanted) else { return Ok(None) };
                    let last = bytes.len() == wanted;
                    self.state = if last { State::Header } else { State::Data { remaining: wanted - bytes.len() } };
                    return Ok(Some(Event::Data { bytes, last }));
                }
                State::Payload { .. } => return Ok(self.next_payload()),
                State::Skip { remaining: 0 } => self.state = State::Header,
                State::Skip { remaining } => {
                    let wanted = *remaining;
                    let Some(bytes) = self.take(wanted) else { return Ok(None) };
                    self.state = State::Skip { remaining: wanted - bytes.len() };
                }
            }
        }
    }

    /// Whether the stream may end here: between two frames, with nothing left over.
    pub(crate) fn is_at_boundary(&self) -> bool {
        matches!(self.state, State::Header) && self.header.filled == 0 && self.pieces.is_empty()
    }

    /// The memory that the decoder keeps, in bytes.
    #[cfg(test)]
    pub(crate) fn bytes_held(&self) -> usize {
        let collected = if let State::Payload { collected, .. } = &self.state { collected.capacity() } else { 0 };
        collected + self.pieces.iter().map(Bytes::len).sum::<usize>()
    }

    fn next_header(&mut self) -> Result<Option<Header>, WireError> {
        while self.header.filled < HEADER_BYTES {
            let filled = self.header.filled;
            let Some(piece) = self.take(HEADER_BYTES - filled) else { return Ok(None) };
            self.header.bytes[filled..filled + piece.len()].copy_from_slice(&piece);
            self.header.filled += piece.len();
        }
        self.header.filled = 0;
        Header::parse(self.header.bytes, self.ws_message_bytes_max).map(Some)
    }

    /// The payload of the current frame: a slice of a piece where it lies in one, else collected as it arrives.
    fn next_payload(&mut self) -> Option<Event> {
        let State::Payload { kind, length, mut collected } = std::mem::replace(&mut self.state, State::Header) else {
            return None;
        };
        loop {
            let missing = length - collected.len();
            if missing == 0 {
                return Some(Event::Frame(kind, collected.freeze()));
            }
            match self.take(missing) {
                Some(piece) if piece.len() == length => return Some(Event::Frame(kind, piece)),
                Some(piece) => collected.extend_from_slice(&piece),
                None => {
                    self.state = State::Payload { kind, length, collected };
                    return None;
                }
            }
        }
    }

    /// Up to `max` bytes of the first piece; never empty for a `max` over zero.
    fn take(&mut self, max: usize) -> Option<Bytes> {
        let first = self.pieces.front_mut()?;
        if first.len() <= max {
            return self.pieces.pop_front();
        }
        let piece = first.slice(..max);
        first.advance(max);
        Some(piece)
    }
}

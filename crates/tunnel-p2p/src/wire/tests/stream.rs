//! The decoder: the same events however the stream is cut.

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};

use super::{WS_MESSAGE_BYTES_MAX, events, frame};
use crate::wire::{
    StreamKind, WireError,
    continuation::{Continuation, PARTS_MAX},
    decoder::{Decoder, Event},
    frame::{FrameType, data_header},
};

const KINDS: [FrameType; 17] = [
    FrameType::Head,
    FrameType::Data,
    FrameType::End,
    FrameType::Fail,
    FrameType::Moved,
    FrameType::TunnelHead,
    FrameType::WsText,
    FrameType::WsBinary,
    FrameType::WsPing,
    FrameType::WsPong,
    FrameType::WsClose,
    FrameType::Hello,
    FrameType::Welcome,
    FrameType::Ping,
    FrameType::Pong,
    FrameType::GoAway,
    FrameType::Credit,
];

type Frames = Vec<(FrameType, Vec<u8>)>;

/// Payloads that every kind allows.
fn frames() -> impl Strategy<Value = Frames> {
    let one = (prop::sample::select(KINDS.to_vec()), vec(any::<u8>(), 1..=125));
    vec(one, 1..12).prop_map(|mut frames| {
        frames.iter_mut().filter(|(kind, _)| *kind == FrameType::Moved).for_each(|(_, payload)| payload.clear());
        frames
    })
}

fn stream(frames: &Frames) -> Bytes {
    frames.iter().flat_map(|(kind, payload)| frame(*kind, payload)).collect()
}

fn cut(mut stream: Bytes, lengths: &[usize]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if stream.is_empty() {
            break;
        }
        pieces.push(stream.split_to(stream.len().min(*length)));
    }
    pieces
}

/// Events with the pieces of each `DATA` frame joined; the last one may be incomplete.
fn joined(events: Vec<Event>) -> (Frames, Vec<u8>) {
    let mut frames = Frames::new();
    let mut data = Vec::new();
    for event in events {
        match event {
            Event::Data { bytes, last } => {
                assert!(!bytes.is_empty());
                data.extend_from_slice(&bytes);
                if last {
                    frames.push((FrameType::Data, std::mem::take(&mut data)));
                }
            }
            Event::Frame(kind, payload) => {
                assert!(data.is_empty(), "a frame inside DATA");
                frames.push((kind, payload.to_vec()));
            }
        }
    }
    (frames, data)
}

proptest! {
    #[test]
    fn frames_survive_every_way_to_cut_the_stream(frames in frames(), lengths in vec(1usize..60, 1..8)) {
        let (events, end) = events(cut(stream(&frames), &lengths));
        prop_assert_eq!(end, Ok(true));
        prop_assert_eq!(joined(events), (frames, Vec::new()));
    }

    #[test]
    fn a_truncated_stream_gives_a_prefix_and_no_more(
        frames in frames(),
        lengths in vec(1usize..60, 1..8),
        at in any::<prop::sample::Index>(),
    ) {
        let whole = stream(&frames);
        let length = at.index(whole.len());
        let (events, end) = events(cut(whole.slice(..length), &lengths));
        let (read, rest) = joined(events);
        let bytes: usize = read.iter().map(|(_, payload)| payload.len() + 5).sum();
        prop_assert!(bytes <= length && frames.starts_with(&read));
        prop_assert_eq!(end, Ok(bytes == length));
        if let Some((kind, next)) = frames.get(read.len()) {
            prop_assert!(*kind == FrameType::Data || rest.is_empty());
            prop_assert!(next.starts_with(&rest));
        }
    }

    #[test]
    fn a_payload_within_one_piece_is_not_copied(frames in frames()) {
        let whole = stream(&frames);
        let range = whole.as_ptr_range();
        for event in events([whole.clone()]).0 {
            let (Event::Data { bytes, .. } | Event::Frame(_, bytes)) = event;
            prop_assert!(bytes.is_empty() || range.contains(&bytes.as_ptr()));
        }
    }

    #[test]
    fn data_is_never_copied(payload in vec(any::<u8>(), 1..500), lengths in vec(1usize..60, 1..8)) {
        let whole = frame(FrameType::Data, &payload);
        let range = whole.as_ptr_range();
        for event in events(cut(whole.clone(), &lengths)).0 {
            match event {
                Event::Data { bytes, .. } => prop_assert!(range.contains(&bytes.as_ptr())),
                Event::Frame(..) => prop_assert!(false, "not data"),
            }
        }
    }

    #[test]
    fn optional_frames_of_later_versions_are_skipped(
        frames in frames(),
        kind in 0x80u8..,
        skipped in vec(any::<u8>(), 0..200),
        lengths in vec(1usize..60, 1..8),
    ) {
        let length = u32::try_from(skipped.len()).unwrap().to_be_bytes();
        let optional = [&[kind], &length[..], &skipped].concat();
        let mut bytes = BytesMut::from(&optional[..]);
        for (kind, payload) in &frames {
            bytes.extend_from_slice(&frame(*kind, payload));
            bytes.extend_from_slice(&optional);
        }
        let (events, end) = events(cut(bytes.freeze(), &lengths));
        prop_assert_eq!(end, Ok(true));
        prop_assert_eq!(joined(events).0, frames);
    }

    #[test]
    fn the_preface_survives_every_way_to_cut_it(
        exchange: u64,
        (index, count) in prop_oneof![Just((0, 1)), (2_u8..=8).prop_flat_map(|count| (0..count, Just(count)))],
        lengths in vec(1usize..12, 1..8),
    ) {
        let continuation = Continuation { exchange, index, count };
        let whole = [&continuation.preface()[..], &frame(FrameType::Moved, b"")].concat();
        let mut decoder = Decoder::new(WS_MESSAGE_BYTES_MAX);
        let (mut kind, mut read) = (None, None);
        for piece in cut(whole.into(), &lengths) {
            decoder.push(piece);
            if kind.is_none() {
                kind = decoder.stream_kind().unwrap();
            }
            if let (Some(kind), None) = (kind, read) {
                read = decoder.continuation(kind).unwrap();
            }
        }
        let expected = if count == 1 { StreamKind::Bulk } else { StreamKind::BulkPart };
        prop_assert_eq!((kind, read), (Some(expected), Some(continuation)));
        prop_assert_eq!(decoder.next(), Ok(Some(Event::Frame(FrameType::Moved, Bytes::new()))));
    }
}

#[test]
fn a_data_header_is_that_of_a_whole_frame() {
    let whole = frame(FrameType::Data, b"hello");
    assert_eq!(data_header(5), whole[..5]);
}

#[test]
fn an_unknown_stream_kind_is_refused() {
    let mut decoder = Decoder::new(0);
    assert_eq!(decoder.stream_kind(), Ok(None));
    decoder.push(Bytes::from_static(&[7]));
    assert_eq!(decoder.stream_kind(), Err(WireError::StreamKind(7)));
}

#[test]
fn a_part_has_a_place_among_at_most_eight() {
    let parse = |index, count| Continuation::parse(&[0, 0, 0, 0, 0, 0, 0, 4, index, count]);
    assert_eq!(PARTS_MAX, 8);
    assert_eq!(parse(7, 8), Ok(Continuation { exchange: 4, index: 7, count: 8 }));
    for (index, count) in [(0, 0), (0, 1), (2, 2), (255, 8), (0, 9), (0, 255)] {
        assert_eq!(parse(index, count), Err(WireError::Part { index, count }));
    }
}

#[test]
fn the_kinds_of_streams_have_the_bytes_of_the_specification() {
    let kinds = [
        StreamKind::Control,
        StreamKind::Http,
        StreamKind::WebSocket,
        StreamKind::Bulk,
        StreamKind::Probe,
        StreamKind::BulkPart,
        StreamKind::Credits,
    ];
    for (byte, kind) in (0..).zip(kinds) {
        assert_eq!(kind as u8, byte);
        assert_eq!(StreamKind::from_byte(byte), Some(kind));
    }
    assert!((7..=255).all(|byte| StreamKind::from_byte(byte).is_none()));
}

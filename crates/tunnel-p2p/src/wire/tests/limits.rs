//! What the decoder and the structures refuse, and how much memory a peer can make them hold.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::{collection::vec, prelude::*};

use super::{WS_MESSAGE_BYTES_MAX, events, frame, payload};
use crate::wire::{
    WireError,
    control::{self, Hello},
    decoder::Decoder,
    frame::{DATA_BYTES_MAX, FrameType, HEAD_BYTES_MAX},
    head::{self, BodySize, FIELDS_MAX},
};

fn header(kind: u8, length: u32) -> Bytes {
    [&[kind], &length.to_be_bytes()[..]].concat().into()
}

#[test]
fn too_long_frames_are_refused_before_their_payload_arrives() {
    let limits = [
        (0x01, "HEAD", HEAD_BYTES_MAX),
        (0x02, "DATA", DATA_BYTES_MAX),
        (0x03, "END", HEAD_BYTES_MAX),
        (0x04, "FAIL", 16 << 10),
        (0x05, "MOVED", 0),
        (0x06, "TUNNEL_HEAD", 1 << 20),
        (0x10, "WS_TEXT", WS_MESSAGE_BYTES_MAX),
        (0x11, "WS_BINARY", WS_MESSAGE_BYTES_MAX),
        (0x12, "WS_PING", 125),
        (0x13, "WS_PONG", 125),
        (0x14, "WS_CLOSE", 125),
        (0x20, "HELLO", 16 << 10),
        (0x25, "CREDIT", 16 << 10),
        (0x80, "optional", 16 << 10),
        (0xff, "optional", 16 << 10),
    ];
    for (byte, name, limit) in limits {
        for bytes in [limit + 1, u32::MAX] {
            let refused = WireError::FrameTooLong { frame: name, bytes, limit };
            assert_eq!(events([header(byte, bytes)]), (Vec::new(), Err(refused)));
        }
        if limit > 0 {
            assert_eq!(events([header(byte, limit)]), (Vec::new(), Ok(false)), "{name}");
        }
    }
}

#[test]
fn unknown_frames_without_the_optional_bit_are_refused() {
    for byte in (0..0x80).filter(|byte| FrameType::from_byte(*byte).is_none()) {
        assert_eq!(events([header(byte, 0)]), (Vec::new(), Err(WireError::FrameType(byte))));
    }
}

#[test]
fn empty_data_is_refused() {
    assert_eq!(events([header(2, 0)]), (Vec::new(), Err(WireError::EmptyData)));
}

#[test]
fn a_declared_length_alone_takes_no_memory() {
    let mut decoder = Decoder::new(u32::MAX);
    decoder.push(header(FrameType::WsBinary as u8, u32::MAX));
    assert_eq!(decoder.next(), Ok(None));
    assert_eq!(decoder.bytes_held(), 0);
}

#[test]
fn a_head_that_does_not_fit_a_frame_is_not_written() {
    let mut headers = HeaderMap::new();
    headers.insert("x-long", HeaderValue::from_bytes(&vec![b'a'; HEAD_BYTES_MAX as usize]).unwrap());
    let mut buffer = BytesMut::from(&b"before"[..]);
    head::put_response(&mut buffer, StatusCode::OK, &headers, BodySize::None).unwrap_err();
    head::put_end(&mut buffer, &headers).unwrap_err();
    assert_eq!(&buffer[..], b"before");
}

#[test]
fn as_many_fields_are_read_as_are_written() {
    let mut headers = HeaderMap::new();
    for i in 0..FIELDS_MAX {
        headers.append(HeaderName::from_bytes(format!("x-{}", i / 2).as_bytes()).unwrap(), HeaderValue::from(i));
    }
    let mut buffer = BytesMut::new();
    head::put_end(&mut buffer, &headers).unwrap();
    assert_eq!(head::parse_end(&payload(buffer.split()).1), Ok(headers.clone()));

    headers.append("x-more", HeaderValue::from_static("one too many"));
    head::put_end(&mut buffer, &headers).unwrap_err();
    assert!(buffer.is_empty());
}

#[test]
fn a_crowd_of_tiny_fields_is_refused() {
    // 251: the length follows in two bytes, little endian. Each field: a name of one byte, a value of none.
    let count = 24_000u16;
    let bytes = [&[251], &count.to_le_bytes()[..], &b"\x01a\x00".repeat(count.into())].concat();
    assert!(matches!(head::parse_end(&bytes.into()), Err(WireError::Malformed { frame: "END", .. })));
}

#[test]
fn lists_that_claim_to_be_huge_are_refused() {
    for length in [&[253, 255, 255, 255, 255, 255, 255, 255, 255][..], &[252, 0, 0, 0, 1], &[251, 0, 255]] {
        let end = Bytes::copy_from_slice(length);
        assert!(matches!(head::parse_end(&end), Err(WireError::Malformed { .. })));
        // GET, "/", then the list.
        let request: Bytes = [&b"\x03GET\x01/"[..], length].concat().into();
        assert!(matches!(head::parse_request(&request), Err(WireError::Malformed { .. })));
        // Minor, capabilities, role, session, then the credential.
        let hello = [&[0, 0, 0, 0], length].concat();
        assert!(matches!(control::parse::<Hello<'_>>(FrameType::Hello, &hello), Err(WireError::Malformed { .. })));
    }
}

#[test]
fn a_target_that_is_not_in_origin_form_is_refused() {
    for target in ["", "a", "http://elsewhere/", "host:443", "/with space", "*/", "/\n"] {
        let mut payload = vec![3, b'G', b'E', b'T', u8::try_from(target.len()).unwrap()];
        payload.extend_from_slice(target.as_bytes());
        payload.extend_from_slice(&[0, 0]);
        assert!(matches!(head::parse_request(&payload.into()), Err(WireError::Malformed { .. })), "{target:?}");
    }
}

#[test]
fn field_values_with_line_breaks_are_refused() {
    // One field, "a", of one byte.
    for byte in *b"\r\n\0" {
        assert!(matches!(head::parse_end(&vec![1, 1, b'a', 1, byte].into()), Err(WireError::Malformed { .. })));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_nor_hold_more_than_a_frame(
        kind in prop_oneof![any::<u8>(), Just(0x01), Just(0x10), Just(0x20)],
        length in prop_oneof![any::<u32>(), 0u32..20_000],
        bytes in vec(vec(any::<u8>(), 0..3000), 0..40),
    ) {
        // A buffer that grows doubles, from the largest frame that is held, TUNNEL_HEAD.
        let bound = 2 * DATA_BYTES_MAX as usize;
        let mut decoder = Decoder::new(WS_MESSAGE_BYTES_MAX);
        for piece in std::iter::once(header(kind, length)).chain(bytes.into_iter().map(Bytes::from)) {
            decoder.push(piece);
            loop {
                match decoder.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return Ok(()),
                }
            }
            prop_assert!(decoder.bytes_held() <= bound);
        }
    }
}

#[test]
fn a_frame_in_many_pieces_is_held_once() {
    let whole = frame(FrameType::Head, &vec![0; HEAD_BYTES_MAX as usize]);
    let mut decoder = Decoder::new(0);
    let mut events = 0;
    for piece in whole.chunks(1000) {
        decoder.push(Bytes::copy_from_slice(piece));
        events += usize::from(decoder.next().unwrap().is_some());
        assert!(decoder.bytes_held() <= 2 * HEAD_BYTES_MAX as usize);
    }
    assert_eq!((events, decoder.bytes_held()), (1, 0));
}

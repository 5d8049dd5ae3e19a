//! The binary form.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use proptest::{collection, prelude::*};
use tunnel_core::packet::{PacketError, PacketField, TunnelResponse, decode, encode, encode_head};

use super::{Fields, expected, fields, hex, packet, vectors};

/// What the published crate reads, if it neither fails nor panics.
fn upstream(bytes: &Bytes) -> Option<Fields> {
    let result = catch_unwind(AssertUnwindSafe(|| TunnelResponse::try_from(bytes.clone())));
    result.ok()?.ok().map(fields)
}

#[test]
fn agrees_with_every_vector() {
    let vectors = vectors(include_str!("../../../../spec/vectors/tunnel_response_binary.json"));
    assert_eq!(vectors.len(), 30);
    for vector in vectors {
        let bytes = hex(&vector["hex"]);
        assert_eq!(decode(bytes.clone()).ok().map(fields), expected(&vector), "{}", vector["name"]);
        assert_eq!(upstream(&bytes), expected(&vector), "the vector is stale: {}", vector["name"]);
    }
}

#[test]
fn says_which_field_is_cut_and_by_how_much() {
    let whole = hex(&"000000000000004d000000010000c8000000027b7d".into());
    for (length, field, wanted, had) in [
        (0, PacketField::RequestId, 8, 0),
        (5, PacketField::RequestId, 8, 5),
        (11, PacketField::PacketId, 4, 3),
        (12, PacketField::Last, 1, 0),
        (14, PacketField::Status, 2, 1),
        (18, PacketField::HeadersLength, 4, 3),
        (20, PacketField::Headers, 2, 1),
    ] {
        match decode(whole.slice(..length)).unwrap_err() {
            PacketError::Short { field: f, wanted: w, had: h } => assert_eq!((f, w, h), (field, wanted, had)),
            other => panic!("{length} bytes: {other}"),
        }
    }
    assert!(matches!(decode(hex(&"000000000000004d000000010000c800000000".into())), Err(PacketError::Headers(_))));
}

#[test]
fn shares_the_body_with_the_packet() {
    let bytes = hex(&"000000000000004d000000020068656c6c6f".into());
    assert_eq!(decode(bytes.clone()).unwrap().bytes.as_ptr(), bytes[13..].as_ptr());
}

#[test]
fn refuses_to_write_a_head_where_none_belongs() {
    let packet = |packet_id, status| TunnelResponse {
        request_id: 1,
        packet_id,
        last: true,
        bytes: Bytes::new(),
        status,
        headers: None,
    };
    assert!(matches!(encode(&packet(1, Some(200))), Err(PacketError::HeadMissing)));
    assert!(matches!(encode(&packet(2, Some(200))), Err(PacketError::HeadMisplaced { packet_id: 2 })));
}

proptest! {
    #[test]
    fn reads_any_bytes_as_the_published_crate_does(
        start in prop_oneof![Just(vec![]), Just(vec![0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 1, 0, 200, 0, 0, 0])],
        rest in collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(&b"{}\":,a\x02"[..])], 0..40),
    ) {
        let bytes = Bytes::from([start, rest].concat());
        prop_assert_eq!(decode(bytes.clone()).ok().map(fields), upstream(&bytes));
    }

    #[test]
    fn what_is_written_is_read_back_here_and_upstream(packet in packet(0..=u16::MAX)) {
        let bytes = encode(&packet).unwrap();
        prop_assert_eq!([encode_head(&packet).unwrap(), packet.bytes.clone()].concat(), bytes.to_vec());
        let written = fields(packet);
        prop_assert_eq!(&fields(decode(bytes.clone()).unwrap()), &written);
        prop_assert_eq!(upstream(&bytes), Some(written));
    }

    #[test]
    fn a_cut_packet_is_an_error_or_a_shorter_body(packet in packet(0..=u16::MAX), keep in any::<prop::sample::Index>()) {
        let bytes = encode(&packet).unwrap();
        let head_bytes = encode_head(&packet).unwrap().len();
        let keep = keep.index(bytes.len());
        prop_assert_eq!(decode(bytes.slice(..keep)).is_ok(), keep >= head_bytes);
    }
}

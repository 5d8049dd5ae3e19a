//! The text form.

use proptest::prelude::*;
use tunnel_core::packet::{TextError, decode_text, encode_text};

use super::{expected, fields, packet, vectors};

#[test]
fn agrees_with_every_vector() {
    let vectors = vectors(include_str!("../../../../spec/vectors/tunnel_response_base64.json"));
    assert_eq!(vectors.len(), 38);
    for vector in vectors {
        let text = vector["text"].as_str().unwrap();
        assert_eq!(decode_text(text).ok().map(fields), expected(&vector), "{}", vector["name"]);
    }
}

#[test]
fn a_status_cut_inside_a_character_is_an_error() {
    assert!(matches!(decode_text("TUNNEL_RESPONSE:1|1|120é{}"), Err(TextError::Missing("status"))));
}

proptest! {
    #[test]
    fn survives_any_text(start in "(TUNNEL_RESPONSE:)?(1\\|1\\|[01](200)?)?", rest in "[\\PC{}\"|\\\\]{0,40}") {
        let _ = decode_text(&format!("{start}{rest}"));
    }

    #[test]
    fn what_is_written_is_read_back(packet in packet(0..=999)) {
        let text = encode_text(&packet).unwrap();
        prop_assert_eq!(fields(decode_text(&text).unwrap()), fields(packet));
    }

    #[test]
    fn a_status_of_four_digits_is_refused(mut packet in packet(1000..=u16::MAX)) {
        packet.packet_id = 1;
        packet.status = packet.status.or(Some(1000));
        packet.headers.get_or_insert_default();
        let refused = matches!(encode_text(&packet), Err(TextError::StatusRange { .. }));
        prop_assert!(refused);
    }
}

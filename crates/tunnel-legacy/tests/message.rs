//! The texts of the WebSocket, against what the published crate reads and writes, and the additions.

#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

use serde_json::Value;
use tunnel_core::{Failure, FailureKind};
use tunnel_legacy::message::{ToHost, ToServer};

fn vectors(json: &str, key: &str) -> Vec<Value> {
    serde_json::from_str::<Value>(json).unwrap()[key].as_array().unwrap().clone()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn requests_are_written_as_the_published_tunnel_server_writes_them() {
    let mut seen = [0; 3];
    for vector in vectors(include_str!("../../../spec/vectors/tunnel_request.json"), "vectors") {
        let name = text(&vector, "name");
        for form in ["to_string", "via_value"] {
            let message = ToHost::parse(text(&vector, form)).unwrap();
            let (index, expected) = match &message {
                ToHost::Http { request, base64 } => {
                    assert_eq!(*base64, name == "http base64");
                    assert_eq!(json(text(&vector, form))["request_id"], request.request_id);
                    (0, text(&vector, "via_value"))
                }
                ToHost::Ws(_) => (1, text(&vector, "to_string")),
                _ => (2, text(&vector, "to_string")),
            };
            seen[index] += 1;
            if name == "http payload null" {
                // Whoever reads it sees no payload.
                continue;
            }
            assert_eq!(message.to_text(), expected, "{name}");
        }
    }
    assert!(seen.iter().all(|seen| *seen >= 2), "{seen:?}");
}

#[test]
fn requests_are_read_exactly_when_the_published_sender_reads_them() {
    for vector in vectors(include_str!("../../../spec/vectors/tunnel_request_accept.json"), "vectors") {
        let outcome = ToHost::parse(text(&vector, "text"));
        match vector.get("ok") {
            Some(ok) => assert_eq!(json(&outcome.unwrap().to_text()), json(ok.as_str().unwrap()), "{vector}"),
            None => assert!(outcome.is_err(), "{vector}"),
        }
    }
}

#[test]
fn replies_are_read_and_written_as_the_published_crate_does() {
    let document = include_str!("../../../spec/vectors/tunnel_ws_response.json");
    for vector in vectors(document, "vectors") {
        let written = text(&vector, "to_string");
        assert_eq!(ToServer::parse(written).unwrap().to_text(), written);
    }
    for vector in vectors(document, "accept") {
        let outcome = ToServer::parse(text(&vector, "text"));
        match vector.get("ok") {
            Some(ok) => assert_eq!(outcome.unwrap().to_text(), ok.as_str().unwrap()),
            None => assert!(outcome.is_err(), "{vector}"),
        }
    }
}

#[test]
fn additions_are_written_as_the_spec_says() {
    let max = u64::MAX;
    for (message, expected) in [
        (
            ToHost::Window { request_id: max, packets: 8 },
            r#"{"type":"WINDOW","request_id":18446744073709551615,"packets":8}"#,
        ),
        (ToHost::WsClosed { conn_id: max }, r#"{"type":"WS_CLOSED","conn_id":18446744073709551615}"#),
    ] {
        assert_eq!(message.to_text(), expected);
        assert_eq!(ToHost::parse(expected).unwrap().to_text(), expected);
    }
    let failure = Failure::new(FailureKind::ServiceUnreachable, "it is \"down\"");
    let reset = ToServer::Reset { request_id: 7, failure };
    let expected = r#"{"type":"RESET","request_id":7,"kind":"service-unreachable","message":"it is \"down\""}"#;
    assert_eq!(reset.to_text(), expected);
    assert_eq!(ToServer::parse(expected).unwrap().to_text(), expected);
}

#[test]
fn unknown_kinds_and_fields_are_no_reason_to_give_up() {
    let newer = r#"{"x":1,"message":"m","kind":"newer","request_id":7,"type":"RESET"}"#;
    let ToServer::Reset { request_id: 7, failure } = ToServer::parse(newer).unwrap() else { panic!("{newer}") };
    assert_eq!((failure.kind(), failure.message()), (FailureKind::Internal, "m"));
    for wrong in [
        r#"{"type":"WINDOW","request_id":1,"packets":-1}"#,
        r#"{"type":"WINDOW","request_id":1,"packets":4294967296}"#,
        r#"{"type":"WINDOW","packets":1}"#,
        r#"{"type":"WS_CLOSED"}"#,
        r#"{"type":"RESET","request_id":1,"kind":"timeout","message":"m"}"#,
        "\"BASE64\"",
        "[]",
        "",
    ] {
        assert!(ToHost::parse(wrong).is_err(), "{wrong}");
    }
    assert!(ToServer::parse(r#"{"type":"RESET","request_id":1}"#).is_err());
}

//! The JSON texts of the tunnel, as the published types write and read them: the wire code relies on every detail.
//!
//! The vectors were made with the cargo feature `base64` of the published crate, which stays off here because it changes
//! its types for the whole build. [`WITHOUT_BASE64`] lists the vectors that come out differently.

#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

use serde_json::Value;
use tunnel_core::moosicbox_tunnel::{TunnelEncoding, TunnelRequest, TunnelWsResponse};

const UNKNOWN_ENCODING: &str = "unknown variant `BASE64`, expected `BINARY`";

/// The vectors whose result needs the feature `base64`, with the error without it.
const WITHOUT_BASE64: [(&str, &str); 3] = [
    ("http base64", UNKNOWN_ENCODING),
    ("encoding BASE64", UNKNOWN_ENCODING),
    ("encoding lower case", "unknown variant `binary`, expected `BINARY`"),
];

#[test]
fn the_feature_that_changes_the_types_is_off() {
    assert!(serde_json::from_str::<TunnelEncoding>(r#""BASE64""#).is_err());
}

#[test]
fn requests_are_written_as_the_vectors_say() {
    let vectors = vectors(include_str!("../../../spec/vectors/tunnel_request.json"), "vectors");
    assert_eq!(vectors.len(), 24);
    for vector in vectors {
        let name = text(&vector, "name");
        for form in ["to_string", "via_value"] {
            let parsed = serde_json::from_str::<TunnelRequest>(text(&vector, form));
            if let Some(error) = without_base64(name) {
                assert_eq!(parsed.unwrap_err().to_string(), error, "{name}");
                continue;
            }
            let mut request = parsed.unwrap();
            if name == "http payload null" {
                // On the wire it is there; whoever reads it sees no payload.
                let TunnelRequest::Http(request) = &mut request else { panic!("{name} is not HTTP") };
                assert_eq!(request.payload.replace(Value::Null), None);
            }
            assert_eq!(serde_json::to_string(&request).unwrap(), text(&vector, "to_string"), "{name}");
            assert_eq!(serde_json::to_value(&request).unwrap().to_string(), text(&vector, "via_value"), "{name}");
        }
    }
}

#[test]
fn requests_are_read_as_the_vectors_say() {
    let vectors = vectors(include_str!("../../../spec/vectors/tunnel_request_accept.json"), "vectors");
    assert_eq!(vectors.len(), 36);
    for vector in vectors {
        let name = text(&vector, "name");
        let outcome = serde_json::from_str::<TunnelRequest>(text(&vector, "text"))
            .map(|request| serde_json::to_string(&request).unwrap())
            .map_err(|error| error.to_string());
        let expected = match without_base64(name) {
            Some(error) => Err(error.to_owned()),
            None => outcome_of(&vector),
        };
        assert_eq!(outcome, expected, "{name}");
    }
}

#[test]
fn ws_responses_are_written_and_read_as_the_vectors_say() {
    let json = include_str!("../../../spec/vectors/tunnel_ws_response.json");
    let reread = |text: &str| {
        serde_json::from_str::<TunnelWsResponse>(text)
            .map(|response| serde_json::to_string(&response).unwrap())
            .map_err(|error| error.to_string())
    };
    for vector in vectors(json, "vectors") {
        let written = text(&vector, "to_string");
        assert_eq!(reread(written).as_deref(), Ok(written), "{}", vector["name"]);
    }
    for vector in vectors(json, "accept") {
        assert_eq!(reread(text(&vector, "text")), outcome_of(&vector), "{vector}");
    }
    let document: Value = serde_json::from_str(json).unwrap();
    let reply = serde_json::from_str::<TunnelWsResponse>(text(&document, "send_tunnel_text")).unwrap();
    assert_eq!((reply.request_id, reply.to_connection_ids), (7, None));
}

fn vectors(json: &str, key: &str) -> Vec<Value> {
    serde_json::from_str::<Value>(json).unwrap()[key].as_array().unwrap().clone()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap()
}

fn outcome_of(vector: &Value) -> Result<String, String> {
    match vector.get("ok") {
        Some(ok) => Ok(ok.as_str().unwrap().to_owned()),
        None => Err(text(vector, "error").to_owned()),
    }
}

fn without_base64(name: &str) -> Option<&'static str> {
    WITHOUT_BASE64.into_iter().find_map(|(vector, error)| (vector == name).then_some(error))
}

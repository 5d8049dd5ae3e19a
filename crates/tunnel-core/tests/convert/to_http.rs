//! From the tunnel's form to HTTP.

use serde_json::{Value, json};
use tunnel_core::{FailureKind, convert::to_http, moosicbox_tunnel::TunnelHttpRequest};

/// A GET of `p`, with some fields replaced.
fn request(fields: &Value) -> TunnelHttpRequest {
    let mut request = json!({"request_id": 1, "method": "GET", "path": "p", "query": {}, "encoding": "BINARY"});
    for (key, value) in fields.as_object().unwrap() {
        request[key] = value.clone();
    }
    serde_json::from_value(request).unwrap()
}

#[test]
fn targets_are_paths_as_they_are_and_queries_encoded() {
    for (path, query, target) in [
        ("", json!({}), "/"),
        ("albums", json!(null), "/albums"),
        ("a%2Fb/../c//d/", json!({}), "/a%2Fb/../c//d/"),
        ("/double", json!({}), "//double"),
        ("caf%C3%A9/é", json!({}), "/caf%C3%A9/%C3%A9"),
        ("a b?c#d\"<>{}", json!({}), "/a%20b%3Fc%23d%22%3C%3E%7B%7D"),
        ("x", json!({"z": "1", "a": "2"}), "/x?a=2&z=1"),
        ("x", json!({"q": "x&y=z"}), "/x?q=x%26y%3Dz"),
        ("x", json!({"q": "a#b"}), "/x?q=a%23b"),
        ("x", json!({"q": "+"}), "/x?q=%2B"),
        ("x", json!({"q": "100%25"}), "/x?q=100%2525"),
        ("x", json!({"q": "a b~-._é"}), "/x?q=a%20b~-._%C3%A9"),
        ("x", json!({"k&=": ""}), "/x?k%26%3D="),
        ("x", json!({"n": 1.5, "t": true, "u": null}), "/x?n=1.5&t=true&u="),
        ("x", json!({"clientId": "c", "signature": "s"}), "/x?clientId=c&signature=s"),
    ] {
        let (parts, body) = to_http(request(&json!({"path": path, "query": query}))).unwrap();
        assert_eq!(parts.uri.to_string(), target);
        assert!(parts.headers.is_empty());
        assert!(body.as_bytes().unwrap().is_empty());
    }
}

#[test]
fn every_method_but_connect_passes() {
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"] {
        assert_eq!(to_http(request(&json!({"method": method}))).unwrap().0.method, method);
    }
    assert_eq!(to_http(request(&json!({"method": "CONNECT"}))).unwrap_err().kind(), FailureKind::BadRequest);
}

#[test]
fn a_payload_is_a_json_body_with_its_type_and_length() {
    let (parts, body) = to_http(request(&json!({"method": "POST", "payload": {"b": 1, "a": [null]}}))).unwrap();
    assert_eq!(body.as_bytes().unwrap(), r#"{"a":[null],"b":1}"#);
    assert_eq!(parts.headers["content-type"], "application/json");
    assert_eq!(parts.headers["content-length"], "18");

    let own_type = json!({"payload": 1, "headers": {"content-type": "application/problem+json"}});
    assert_eq!(to_http(request(&own_type)).unwrap().0.headers["content-type"], "application/problem+json");
}

#[test]
fn headers_pass_unless_they_frame_the_body() {
    let headers = json!({
        "accept": "*/*", "Range": "bytes=0-", "x-number": 1, "content-length": "99", "transfer-encoding": "chunked",
        "connection": "close", "moosicbox-profile": "given",
    });
    let (parts, _) = to_http(request(&json!({"headers": headers, "profile": "master"}))).unwrap();
    let mut headers: Vec<_> = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    headers.sort_unstable();
    let expected: [(&str, &[u8]); 4] =
        [("accept", b"*/*"), ("moosicbox-profile", b"master"), ("range", b"bytes=0-"), ("x-number", b"1")];
    assert_eq!(headers, expected);
    assert_eq!(to_http(request(&json!({"profile": ""}))).unwrap().0.headers["moosicbox-profile"], "");
    assert_eq!(
        to_http(request(&json!({"profile": "prófil"}))).unwrap().0.headers["moosicbox-profile"].as_bytes(),
        "prófil".as_bytes()
    );
}

#[test]
fn what_http_cannot_say_is_a_bad_request() {
    for fields in [
        json!({"query": [1]}),
        json!({"query": "a=b"}),
        json!({"query": {"a": ["1", "2"]}}),
        json!({"headers": "accept"}),
        json!({"headers": {"a b": "c"}}),
        json!({"headers": {"a": "b\r\nc: d"}}),
        json!({"headers": {"a": {}}}),
        json!({"profile": "a\nb"}),
    ] {
        assert_eq!(to_http(request(&fields)).unwrap_err().kind(), FailureKind::BadRequest, "{fields}");
    }
    let long = json!({"path": "x".repeat(70_000)});
    assert_eq!(to_http(request(&long)).unwrap_err().kind(), FailureKind::TooLarge);
    assert!(to_http(request(&json!({"path": "x".repeat(65_533)}))).is_ok());
}

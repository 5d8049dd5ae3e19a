//! From HTTP to the tunnel's form.

use bytes::Bytes;
use http::{HeaderName, Method, Request, request::Parts};
use serde_json::{Value, json};
use tunnel_core::convert::{
    LegacyLoss::{self, *},
    PAYLOAD_BYTES_MAX, to_tunnel,
};

fn parts(method: &str, target: &str, headers: &[(&str, &[u8])]) -> Parts {
    let builder = Request::builder().method(method).uri(target);
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(()).unwrap().into_parts().0
}

fn header(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

/// The request as the tunnel's JSON, and the losses.
fn converted(parts: &Parts, body: &'static str) -> (Value, Vec<LegacyLoss>) {
    let (request, losses) = to_tunnel(parts, Some(&Bytes::from_static(body.as_bytes())), 7);
    (serde_json::to_value(request).unwrap(), losses)
}

#[test]
fn a_plain_request_loses_nothing() {
    let headers: [(&str, &[u8]); 5] = [
        ("accept", b"*/*"),
        ("range", b"bytes=0-"),
        ("host", b"localhost"),
        ("content-type", b"application/json; charset=UTF-8"),
        ("content-length", b"7"),
    ];
    let (request, losses) = converted(&parts("POST", "/a/b%20c?q=1", &headers), r#"{"a":1}"#);
    assert_eq!(losses, []);
    assert_eq!(
        request,
        json!({
            "request_id": 7, "method": "POST", "path": "a/b%20c", "query": {"q": "1"}, "payload": {"a": 1},
            "headers": {"accept": "*/*", "range": "bytes=0-"}, "encoding": "BINARY", "profile": null,
        })
    );
    let (request, losses) = converted(&parts("GET", "/", &[]), "");
    assert_eq!((request["path"].as_str(), request.get("headers"), losses), (Some(""), None, vec![]));
}

#[test]
fn methods_beyond_six_are_lost() {
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] {
        let (request, losses) = converted(&parts(method, "/", &[]), "");
        assert_eq!((request["method"].as_str(), losses), (Some(method), vec![]));
    }
    for method in ["OPTIONS", "TRACE", "PROPFIND"] {
        let (request, losses) = converted(&parts(method, "/", &[]), "");
        assert_eq!((request["method"].as_str(), losses), (Some("OPTIONS"), vec![Method(method.parse().unwrap())]));
    }
    assert_eq!(converted(&parts("OPTIONS", "*", &[]), "").1, [Method(Method::OPTIONS), Target]);
}

#[test]
fn paths_stay_raw_and_queries_are_decoded() {
    for (target, path, query, losses) in [
        ("/a/../B//c/", "a/../B//c/", json!({}), vec![]),
        ("//x", "/x", json!({}), vec![]),
        ("/x?", "x", json!({}), vec![]),
        ("/x?a%20b=c%26d&flag&&=", "x", json!({"a b": "c&d", "flag": "", "": ""}), vec![]),
        ("/x?q=%2B", "x", json!({"q": "+"}), vec![]),
        ("/x?q=a+b&q=+", "x", json!({"q": "+"}), vec![PlusInQuery("q".into()), RepeatedQueryKey("q".into())]),
        ("/x?q=%zz%", "x", json!({"q": "%zz%"}), vec![]),
        ("/x?a=1&%61=2&a=3", "x", json!({"a": "3"}), vec![RepeatedQueryKey("a".into())]),
        ("/x?q=%ff", "x", json!({"q": "\u{fffd}"}), vec![QueryNotUtf8("q".into())]),
    ] {
        let (request, lost) = converted(&parts("GET", target, &[]), "");
        assert_eq!((request["path"].as_str(), &request["query"]), (Some(path), &query), "{target}");
        assert_eq!(lost, losses, "{target}");
    }
}

#[test]
fn all_headers_but_two_are_lost() {
    let headers: [(&str, &[u8]); 9] = [
        ("accept", b"a/b"),
        ("accept", b"c/d"),
        ("cookie", b"x"),
        ("cookie", b"y"),
        ("content-type", b"application/json"),
        ("range", b"\xff"),
        ("connection", b"x-hop, close"),
        ("x-hop", b"1"),
        ("transfer-encoding", b"chunked"),
    ];
    let (request, mut losses) = converted(&parts("GET", "/", &headers), "");
    losses.sort_by_key(ToString::to_string);
    assert_eq!(request["headers"], json!({"accept": "c/d"}));
    assert_eq!(
        losses,
        [
            Header(header("content-type")),
            Header(header("cookie")),
            Header(header("range")),
            RepeatedHeader(header("accept"))
        ]
    );
}

#[test]
fn the_profile_of_the_query_wins() {
    let lost = Header(header("moosicbox-profile"));
    for (target, in_header, profile, losses) in [
        ("/", Some("master"), json!("master"), vec![]),
        ("/", Some(""), json!(""), vec![]),
        ("/", None, json!(null), vec![]),
        ("/?moosicboxProfile=a%20b", None, json!("a b"), vec![]),
        ("/?moosicboxProfile=a", Some("a"), json!("a"), vec![]),
        ("/?moosicboxProfile=a", Some("b"), json!("a"), vec![lost]),
    ] {
        let headers: Vec<_> = in_header.iter().map(|value| ("moosicbox-profile", value.as_bytes())).collect();
        let (request, lost) = converted(&parts("GET", target, &headers), "");
        assert_eq!((&request["profile"], lost), (&profile, losses), "{target} {in_header:?}");
    }
}

#[test]
fn bodies_are_json_of_bounded_length() {
    for (body, payload, losses) in [
        ("", None, vec![]),
        (" {\"b\" : 1, \"a\": \"\\u00e9\"}\n", Some(json!({"a": "é", "b": 1})), vec![]),
        ("null", None, vec![BodyNull]),
        ("hello", None, vec![BodyNotJson]),
        ("1e999", None, vec![BodyNotJson]),
        ("{\"a\":1,\"a\":2}", Some(json!({"a": 2})), vec![BodyInexact]),
        ("[18446744073709551616]", Some(json!([18_446_744_073_709_551_616.0])), vec![BodyInexact]),
    ] {
        let (request, lost) = converted(&parts("POST", "/", &[]), body);
        assert_eq!((request.get("payload"), lost), (payload.as_ref(), losses), "{body}");
    }
    let post = parts("POST", "/", &[]);
    let text = |bytes| Bytes::from(format!("\"{}\"", "x".repeat(bytes - 2)));
    let (request, losses) = to_tunnel(&post, Some(&text(PAYLOAD_BYTES_MAX)), 7);
    assert!(request.payload.is_some() && losses.is_empty());
    let (request, losses) = to_tunnel(&post, Some(&text(PAYLOAD_BYTES_MAX + 1)), 7);
    assert_eq!((request.payload, losses), (None, vec![BodyTooLong { bytes: PAYLOAD_BYTES_MAX + 1 }]));
    assert_eq!(to_tunnel(&post, None, 7).1, [BodyStreamed]);
}

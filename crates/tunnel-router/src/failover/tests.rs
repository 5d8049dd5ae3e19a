//! Tests of the splice rules.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use tunnel_core::{Body, FailureKind, RequestHead};

use super::{Continued, Cut, Origin, resume_head};

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

const OLD: &str = "Thu, 26 Nov 2026 10:00:00 GMT";
const NEW: &str = "Thu, 26 Nov 2026 10:01:00 GMT";

fn origin(status: u16, fields: &[(&'static str, &'static str)]) -> Option<Origin> {
    Origin::of(StatusCode::from_u16(status).unwrap(), &headers(fields), None, false)
}

#[test]
fn only_a_strong_validator_is_good_enough() {
    let length = ("content-length", "100");
    assert!(origin(200, &[length, ("etag", "\"a\"")]).is_some());
    assert!(origin(200, &[("etag", "\"a\"")]).is_some(), "a strong validator needs no length");
    assert!(origin(200, &[length, ("last-modified", OLD), ("date", NEW)]).is_some());
    for fields in [
        &[length][..],
        &[length, ("etag", "W/\"a\"")],
        &[length, ("etag", "a")],
        &[length, ("etag", "\"a\""), ("etag", "\"b\"")],
        &[length, ("last-modified", OLD)],
        &[length, ("last-modified", OLD), ("date", OLD)],
        &[length, ("last-modified", OLD), ("date", "Thu, 26 Nov 2026 10:00:59 GMT")],
        &[length, ("last-modified", NEW), ("date", OLD)],
        &[length, ("last-modified", "yesterday"), ("date", NEW)],
        &[length, ("etag", "W/\"a\""), ("last-modified", OLD), ("date", NEW)],
    ] {
        assert!(origin(200, fields).is_none(), "{fields:?}");
    }
}

#[test]
fn only_responses_with_known_places_can_continue() {
    let etag = ("etag", "\"a\"");
    assert!(origin(206, &[etag, ("content-range", "bytes 5-9/100")]).is_some());
    assert!(origin(206, &[etag, ("content-range", "bytes 5-9/*"), ("content-length", "5")]).is_some());
    assert!(origin(206, &[etag, ("content-range", "bytes 5-9/100"), ("content-length", "6")]).is_none());
    assert!(origin(206, &[etag, ("content-type", "multipart/byteranges; boundary=x")]).is_none());
    for status in [201, 203, 204, 404, 500] {
        assert!(origin(status, &[etag, ("content-length", "100")]).is_none());
    }
    let fields = headers(&[etag, ("content-length", "100")]);
    assert!(Origin::of(StatusCode::OK, &fields, Some(99), false).is_none(), "the lengths contradict");
}

#[test]
fn asks_for_exactly_what_is_missing() {
    let etag = ("etag", "\"a\"");
    for (status, fields, range) in [
        (200, &[etag, ("content-length", "100")][..], "bytes=7-"),
        (200, &[etag], "bytes=7-"),
        (206, &[etag, ("content-range", "bytes 10-19/100")], "bytes=17-19"),
        (206, &[etag, ("content-range", "bytes 10-99/100")], "bytes=17-"),
        (206, &[etag, ("content-range", "bytes 10-19/*")], "bytes=17-19"),
    ] {
        assert_eq!(origin(status, fields).unwrap().range(7), range);
    }
}

#[test]
fn the_request_for_the_rest_keeps_all_but_conditions() {
    let mut request = http::Request::new(());
    *request.uri_mut() = "/a?b=c".parse().unwrap();
    *request.headers_mut() = headers(&[
        ("authorization", "secret"),
        ("accept-encoding", "br"),
        ("if-none-match", "\"z\""),
        ("if-modified-since", OLD),
        ("range", "bytes=0-"),
        ("if-range", "\"z\""),
    ]);
    let head = RequestHead::Http(Box::new(request.into_parts().0));
    let origin = origin(200, &[("etag", "\"a\""), ("content-length", "9")]).unwrap();
    let Some(RequestHead::Http(parts)) = resume_head(&head, &origin, 4, true) else { panic!("no request") };
    assert_eq!(parts.uri, "/a?b=c");
    let expected = headers(&[
        ("authorization", "secret"),
        ("accept-encoding", "br"),
        ("range", "bytes=4-"),
        ("if-range", "\"a\""),
    ]);
    assert_eq!(parts.headers, expected);
    let Some(RequestHead::Http(parts)) = resume_head(&head, &origin, 4, false) else { panic!("no request") };
    assert!(!parts.headers.contains_key("if-range"));

    let RequestHead::Http(mut parts) = head else { unreachable!() };
    parts.method = Method::HEAD;
    assert!(resume_head(&RequestHead::Http(parts), &origin, 4, true).is_none());
}

#[test]
fn the_request_for_the_rest_keeps_the_form_of_the_tunnel() {
    let request: tunnel_core::moosicbox_tunnel::TunnelHttpRequest = serde_json::from_value(serde_json::json!({
        "request_id": 1, "method": "GET", "path": "a", "query": {"b": "c"}, "payload": null,
        "headers": {"Range": "bytes=0-", "accept": "*/*"}, "encoding": "BINARY", "profile": null,
    }))
    .unwrap();
    let origin = origin(200, &[("etag", "\"a\""), ("content-length", "9")]).unwrap();
    let head = RequestHead::Tunnel(Box::new(request));
    let Some(RequestHead::Tunnel(request)) = resume_head(&head, &origin, 4, true) else { panic!("no request") };
    let fields = serde_json::json!({"accept": "*/*", "if-range": "\"a\"", "range": "bytes=4-"});
    assert_eq!(request.headers, Some(fields));
}

const fn cut(skip: u64, take: Option<u64>, is_inside: bool) -> Cut {
    Cut { skip, take, is_inside }
}

#[test]
fn takes_only_what_continues_the_same_bytes() {
    let whole = [("etag", "\"a\""), ("content-length", "100"), ("content-type", "audio/flac")];
    let origin = origin(200, &whole).unwrap();
    let answer = |status: u16, fields: &[(&'static str, &'static str)]| {
        origin.continues(40, StatusCode::from_u16(status).unwrap(), &headers(fields), None)
    };
    let (etag, kind) = (("etag", "\"a\""), ("content-type", "audio/flac"));
    let range = ("content-range", "bytes 40-99/100");
    assert_eq!(answer(206, &[etag, kind, range]), Ok(cut(0, Some(60), false)));
    assert_eq!(answer(206, &[etag, range]), Ok(cut(0, Some(60), false)));
    assert_eq!(answer(200, &whole), Ok(cut(40, Some(60), false)));
    for (status, fields) in [
        (206, &[("etag", "\"b\""), kind, range][..]),
        (206, &[("etag", "W/\"a\""), kind, range]),
        (206, &[kind, range]),
        (206, &[etag, kind]),
        (206, &[etag, kind, ("content-range", "bytes 39-99/100")]),
        (206, &[etag, kind, ("content-range", "bytes 41-99/100")]),
        (206, &[etag, kind, ("content-range", "bytes 40-98/100")]),
        (206, &[etag, kind, ("content-range", "bytes 40-99/101")]),
        (206, &[etag, kind, ("content-range", "bytes 40-99/*")]),
        (206, &[etag, kind, range, ("content-encoding", "gzip")]),
        (206, &[etag, ("content-type", "multipart/byteranges"), range]),
        (200, &[etag, kind, ("content-length", "101")]),
        (200, &[("etag", "\"b\""), kind, ("content-length", "100")]),
        (200, &[etag, ("content-length", "100")]),
        (304, &[etag]),
        (416, &[etag, ("content-range", "bytes */100")]),
        (500, &[etag, kind, range]),
    ] {
        assert!(answer(status, fields).is_err(), "{status} {fields:?}");
    }
}

#[test]
fn a_content_type_that_a_tunnel_server_adds_is_no_change() {
    let whole = [("etag", "\"a\""), ("content-length", "100")];
    let added = [whole[0], whole[1], ("content-type", "application/octet-stream")];
    let of = |then: &[(&'static str, &'static str)], now: &[(&'static str, &'static str)]| {
        origin(200, then).unwrap().continues(40, StatusCode::OK, &headers(now), None)
    };
    assert_eq!(of(&whole, &added), Ok(cut(40, Some(60), false)));
    assert_eq!(of(&added, &whole), Ok(cut(40, Some(60), false)));
}

#[test]
fn a_part_of_a_file_continues_at_its_own_place() {
    let part = [("etag", "\"a\""), ("content-range", "bytes 10-29/100")];
    let origin = origin(206, &part).unwrap();
    let answer = |status: StatusCode, fields: &[(&'static str, &'static str)]| {
        origin.continues(5, status, &headers(fields), None)
    };
    let (partial, etag) = (StatusCode::PARTIAL_CONTENT, ("etag", "\"a\""));
    assert_eq!(answer(partial, &[etag, ("content-range", "bytes 15-29/100")]), Ok(cut(0, Some(15), false)));
    assert!(answer(partial, &[etag, ("content-range", "bytes 15-99/100")]).is_err());
    assert!(answer(partial, &[etag, ("content-range", "bytes 5-29/100")]).is_err());
    assert_eq!(answer(StatusCode::OK, &[etag, ("content-length", "100")]), Ok(cut(15, Some(15), true)));
}

#[test]
fn without_a_length_the_validator_decides() {
    let origin = origin(200, &[("etag", "\"a\"")]).unwrap();
    let answer = |status: StatusCode, fields: &[(&'static str, &'static str)]| {
        origin.continues(5, status, &headers(fields), None)
    };
    let (partial, etag) = (StatusCode::PARTIAL_CONTENT, ("etag", "\"a\""));
    assert_eq!(answer(partial, &[etag, ("content-range", "bytes 5-9/10")]), Ok(cut(0, Some(5), false)));
    assert!(answer(partial, &[etag, ("content-range", "bytes 5-8/10")]).is_err());
    assert!(answer(partial, &[etag, ("content-range", "bytes 5-9/*")]).is_err());
    assert_eq!(answer(StatusCode::OK, &[etag]), Ok(cut(5, None, false)));
}

#[test]
fn likeness_counts_only_where_it_is_allowed_and_complete() {
    let fields = [("content-length", "100"), ("content-type", "audio/flac"), ("etag", "W/\"a\"")];
    let origin = Origin::of(StatusCode::OK, &headers(&fields), None, true).unwrap();
    assert_eq!(origin.if_range(), None, "a weak validator is none for a range");
    let answer = |status: u16, fields: &[(&'static str, &'static str)]| {
        origin.continues(40, StatusCode::from_u16(status).unwrap(), &headers(fields), None).is_ok()
    };
    let (etag, kind, range) =
        (("etag", "W/\"a\""), ("content-type", "audio/flac"), ("content-range", "bytes 40-99/100"));
    assert!(answer(206, &[etag, kind, range]));
    assert!(answer(200, &fields));
    assert!(!answer(206, &[("etag", "W/\"b\""), kind, range]));
    assert!(!answer(206, &[etag, range]));
    assert!(!answer(200, &[etag, kind]));
    assert!(!answer(206, &[etag, kind, ("content-range", "bytes 40-99/*")]));
    assert!(Origin::of(StatusCode::OK, &headers(&[("content-type", "audio/flac")]), None, true).is_none());
}

async fn continued(text: &'static str, cut: Cut) -> Result<Bytes, FailureKind> {
    let body = Body::stream(Continued::new(Body::full(text), cut));
    body.collect().await.map(http_body_util::Collected::to_bytes).map_err(|failure| failure.kind())
}

#[tokio::test]
async fn a_continuation_is_exactly_as_long_as_it_must_be() {
    for (text, part, expected) in [
        ("0123456789", cut(0, Some(10), false), Ok("0123456789")),
        ("0123456789", cut(4, Some(6), false), Ok("456789")),
        ("0123456789", cut(4, Some(3), true), Ok("456")),
        ("0123456789", cut(4, None, false), Ok("456789")),
        ("0123456789", cut(10, None, false), Ok("")),
        ("0123456789", cut(4, Some(5), false), Err(FailureKind::Protocol)),
        ("0123456789", cut(4, Some(7), false), Err(FailureKind::Protocol)),
        ("0123456789", cut(11, None, false), Err(FailureKind::Protocol)),
        ("0123456789", cut(4, Some(9), true), Err(FailureKind::Protocol)),
    ] {
        assert_eq!(continued(text, part).await, expected.map(Bytes::from), "{part:?}");
    }
}

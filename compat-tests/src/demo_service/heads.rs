//! Answers whose head is what matters.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    extract::{Path, Query},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use serde::Deserialize;

/// The cookies of `/headers`: two lines that must not become one, since a comma is part of a date.
pub(crate) const COOKIES: [&str; 2] = ["a=1; Expires=Thu, 01 Jan 2099 00:00:00 GMT", "b=2; Path=/; HttpOnly"];

/// A header value of `/headers` that is neither ASCII nor UTF-8.
pub(crate) const RAW: &[u8] = b"caf\xe9 \xff\x80";

/// The body of `/compressed`: one line of text in gzip.
pub(crate) const GZIP: [u8; 79] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 77, 203, 65, 10, 128, 48, 12, 4, 192, 187, 175, 216, 7, 248, 169, 216, 4, 42, 98,
    82, 186, 145, 146, 223, 235, 209, 235, 192, 172, 46, 137, 37, 68, 139, 123, 76, 35, 77, 193, 148, 250, 195, 14,
    113, 133, 199, 17, 90, 120, 124, 72, 187, 136, 51, 17, 142, 236, 246, 237, 218, 94, 251, 86, 147, 164, 71, 0, 0, 0,
];

/// The largest header that `/headers` makes up, in bytes.
const HEADER_BYTES_MAX: usize = 64 << 10;

pub(super) async fn status(Path(code): Path<u16>) -> Response {
    let Some(code) = StatusCode::from_u16(code).ok().filter(|code| !code.is_informational()) else {
        return (StatusCode::BAD_REQUEST, "a status is a number from 200 to 999\n").into_response();
    };
    let headers = [("x-demo-status", code.as_str().to_owned())];
    if code.as_u16() < 400 {
        (code, headers).into_response()
    } else {
        (code, headers, format!("the demo answers with {}\n", code.as_u16())).into_response()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct HeadersQuery {
    bytes: Option<usize>,
}

pub(super) async fn headers(Query(query): Query<HeadersQuery>) -> Response {
    let mut headers = HeaderMap::new();
    for cookie in COOKIES {
        headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    }
    headers.insert(HeaderName::from_static("x-demo-empty"), HeaderValue::from_static(""));
    if let Ok(raw) = HeaderValue::from_bytes(RAW) {
        headers.insert(HeaderName::from_static("x-demo-raw"), raw);
    }
    if let Ok(long) = HeaderValue::try_from("l".repeat(query.bytes.unwrap_or_default().min(HEADER_BYTES_MAX))) {
        headers.insert(HeaderName::from_static("x-demo-long"), long);
    }
    (headers, "look at the head\n").into_response()
}

pub(super) async fn redirect() -> Response {
    (StatusCode::FOUND, [(header::LOCATION, "/files/1.bin?from=redirect")]).into_response()
}

pub(super) async fn compressed() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain"), (header::CONTENT_ENCODING, "gzip")];
    (headers, Bytes::from_static(&GZIP)).into_response()
}

pub(super) async fn trailers() -> Response {
    let trailers = HeaderMap::from_iter([
        (HeaderName::from_static("x-demo-sum"), HeaderValue::from_static("42")),
        (HeaderName::from_static("x-demo-end"), HeaderValue::from_static("all sent")),
    ]);
    let frames = [Frame::data(Bytes::from_static(b"content before trailers\n")), Frame::trailers(trailers)];
    let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
    ([(header::TRAILER, "x-demo-sum, x-demo-end")], Body::new(body)).into_response()
}

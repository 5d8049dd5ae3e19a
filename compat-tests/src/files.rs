//! A service with one file, which it serves whole, in parts, or not at all (RFC 9110 §13 and §14).

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tunnel_core::{Body, Response};

use crate::{
    body::{declared, pattern, pattern_piece, pieces},
    request::parts,
    service::Service,
};

/// The length of the file in bytes: on both sides of every threshold.
pub const FILE_BYTES: usize = 1_000_000;

/// The file's entity tag.
pub const ETAG: &str = "\"v2\"";

/// What stands between the parts of an answer with several of them.
pub const BOUNDARY: &str = "THIS_STRING_SEPARATES";

/// The service. Its file is the pattern of [`pattern`].
pub fn files() -> Service {
    Service::http(|request| async move { Ok(answer(&parts(&request).headers)) })
}

fn answer(asked: &HeaderMap) -> Response {
    let mut response = body(asked);
    response.headers.insert(header::ETAG, HeaderValue::from_static(ETAG));
    response.headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

fn body(asked: &HeaderMap) -> Response {
    let value = |name: header::HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    if value(header::IF_NONE_MATCH) == Some(ETAG) {
        let mut response = Response::new(StatusCode::NOT_MODIFIED, Body::empty());
        response.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(FILE_BYTES));
        return response;
    }
    let current = value(header::IF_RANGE).is_none_or(|tag| tag == ETAG);
    let Some(ranges) = value(header::RANGE).filter(|_| current) else {
        return Response::new(StatusCode::OK, declared(FILE_BYTES as u64, pieces(pattern(FILE_BYTES, 50_000))));
    };
    let wanted: Vec<_> = ranges.trim_start_matches("bytes=").split(',').filter_map(|part| range(part.trim())).collect();
    match wanted[..] {
        [] => {
            let mut response = Response::new(StatusCode::RANGE_NOT_SATISFIABLE, Body::empty());
            insert(&mut response, header::CONTENT_RANGE, format!("bytes */{FILE_BYTES}"));
            response
        }
        [(first, last)] => {
            let mut response = Response::new(StatusCode::PARTIAL_CONTENT, Body::full(part(first, last)));
            insert(&mut response, header::CONTENT_RANGE, content_range(first, last));
            response
        }
        _ => several(&wanted),
    }
}

fn several(wanted: &[(usize, usize)]) -> Response {
    let mut body = Vec::new();
    for &(first, last) in wanted {
        let mut head = String::new();
        write!(head, "--{BOUNDARY}\r\ncontent-range: {}\r\n\r\n", content_range(first, last)).expect("a string");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&part(first, last));
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let mut response = Response::new(StatusCode::PARTIAL_CONTENT, Body::full(body));
    insert(&mut response, header::CONTENT_TYPE, format!("multipart/byteranges; boundary={BOUNDARY}"));
    response
}

/// The bytes of the file from `first` to `last`.
pub fn part(first: usize, last: usize) -> bytes::Bytes {
    pattern_piece(first, last + 1 - first)
}

/// The header that goes with [`part`].
pub fn content_range(first: usize, last: usize) -> String {
    format!("bytes {first}-{last}/{FILE_BYTES}")
}

/// `first-last`, `first-` or `-length`, if the file has such bytes.
fn range(text: &str) -> Option<(usize, usize)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = match (first.parse().ok(), last.parse().ok()) {
        (Some(first), last) => (first, last.unwrap_or(FILE_BYTES - 1)),
        (None, Some(length)) => (FILE_BYTES.checked_sub(length)?, FILE_BYTES - 1),
        (None, None) => return None,
    };
    (first <= last && first < FILE_BYTES).then_some((first, last.min(FILE_BYTES - 1)))
}

fn insert(response: &mut Response, name: header::HeaderName, value: String) {
    response.headers.insert(name, HeaderValue::try_from(value).expect("a header value"));
}

//! Ranges and conditions are between the app and the service; the tunnel passes them untouched.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Body as _;
use tunnel_core::Response;

use crate::{
    backend::Backend,
    body::{bytes, digest, pattern_hash, text},
    files::{BOUNDARY, ETAG, FILE_BYTES, content_range, files, part},
    pair::Pair,
    request::get_with,
};

async fn ask<B: Backend, const N: usize>(pair: &Pair<B>, asked: [(HeaderName, &'static str); N]) -> Response {
    let headers = HeaderMap::from_iter(asked.map(|(name, value)| (name, HeaderValue::from_static(value))));
    pair.answer(get_with("/file", headers)).await
}

/// Whoever seeks in a song gets what is there, not the whole song.
pub async fn a_part_is_206_with_exactly_its_bytes<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, files()).await;
    for (asked, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=65535-65536", 65_535, 65_536),
        ("bytes=100000-399999", 100_000, 399_999),
        ("bytes=999990-", 999_990, FILE_BYTES - 1),
        ("bytes=-500", FILE_BYTES - 500, FILE_BYTES - 1),
        ("bytes=999999-2000000", FILE_BYTES - 1, FILE_BYTES - 1),
    ] {
        let response = ask(&pair, [(header::RANGE, asked)]).await;
        assert_eq!(response.status, StatusCode::PARTIAL_CONTENT, "{asked}");
        assert_eq!(response.headers[header::CONTENT_RANGE], content_range(first, last));
        assert_eq!(response.headers[header::ETAG], ETAG);
        assert_eq!(response.body.size_hint().exact(), Some((last + 1 - first) as u64), "{asked}");
        assert!(bytes(response.body).await.unwrap() == part(first, last), "{asked}");
    }
}

/// One answer with several parts keeps its boundaries.
pub async fn several_parts_are_one_answer<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, files()).await;
    let response = ask(&pair, [(header::RANGE, "bytes=0-9, 300000-300009,-10")]).await;
    assert_eq!(response.status, StatusCode::PARTIAL_CONTENT);
    let content_type = format!("multipart/byteranges; boundary={BOUNDARY}");
    assert_eq!(response.headers[header::CONTENT_TYPE], content_type);
    let body = bytes(response.body).await.unwrap();
    for (first, last) in [(0, 9), (300_000, 300_009), (FILE_BYTES - 10, FILE_BYTES - 1)] {
        let head = format!("--{BOUNDARY}\r\ncontent-range: {}\r\n\r\n", content_range(first, last));
        let expected = [head.as_bytes(), &part(first, last)].concat();
        assert!(body.windows(expected.len()).any(|window| window == expected), "{first}-{last}");
    }
}

/// 416 says how long the file is.
pub async fn a_part_that_does_not_exist_is_416<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, files()).await;
    let response = ask(&pair, [(header::RANGE, "bytes=1000000-")]).await;
    assert_eq!(response.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(response.headers[header::CONTENT_RANGE], "bytes */1000000");
    assert_eq!(text(response.body).await.unwrap(), "");
}

/// `If-Range` with an old tag wants everything, with the current one the part.
pub async fn if_range_decides_at_the_service<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, files()).await;
    let response = ask(&pair, [(header::RANGE, "bytes=0-9"), (header::IF_RANGE, "\"v1\"")]).await;
    assert_eq!(response.status, StatusCode::OK);
    let read = digest(response.body).await.unwrap();
    assert_eq!((read.bytes, read.hash), (FILE_BYTES, pattern_hash(FILE_BYTES)));
    let response = ask(&pair, [(header::RANGE, "bytes=0-9"), (header::IF_RANGE, ETAG)]).await;
    assert_eq!(response.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(bytes(response.body).await.unwrap(), part(0, 9));
}

/// 304 has no body, whatever its `content-length` says.
pub async fn an_unchanged_file_is_304_with_its_headers<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, files()).await;
    let response = ask(&pair, [(header::IF_NONE_MATCH, ETAG)]).await;
    assert_eq!(response.status, StatusCode::NOT_MODIFIED);
    assert_eq!(response.headers[header::ETAG], ETAG);
    assert_eq!(response.headers[header::CONTENT_LENGTH], "1000000");
    assert_eq!(bytes(response.body).await.unwrap(), "");
    let response = ask(&pair, [(header::IF_NONE_MATCH, "\"v1\"")]).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(digest(response.body).await.unwrap().bytes, FILE_BYTES);
}

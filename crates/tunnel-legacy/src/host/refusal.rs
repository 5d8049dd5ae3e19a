//! What the client is told when there is no response.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tunnel_core::{Body, Failure, Response};

use crate::reason;

/// The failure as a response: the status of its kind, the sentence, and the kind by name.
pub(super) fn response(failure: &Failure) -> Response {
    let kind = failure.kind();
    let body = format!("{failure}\n");
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(reason::HEADER, HeaderValue::from_static(kind.name()));
    if kind.status() == http::StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(HeaderName::from_static("retry-after"), HeaderValue::from_static("1"));
    }
    Response { headers, ..Response::new(kind.status(), Body::full(body)) }
}

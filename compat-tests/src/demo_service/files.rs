//! `/files/{name}`: conditional requests and ranges (RFC 9110 §13, §14).

use std::ops::Range;

use axum::{
    body::Body,
    extract::{Path, RawQuery},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::stream;

use super::Content;

/// When the content was last modified: never, but a validator needs a date.
const LAST_MODIFIED: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

pub(super) async fn file(
    method: Method,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(content) = Content::named(&name) else {
        return (StatusCode::NOT_FOUND, "files are named by their size, such as /files/10MiB.bin\n").into_response();
    };
    let mut response = answer(&method, content, &headers);
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::ETAG, &content.etag());
    set(header::LAST_MODIFIED, LAST_MODIFIED);
    set(header::ACCEPT_RANGES, "bytes");
    if query.as_deref() == Some("sha256") {
        set(HeaderName::from_static("x-content-sha256"), &content.sha256(0..content.length()));
    }
    response
}

fn answer(method: &Method, content: Content, headers: &HeaderMap) -> Response {
    if text(headers, header::IF_MATCH).is_some_and(|tags| !lists(tags, |tag| tag == content.etag())) {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    if is_unmodified(content, headers) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let length = content.length();
    // A range means something for GET only (RFC 9110 §14.2).
    let wanted = if method == Method::GET { wanted(content, headers) } else { Wanted::Whole };
    match wanted {
        Wanted::Whole => part(StatusCode::OK, content, 0..length),
        Wanted::Part(range) => {
            let content_range = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            ([(header::CONTENT_RANGE, content_range)], part(StatusCode::PARTIAL_CONTENT, content, range))
                .into_response()
        }
        Wanted::Unsatisfiable => {
            (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, format!("bytes */{length}"))]).into_response()
        }
    }
}

fn part(status: StatusCode, content: Content, range: Range<u64>) -> Response {
    let length = range.end - range.start;
    let pieces = stream::iter(content.pieces(range).map(Ok::<_, std::convert::Infallible>));
    let headers =
        [(header::CONTENT_TYPE, "application/octet-stream".to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    (status, headers, Body::from_stream(pieces)).into_response()
}

fn is_unmodified(content: Content, headers: &HeaderMap) -> bool {
    match text(headers, header::IF_NONE_MATCH) {
        // If-None-Match compares weakly (RFC 9110 §13.1.2).
        Some(tags) => lists(tags, |tag| tag.strip_prefix("W/").unwrap_or(tag) == content.etag()),
        None => text(headers, header::IF_MODIFIED_SINCE) == Some(LAST_MODIFIED),
    }
}

fn lists(tags: &str, matches: impl Fn(&str) -> bool) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || matches(tag))
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Unsatisfiable,
}

fn wanted(content: Content, headers: &HeaderMap) -> Wanted {
    let Some(range) = text(headers, header::RANGE) else { return Wanted::Whole };
    match text(headers, header::IF_RANGE) {
        Some(validator) if validator != content.etag() && validator != LAST_MODIFIED => Wanted::Whole,
        _ => parse(range, content.length()),
    }
}

/// A range that is not valid is ignored; more than one is refused, as RFC 9110 §14.2 allows.
fn parse(range: &str, length: u64) -> Wanted {
    let Some(spec) = range.strip_prefix("bytes=") else { return Wanted::Whole };
    if spec.contains(',') {
        return Wanted::Unsatisfiable;
    }
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    let number = |text: &str| text.parse::<u64>().ok();
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..length.min(last.saturating_add(1)),
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(suffix)) if first.is_empty() => length.saturating_sub(suffix)..length,
        _ => return Wanted::Whole,
    };
    if range.start < range.end { Wanted::Part(range) } else { Wanted::Unsatisfiable }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_the_rfc() {
        for (range, wanted) in [
            ("bytes=0-9", Wanted::Part(0..10)),
            ("bytes=90-", Wanted::Part(90..100)),
            ("bytes=90-1000", Wanted::Part(90..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=0-1,5-6", Wanted::Unsatisfiable),
            ("bytes=9-0", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
        ] {
            assert_eq!(parse(range, 100), wanted, "{range}");
        }
        assert_eq!(parse("bytes=0-0", 0), Wanted::Unsatisfiable);
    }
}

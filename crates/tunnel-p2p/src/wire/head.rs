//! Heads of requests and responses, and trailers.

use bincode::{BorrowDecode, Encode};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, request::Parts};

use super::{
    WireError,
    frame::{FrameType, HEAD_BYTES_MAX, HEADER_BYTES, put_frame},
};
use crate::codec;

/// The most fields in a head or in trailers: in memory, as many take about as much as the longest head. Without this, a
/// head of 128 KiB could hold 24,000 empty fields, which take megabytes. Servers commonly allow 100.
pub(crate) const FIELDS_MAX: usize = 1024;

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) enum BodySize {
    /// Nothing: no `DATA`, no `END`.
    None,
    /// `DATA` frames of this length in total, then `END`.
    Exact(u64),
    /// `DATA` frames, then `END`.
    Unknown,
}

impl BodySize {
    pub(crate) fn of(body: &impl http_body::Body) -> Self {
        if body.is_end_stream() {
            return Self::None;
        }
        body.size_hint().exact().map_or(Self::Unknown, Self::Exact)
    }

    pub(crate) const fn exact(self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Exact(bytes) => Some(bytes),
            Self::Unknown => None,
        }
    }
}

type Headers<'a> = Vec<(&'a str, &'a [u8])>;

#[derive(Encode, BorrowDecode)]
struct RequestHead<'a> {
    method: &'a str,
    target: &'a str,
    headers: Headers<'a>,
    body: BodySize,
}

#[derive(Encode, BorrowDecode)]
struct ResponseHead<'a> {
    status: u16,
    headers: Headers<'a>,
    body: BodySize,
}

/// A head, or trailers, that do not fit a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header section of {bytes} bytes is over the limit of {HEAD_BYTES_MAX} bytes or {FIELDS_MAX} fields")]
pub(crate) struct HeadTooLong {
    pub(crate) bytes: usize,
}

/// Appends the head of a request. Nothing is appended on error.
pub(crate) fn put_request(
    buffer: &mut BytesMut,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: BodySize,
) -> Result<(), HeadTooLong> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    put_bounded(buffer, FrameType::Head, headers, |buffer| {
        codec::encode(&RequestHead { method: method.as_str(), target, headers: list(headers), body }, buffer);
    })
}

/// Appends the head of a response. Nothing is appended on error.
pub(crate) fn put_response(
    buffer: &mut BytesMut,
    status: StatusCode,
    headers: &HeaderMap,
    body: BodySize,
) -> Result<(), HeadTooLong> {
    put_bounded(buffer, FrameType::Head, headers, |buffer| {
        codec::encode(&ResponseHead { status: status.as_u16(), headers: list(headers), body }, buffer);
    })
}

/// Appends `END`. Nothing is appended on error.
pub(crate) fn put_end(buffer: &mut BytesMut, trailers: &HeaderMap) -> Result<(), HeadTooLong> {
    put_bounded(buffer, FrameType::End, trailers, |buffer| codec::encode(&list(trailers), buffer))
}

/// Decodes the head of a request.
pub(crate) fn parse_request(payload: &Bytes) -> Result<(Parts, BodySize), WireError> {
    let head: RequestHead<'_> = decode(FrameType::Head, payload)?;
    let malformed = |message: String| WireError::Malformed { frame: FrameType::Head.name(), message };
    if !head.target.starts_with('/') && head.target != "*" {
        return Err(malformed("the target is not in origin form".to_owned()));
    }
    let mut parts = http::Request::new(()).into_parts().0;
    parts.method = Method::from_bytes(head.method.as_bytes()).map_err(|error| malformed(format!("method: {error}")))?;
    parts.uri = Uri::from_maybe_shared(payload.slice_ref(head.target.as_bytes()))
        .map_err(|error| malformed(format!("target: {error}")))?;
    parts.headers = header_map(FrameType::Head, payload, &head.headers)?;
    Ok((parts, head.body))
}

/// Decodes the head of a response.
pub(crate) fn parse_response(payload: &Bytes) -> Result<(StatusCode, HeaderMap, BodySize), WireError> {
    let head: ResponseHead<'_> = decode(FrameType::Head, payload)?;
    let status = StatusCode::from_u16(head.status)
        .map_err(|error| WireError::Malformed { frame: FrameType::Head.name(), message: error.to_string() })?;
    Ok((status, header_map(FrameType::Head, payload, &head.headers)?, head.body))
}

/// Decodes the trailers of `END`.
pub(crate) fn parse_end(payload: &Bytes) -> Result<HeaderMap, WireError> {
    let trailers: Headers<'_> = decode(FrameType::End, payload)?;
    header_map(FrameType::End, payload, &trailers)
}

fn put_bounded(
    buffer: &mut BytesMut,
    kind: FrameType,
    fields: &HeaderMap,
    write: impl FnOnce(&mut BytesMut),
) -> Result<(), HeadTooLong> {
    let start = buffer.len();
    put_frame(buffer, kind, write);
    let bytes = buffer.len() - start - HEADER_BYTES;
    if bytes > HEAD_BYTES_MAX as usize || fields.len() > FIELDS_MAX {
        buffer.truncate(start);
        return Err(HeadTooLong { bytes });
    }
    Ok(())
}

fn list(headers: &HeaderMap) -> Headers<'_> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

fn decode<'a, T: BorrowDecode<'a, ()>>(kind: FrameType, payload: &'a [u8]) -> Result<T, WireError> {
    codec::decode(payload).map_err(|error| WireError::Malformed { frame: kind.name(), message: error.to_string() })
}

fn header_map(kind: FrameType, payload: &Bytes, list: &Headers<'_>) -> Result<HeaderMap, WireError> {
    let malformed = |message: String| WireError::Malformed { frame: kind.name(), message };
    if list.len() > FIELDS_MAX {
        return Err(malformed(format!("{} fields are over the limit of {FIELDS_MAX}", list.len())));
    }
    let mut headers =
        HeaderMap::try_with_capacity(list.len()).map_err(|error| malformed(format!("headers: {error}")))?;
    for (name, value) in list {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| malformed(format!("header: {error}")))?;
        let value = HeaderValue::from_maybe_shared(payload.slice_ref(value))
            .map_err(|error| malformed(format!("header {name}: {error}")))?;
        headers.try_append(name, value).map_err(|error| malformed(format!("headers: {error}")))?;
    }
    Ok(headers)
}

//! A file whose first answer stops in the middle.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tunnel_core::Response;

use crate::{
    body::{declared, pattern_piece, pieces},
    request::parts,
    service::Service,
};

/// The length of the file.
pub(super) const FILE_BYTES: usize = 1_000_000;

/// What is sent before the service falls silent.
pub(super) const BEGIN_BYTES: usize = 100_000;

/// The pattern, until it changes. The first answer stops after its beginning; all others are whole.
#[derive(Clone)]
pub(super) struct File {
    /// What `ETag` says.
    etag: Option<&'static str>,
    stopped: Arc<AtomicBool>,
    changed: Arc<AtomicBool>,
}

impl File {
    pub(super) fn new(etag: Option<&'static str>) -> Self {
        Self { etag, stopped: Arc::default(), changed: Arc::default() }
    }

    /// From now on it is another file.
    pub(super) fn change(&self) {
        self.changed.store(true, Relaxed);
    }

    pub(super) fn service(&self) -> Service {
        let file = self.clone();
        Service::http(move |request| {
            let answer = file.answer(&parts(&request).headers);
            async { Ok(answer) }
        })
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let changed = self.changed.load(Relaxed);
        let etag = if changed { Some("\"changed\"") } else { self.etag };
        let current = asked.get(header::IF_RANGE).is_none_or(|tag| etag.is_some_and(|etag| tag == etag));
        let range = asked.get(header::RANGE).filter(|_| current).and_then(|range| range.to_str().ok());
        let (first, last) = range.map_or((0, FILE_BYTES - 1), bounds);
        let length = last + 1 - first;
        let content = move |length: usize| {
            stream::iter((first..first + length).step_by(10_000)).map(move |start| {
                let bytes = pattern_piece(start, 10_000.min(first + length - start));
                Ok(if changed { bytes.iter().map(|byte| !byte).collect::<Bytes>() } else { bytes })
            })
        };
        let body = if self.stopped.swap(true, Relaxed) {
            pieces(content(length))
        } else {
            pieces(content(BEGIN_BYTES).chain(stream::pending()))
        };
        let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let mut response = Response::new(status, declared(length as u64, body));
        let headers = &mut response.headers;
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("audio/flac"));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(etag) = etag {
            headers.insert(header::ETAG, HeaderValue::from_static(etag));
        }
        if range.is_some() {
            let range = format!("bytes {first}-{last}/{FILE_BYTES}");
            headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(range).expect("a header value"));
        }
        response
    }
}

fn bounds(range: &str) -> (usize, usize) {
    let (first, last) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).expect("one range");
    let last = if last.is_empty() { FILE_BYTES - 1 } else { last.parse().expect("a number") };
    (first.parse().expect("a number"), last.min(FILE_BYTES - 1))
}

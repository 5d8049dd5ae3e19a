//! A service with one file, reached over both transports, and a way to cut its answers.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use tunnel_core::{FailureKind, Response};

use super::fake::{Act, Piece, Seen, pieces, sized};

/// How the service answers about its file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) content: Bytes,
    pub(crate) etag: Option<&'static str>,
    pub(crate) last_modified: Option<&'static str>,
    /// Whether it says how long the file is.
    pub(crate) has_length: bool,
    /// Whether it answers requests for a range with one.
    pub(crate) has_ranges: bool,
    /// Bytes in a piece.
    pub(crate) piece: usize,
}

/// Where an answer breaks off, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Break {
    At(usize, FailureKind),
    SilentAt(usize),
    Never,
}

pub(crate) fn content(seed: u64, length: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| random.u8(..)).collect::<Vec<u8>>().into()
}

impl File {
    pub(crate) fn new(content: Bytes) -> Self {
        let (etag, last_modified) = (Some("\"v1\""), None);
        Self { content, etag, last_modified, has_length: true, has_ranges: true, piece: 100 }
    }

    pub(crate) fn answer(&self, seen: &Seen, breaks: Break) -> Act {
        let range = seen.headers.get(header::RANGE).filter(|_| self.has_ranges && self.if_range(seen));
        let total = self.content.len();
        let range = range.map(|range| {
            let range = range.to_str().expect("text").strip_prefix("bytes=").expect("bytes");
            let (first, last) = range.split_once('-').expect("a range");
            let last = if last.is_empty() { total - 1 } else { last.parse().expect("a number") };
            (first.parse::<usize>().expect("a number"), last)
        });
        let part = range.map_or_else(|| self.content.clone(), |(first, last)| self.content.slice(first..=last));
        let mut response = Response::new(StatusCode::OK, self.body(&part, breaks));
        let headers = &mut response.headers;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("audio/flac"));
        headers.insert(header::DATE, HeaderValue::from_static("Thu, 26 Nov 2026 12:00:00 GMT"));
        if let Some(etag) = self.etag {
            headers.insert(header::ETAG, HeaderValue::from_static(etag));
        }
        if let Some(date) = self.last_modified {
            headers.insert(header::LAST_MODIFIED, HeaderValue::from_static(date));
        }
        if self.has_length {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(part.len()));
        }
        if let Some((first, last)) = range {
            response.status = StatusCode::PARTIAL_CONTENT;
            let value = format!("bytes {first}-{last}/{total}");
            response.headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(value).expect("a value"));
        }
        Act::Respond(response)
    }

    fn if_range(&self, seen: &Seen) -> bool {
        let Some(wanted) = seen.headers.get(header::IF_RANGE) else { return true };
        [self.etag, self.last_modified].into_iter().flatten().any(|validator| wanted == validator)
    }

    fn body(&self, part: &Bytes, breaks: Break) -> tunnel_core::Body {
        let (end, last) = match breaks {
            Break::At(at, kind) if at <= part.len() => (at, Some(Piece::Fail(kind))),
            Break::SilentAt(at) if at < part.len() => (at, Some(Piece::Silence)),
            _ => (part.len(), None),
        };
        let sent = part.slice(..end);
        let data = sent.chunks(self.piece.max(1)).map(|piece| Piece::Data(sent.slice_ref(piece)));
        let steps = data.chain(last).collect::<Vec<_>>();
        if self.has_length { sized(part.len() as u64, steps) } else { pieces(steps) }
    }
}

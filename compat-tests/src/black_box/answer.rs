//! A response, and its body as it is read.

use std::{ops::Range, time::Duration};

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::{task::JoinSet, time::timeout};

use super::{
    difference::{Context, Difference, ensure, same, shortened},
    keep_alive::KeepAlive,
};
use crate::demo_service::Content;

/// The largest body that is read into memory, in bytes.
const BYTES_MAX: usize = 4 << 20;

/// A response, its body still to be read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Incoming,
    trailers: HeaderMap,
    timeout: Duration,
    _driver: Option<JoinSet<bool>>,
}

impl Answer {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: Incoming, timeout: Duration) -> Self {
        Self { status, headers, body, trailers: HeaderMap::new(), timeout, _driver: None }
    }

    /// Makes the connection end with the answer.
    pub(super) fn owning(self, connection: KeepAlive<'_>) -> Self {
        Self { _driver: Some(connection.into_driver()), ..self }
    }

    /// The answer, if it has this status.
    pub(super) async fn expecting(mut self, status: u16) -> Result<Self, Difference> {
        if self.status.as_u16() != status {
            let said = self.bytes().await.unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let line = said.lines().next().unwrap_or_default();
            let line = if line.is_empty() { String::new() } else { format!(" ({})", shortened(&line)) };
            return Err(Difference::new(format!("the status is {}{line}, expected {status}", self.status.as_u16())));
        }
        Ok(self)
    }

    /// A header as text; empty if it is absent.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Compares a header.
    pub(super) fn same_header(&self, name: &str, expected: &str) -> Result<(), Difference> {
        same(name, self.header(name), expected)
    }

    /// The next piece of the body; `None` at its proper end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Difference> {
        loop {
            let frame = timeout(self.timeout, self.body.frame()).await;
            let frame = frame.map_err(|_| Difference::new(format!("the body stalled for {:?}", self.timeout)))?;
            match frame.transpose().context("the body broke off")?.map(http_body::Frame::into_data) {
                None => return Ok(None),
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => return Ok(Some(data)),
                Some(Err(frame)) => self.trailers.extend(frame.into_trailers().unwrap_or_default()),
            }
        }
    }

    /// Compares the rest of the body with this range of `content`, and returns its length.
    pub(super) async fn compare(&mut self, content: Content, range: Range<u64>) -> Result<u64, Difference> {
        let mut expected = content.pieces(range.clone());
        let mut offset = range.start;
        let mut wanted = Bytes::new();
        while let Some(mut piece) = self.piece().await? {
            while !piece.is_empty() {
                if wanted.is_empty() {
                    wanted = expected.next().context("the body goes on after its expected end")?;
                }
                let length = piece.len().min(wanted.len());
                if piece[..length] != wanted[..length] {
                    let different = piece.iter().zip(&wanted).position(|(got, wanted)| got != wanted);
                    let at = offset + different.unwrap_or_default() as u64;
                    return Err(Difference::new(format!("byte {at} of the content is not what the service sent")));
                }
                piece.advance(length);
                wanted.advance(length);
                offset += length as u64;
            }
        }
        ensure!(
            offset == range.end,
            "the body ends after {} bytes, expected {}",
            offset - range.start,
            range.end - range.start
        );
        Ok(offset - range.start)
    }

    /// The rest of the body in memory, at most 4 MiB.
    pub(super) async fn bytes(&mut self) -> Result<Vec<u8>, Difference> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            bytes.extend_from_slice(&piece);
            ensure!(bytes.len() <= BYTES_MAX, "the body goes on after {BYTES_MAX} bytes");
        }
        Ok(bytes)
    }

    /// The rest of the body as text, with U+FFFD for what is not UTF-8.
    pub(super) async fn text(&mut self) -> Result<String, Difference> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }

    /// The body as JSON.
    pub(super) async fn json(&mut self) -> Result<Value, Difference> {
        serde_json::from_slice(&self.bytes().await?).context("the body is not JSON")
    }

    /// The trailers, once the body has been read.
    pub(super) const fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }
}

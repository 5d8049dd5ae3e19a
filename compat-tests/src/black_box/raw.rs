//! A connection on which every byte is seen: what a forgiving HTTP library would hide.

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    difference::{Context, Difference, ensure, shortened},
    probe::Probe,
};

/// The largest response head, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// A TCP connection and what came over it.
#[derive(Debug)]
pub(super) struct Raw<'a> {
    probe: &'a Probe,
    stream: TcpStream,
    received: BytesMut,
}

/// A response head.
#[derive(Debug)]
pub(super) struct RawHead {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
}

impl<'a> Raw<'a> {
    pub(super) fn new(probe: &'a Probe, stream: TcpStream) -> Self {
        Self { probe, stream, received: BytesMut::new() }
    }

    /// Sends a request head, with what the target wants in it; `fields` are whole lines.
    pub(super) async fn request(&mut self, method: &str, target: &str, fields: &[&str]) -> Result<(), Difference> {
        let target = self.probe.target().sent(target);
        self.send_head(method, &target, fields).await
    }

    /// Asks for a WebSocket.
    pub(super) async fn upgrade(&mut self, target: &str) -> Result<(), Difference> {
        let target = self.probe.target().sent_for_web_socket(target);
        // The key is that of RFC 6455 §1.3.
        let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
        let fields = ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", key];
        self.send_head("GET", &target, &fields).await
    }

    async fn send_head(&mut self, method: &str, sent: &str, fields: &[&str]) -> Result<(), Difference> {
        let target = self.probe.target();
        let mut head = format!("{method} {sent} HTTP/1.1\r\nhost: {}\r\n", target.authority());
        if let Some(Ok(authorization)) = target.authorization().map(HeaderValue::to_str) {
            head = format!("{head}authorization: {authorization}\r\n");
        }
        for field in fields {
            head += field;
            head += "\r\n";
        }
        self.send(format!("{head}\r\n").as_bytes()).await
    }

    /// Sends bytes.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Difference> {
        let sent = timeout(self.probe.timeout(), self.stream.write_all(bytes)).await;
        sent.map_err(|_| self.probe.stalled("the request was not taken"))?.context("the request was not taken")
    }

    /// The next response head. Anything else that comes is a difference.
    pub(super) async fn head(&mut self) -> Result<RawHead, Difference> {
        let end = loop {
            let expected = &b"HTTP/1.1 "[..self.received.len().min(9)];
            let stray = || String::from_utf8_lossy(&self.received[..self.received.len().min(64)]).into_owned();
            ensure!(self.received.starts_with(expected), "instead of a response head came {}", shortened(&stray()));
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(self.received.len() < HEAD_BYTES_MAX, "the response head does not end");
            self.more("a response head").await?;
        };
        let head = self.received.split_to(end).freeze();
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let status = lines.next().and_then(|line| StatusCode::from_bytes(line.get(9..12)?).ok());
        let status = status.context("the status line has no status")?;
        let mut headers = HeaderMap::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let colon = line.iter().position(|byte| *byte == b':').context("a header line has no colon")?;
            let name = HeaderName::from_bytes(&line[..colon])?;
            headers.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii())?);
        }
        // What precedes the final response says nothing about its way.
        if !status.is_informational() {
            self.probe.note(status, &headers);
        }
        Ok(RawHead { status: status.as_u16(), headers })
    }

    /// The body that belongs to a head: by its length, or chunked.
    pub(super) async fn body(&mut self, head: &RawHead) -> Result<Vec<u8>, Difference> {
        let field = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(length) = field("content-length") {
            return self.exactly(length.parse().context("content-length is no number")?).await;
        }
        let chunked = field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        ensure!(chunked, "the response has neither a length nor chunks");
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
            let size = size.context(format!("{} is no chunk size", shortened(&line)))?;
            if size == 0 {
                // Trailers, up to the empty line.
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.exactly(size).await?);
            ensure!(self.line().await?.is_empty(), "a chunk is longer than it says");
        }
    }

    async fn line(&mut self) -> Result<String, Difference> {
        loop {
            if let Some(end) = self.received.windows(2).position(|window| window == b"\r\n") {
                let line = String::from_utf8_lossy(&self.received.split_to(end)).into_owned();
                self.received.advance(2);
                return Ok(line);
            }
            ensure!(self.received.len() < HEAD_BYTES_MAX, "a line does not end");
            self.more("the rest of a chunked body").await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Difference> {
        while self.received.len() < length {
            self.more("the rest of the body").await?;
        }
        Ok(self.received.split_to(length).to_vec())
    }

    async fn more(&mut self, what: &str) -> Result<(), Difference> {
        let read = timeout(self.probe.timeout(), self.stream.read_buf(&mut self.received)).await;
        let read = read.map_err(|_| self.probe.stalled(&format!("{what} did not come")))?;
        let length = read.context(format!("{what} did not come"))?;
        ensure!(length > 0, "the connection was closed instead of {what}");
        Ok(())
    }
}

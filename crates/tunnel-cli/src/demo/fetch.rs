//! A client that watches a response arrive.

use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::{net::TcpStream, runtime::Handle, time::Instant};
use tokio_util::task::AbortOnDropHandle;

/// A response whose body is still to come.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Incoming,
    hash: Sha256,
    bytes: u64,
    last: Instant,
    longest_pause_ms: u128,
    _connection: AbortOnDropHandle<()>,
}

/// A body that has arrived to its end.
pub(super) struct Whole {
    pub(super) bytes: u64,
    pub(super) sha256: String,
    /// The longest time without a byte.
    pub(super) longest_pause_ms: u128,
}

/// Sends a request over a connection of its own, and waits for the head. Dropping the future abandons it.
pub(super) async fn send(
    gateway: SocketAddr,
    method: Method,
    target: &str,
    body: impl Into<Bytes>,
) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect(gateway).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = async move {
        // Whoever reads the body sees its end too.
        let _ = connection.await;
    };
    let connection = AbortOnDropHandle::new(Handle::current().spawn(connection));
    let mut request = Request::new(Full::new(body.into()));
    *request.method_mut() = method;
    *request.uri_mut() = target.parse()?;
    request.headers_mut().insert(header::HOST, gateway.to_string().parse()?);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
        hash: Sha256::new(),
        bytes: 0,
        last: Instant::now(),
        longest_pause_ms: 0,
        _connection: connection,
    })
}

impl Answer {
    /// A header; empty if it is absent.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Reads until so many bytes have arrived.
    pub(super) async fn read_to(&mut self, bytes: u64) -> anyhow::Result<()> {
        while self.bytes < bytes {
            anyhow::ensure!(self.read_some().await?, "the response ended after {} bytes", self.bytes);
        }
        Ok(())
    }

    /// Reads the rest.
    pub(super) async fn read_all(mut self) -> anyhow::Result<Whole> {
        while self.read_some().await? {}
        let sha256 = HEXLOWER.encode(&self.hash.finalize());
        Ok(Whole { bytes: self.bytes, sha256, longest_pause_ms: self.longest_pause_ms })
    }

    /// Whether there was more.
    async fn read_some(&mut self) -> anyhow::Result<bool> {
        let Some(frame) = self.body.frame().await else { return Ok(false) };
        let frame = frame.with_context(|| format!("the response was cut after {} bytes", self.bytes))?;
        self.longest_pause_ms = self.longest_pause_ms.max(self.last.elapsed().as_millis());
        self.last = Instant::now();
        if let Some(data) = frame.data_ref() {
            self.bytes += data.len() as u64;
            self.hash.update(data);
        }
        Ok(true)
    }
}

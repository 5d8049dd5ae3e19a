//! An app: plain HTTP requests to a gateway, every byte compared.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Either, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use patchbay::Device;
use sha2::{Digest, Sha256};
use tokio::{
    net::TcpStream,
    runtime::Handle,
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{pattern, service::File};

/// Where gateways listen in their namespace.
pub(crate) const GATEWAY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8017);

/// How long a response may stand still before the app gives up. Longer than anything that is measured here.
const PATIENCE: Duration = Duration::from_mins(1);

/// A file to get.
#[derive(Clone, Debug)]
pub(crate) struct Get {
    pub(crate) bytes: u64,
    /// Bytes per second at which the service sends; as fast as it can without.
    pub(crate) rate: Option<u64>,
    /// How long until the response head.
    pub(crate) patience: Duration,
    /// Counts the bytes as they come.
    pub(crate) progress: Arc<AtomicU64>,
    /// Whether the SHA-256 is compared, besides every byte.
    pub(crate) hashed: bool,
}

impl Get {
    /// As fast as it goes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { bytes, rate: None, patience: PATIENCE, progress: Arc::default(), hashed: true }
    }

    /// At this speed.
    pub(crate) fn paced(bytes: u64, rate: u64) -> Self {
        Self { rate: Some(rate), ..Self::new(bytes) }
    }
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every byte, each once, and the client was told that it is complete.
    Complete,
    /// An answer that is not the file.
    Refused(u16),
    /// No answer: the connection to the gateway broke off.
    NoAnswer(String),
    /// The client was told that something is missing.
    Cut(String),
    /// The client was told that it is complete, or was given bytes, and they are wrong.
    Wrong(String),
}

/// What became of a request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
    pub(crate) ending: Ending,
    /// `p2p` or `legacy`.
    pub(crate) transport: String,
    /// `direct`, `relayed` or `server`.
    pub(crate) path: String,
    pub(crate) reason: String,
    pub(crate) outcome: String,
    pub(crate) first_byte: Option<Instant>,
    pub(crate) last_byte: Option<Instant>,
    pub(crate) bytes: u64,
    /// The longest time without a byte, and when it began.
    pub(crate) stall: Duration,
    pub(crate) stalled_at: Instant,
    pub(crate) sha256: [u8; 32],
}

impl Answer {
    /// Of a request that begins now.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            ended: now,
            ending: Ending::Complete,
            transport: String::new(),
            path: String::new(),
            reason: String::new(),
            outcome: String::new(),
            first_byte: None,
            last_byte: None,
            bytes: 0,
            stall: Duration::ZERO,
            stalled_at: now,
            sha256: [0; 32],
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.ending == Ending::Complete
    }

    /// Bytes per second from the first byte to the last.
    #[expect(clippy::cast_precision_loss, reason = "a speed to look at")]
    pub(crate) fn bytes_per_second(&self) -> f64 {
        let first = self.first_byte.unwrap_or(self.started);
        self.bytes as f64 / (self.ended - first).as_secs_f64().max(1e-6)
    }

    /// For people: how it ended and how it came.
    pub(crate) fn describe(&self) -> String {
        let took = self.ended - self.started;
        format!(
            "{:?} after {took:.2?}, {} bytes, transport {:?}, path {:?}, reason {:?}, outcome {:?}",
            self.ending, self.bytes, self.transport, self.path, self.reason, self.outcome
        )
    }
}

/// Gets a file from the gateway on this device. Dropping the future gives the request up.
pub(crate) async fn get(device: &Device, get: Get) -> Result<Answer> {
    let task = device.spawn(async move |_| request(GATEWAY, &get).await)?;
    AbortOnDropHandle::new(task).await.context("a request panicked")
}

/// Begins to get a file; the handle gives the answer.
pub(crate) fn begin(device: &Device, get: Get) -> Result<AbortOnDropHandle<Answer>> {
    Ok(AbortOnDropHandle::new(device.spawn(async move |_| request(GATEWAY, &get).await)?))
}

pub(crate) async fn request(gateway: SocketAddr, get: &Get) -> Answer {
    let mut answer = Answer::new();
    answer.ending = match converse(gateway, get, &mut answer).await {
        Ok(()) => Ending::Complete,
        Err(ending) => ending,
    };
    answer.ended = Instant::now();
    answer
}

async fn converse(gateway: SocketAddr, get: &Get, answer: &mut Answer) -> Result<(), Ending> {
    let stream = TcpStream::connect(gateway).await.map_err(|error| lost(&error))?;
    Connection::over(stream).await?.ask(get, answer).await
}

fn lost(error: &dyn std::fmt::Display) -> Ending {
    Ending::NoAnswer(error.to_string())
}

/// A connection that carries one request after the other.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: http1::SendRequest<Either<Empty<Bytes>, File>>,
    peer: String,
    _driver: AbortOnDropHandle<hyper::Result<()>>,
}

impl Connection {
    /// Begins to speak HTTP.
    pub(crate) async fn over(stream: TcpStream) -> Result<Self, Ending> {
        _ = stream.set_nodelay(true);
        let peer = stream.peer_addr().map_err(|error| lost(&error))?.to_string();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
        let driver = AbortOnDropHandle::new(Handle::current().spawn(connection));
        Ok(Self { sender, peer, _driver: driver })
    }

    /// Waits until it can carry another request; whether it can.
    pub(crate) async fn is_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Whether the other end has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Gets a file.
    pub(crate) async fn ask(&mut self, get: &Get, answer: &mut Answer) -> Result<(), Ending> {
        let rate = get.rate.map_or_else(String::new, |rate| format!("?rate={rate}"));
        let request = Request::get(format!("/{}{rate}", get.bytes));
        let response = self.send(request, Either::Left(Empty::new()), get.patience, answer).await?;
        read_body(response.into_body(), get, answer).await
    }

    /// Sends a file; the service compares every byte and answers how many there were.
    pub(crate) async fn put(&mut self, bytes: u64, patience: Duration, answer: &mut Answer) -> Result<(), Ending> {
        let request = Request::post(format!("/{bytes}")).header(header::CONTENT_LENGTH, bytes);
        let response = self.send(request, Either::Right(File::new(0, bytes, None)), patience, answer).await?;
        let body = match timeout(PATIENCE, response.into_body().collect()).await {
            Ok(body) => body.map_err(|error| Ending::Cut(reason(&error)))?.to_bytes(),
            Err(_) => return Err(Ending::Cut(format!("no byte within {PATIENCE:?}"))),
        };
        answer.last_byte = Some(Instant::now());
        if body != bytes.to_string().as_bytes() {
            let said = String::from_utf8_lossy(&body);
            return Err(Ending::Wrong(format!("the service has {said:?} of {bytes} bytes")));
        }
        answer.bytes = bytes;
        Ok(())
    }

    async fn send(
        &mut self,
        request: http::request::Builder,
        body: Either<Empty<Bytes>, File>,
        patience: Duration,
        answer: &mut Answer,
    ) -> Result<http::Response<hyper::body::Incoming>, Ending> {
        let request = request.header(header::HOST, &self.peer).body(body).map_err(|error| lost(&error))?;
        let response = match timeout(patience, self.sender.send_request(request)).await {
            Ok(response) => response.map_err(|error| lost(&error))?,
            Err(_) => return Err(Ending::NoAnswer(format!("no response head within {patience:?}"))),
        };
        read_head(response.headers(), answer);
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let code = response.status().as_u16();
        // The reason is in the body, in words.
        let words = timeout(patience, response.into_body().collect()).await;
        if let Ok(Ok(words)) = words {
            answer.reason = format!("{} {}", answer.reason, String::from_utf8_lossy(&words.to_bytes()).trim());
        }
        Err(if code == StatusCode::UNPROCESSABLE_ENTITY {
            Ending::Wrong(answer.reason.clone())
        } else {
            Ending::Refused(code)
        })
    }
}

fn read_head(headers: &HeaderMap, answer: &mut Answer) {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    answer.transport = text("x-tunnel-transport");
    answer.path = text("x-tunnel-path");
    answer.reason = text("x-tunnel-reason");
    answer.outcome = text("x-tunnel-outcome");
}

async fn read_body(mut body: hyper::body::Incoming, get: &Get, answer: &mut Answer) -> Result<(), Ending> {
    let mut hash = Sha256::new();
    let mut last = Instant::now();
    loop {
        let Ok(frame) = timeout(PATIENCE, body.frame()).await else {
            return Err(Ending::Cut(format!("no byte within {PATIENCE:?}")));
        };
        let now = Instant::now();
        let gap = now - last;
        if gap > answer.stall {
            (answer.stall, answer.stalled_at) = (gap, last);
        }
        last = now;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| Ending::Cut(reason(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        answer.first_byte.get_or_insert(now);
        if let Some(at) = pattern::difference(answer.bytes, &data) {
            return Err(Ending::Wrong(format!("byte {at} is not the one that belongs there")));
        }
        if get.hashed {
            hash.update(&data);
        }
        answer.bytes += data.len() as u64;
        answer.last_byte = Some(now);
        get.progress.store(answer.bytes, Ordering::Relaxed);
    }
    if answer.bytes != get.bytes {
        return Err(Ending::Wrong(format!("{} bytes of {} were called complete", answer.bytes, get.bytes)));
    }
    if !get.hashed {
        return Ok(());
    }
    answer.sha256 = hash.finalize().into();
    if answer.sha256 != sha256(get.bytes) {
        return Err(Ending::Wrong("the SHA-256 is not that of the file".to_owned()));
    }
    Ok(())
}

/// The SHA-256 of a file, computed without the network.
fn sha256(bytes: u64) -> [u8; 32] {
    const PIECE: u64 = 1 << 20;
    let mut hash = Sha256::new();
    let mut at = 0;
    while at < bytes {
        let piece = PIECE.min(bytes - at);
        hash.update(pattern::bytes(at, piece));
        at += piece;
    }
    hash.finalize().into()
}

/// An error with its causes.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

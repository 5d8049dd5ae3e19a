//! The service behind the host: files whose every byte is known from its position, at any speed, in both directions,
//! and a WebSocket that echoes.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, Sleep, sleep_until},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

use crate::pattern;

/// Bytes that a body gives at once.
const PIECE: u64 = 64 << 10;

/// Bytes that a slow body gives at once: small enough that pauses are not its own.
const SLOW_PIECE: u64 = 16 << 10;

/// Serves `/BYTES` and `/BYTES?rate=BYTES_PER_SECOND` until the future is dropped.
pub(crate) async fn serve(address: SocketAddr) -> Result<Infallible> {
    serve_on(TcpListener::bind(address).await?, Arc::default()).await
}

/// The same, at a listener that is there. Counts what is sent to it.
pub(crate) async fn serve_on(listener: TcpListener, received: Arc<AtomicU64>) -> Result<Infallible> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        connections.spawn(converse(stream, received.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, received: Arc<AtomicU64>) {
    let upgrade = Mutex::new(None);
    let answering = service_fn(async |mut request: Request<Incoming>| {
        Ok::<_, Infallible>(match (request.method(), request.uri().path()) {
            (&Method::POST, _) => take(request, &received).await,
            (_, "/echo") => {
                *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(hyper::upgrade::on(&mut request));
                accept(&request)
            }
            _ => answer(&request),
        })
    });
    // The host may hang up whenever it likes.
    _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answering).with_upgrades().await;
    let upgrade = upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(upgrade) = upgrade
        && let Ok(upgraded) = upgrade.await
    {
        echo(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await).await;
    }
}

/// Agrees to a WebSocket.
fn accept(request: &Request<Incoming>) -> Answer {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else { return empty(StatusCode::BAD_REQUEST) };
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// Sends back every message.
async fn echo(mut socket: WebSocketStream<TokioIo<Upgraded>>) {
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_binary() || message.is_text()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

type Answer = Response<Either<File, Full<Bytes>>>;

/// Takes a file to its end and compares it. Answers with its size, or with what is wrong.
async fn take(request: Request<Incoming>, received: &AtomicU64) -> Answer {
    let Some(size) = size(&request) else { return empty(StatusCode::NOT_FOUND) };
    let mut body = request.into_body();
    let mut at = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return said(StatusCode::BAD_REQUEST, format!("cut after {at} bytes")) };
        let Ok(data) = frame.into_data() else { continue };
        if let Some(wrong) = pattern::difference(at, &data) {
            return said(StatusCode::UNPROCESSABLE_ENTITY, format!("byte {wrong} is not the one that belongs there"));
        }
        at += data.len() as u64;
        received.fetch_add(data.len() as u64, Ordering::Relaxed);
    }
    if at == size {
        said(StatusCode::OK, at.to_string())
    } else {
        said(StatusCode::UNPROCESSABLE_ENTITY, format!("{at} bytes of {size} were called complete"))
    }
}

fn size(request: &Request<Incoming>) -> Option<u64> {
    request.uri().path().trim_start_matches('/').parse().ok()
}

fn answer(request: &Request<Incoming>) -> Answer {
    let (Some(size), &Method::GET) = (size(request), request.method()) else { return empty(StatusCode::NOT_FOUND) };
    let rate = request.uri().query().and_then(|query| query.strip_prefix("rate=")).and_then(|rate| rate.parse().ok());
    let etag = format!("\"{size}\"");
    if request.headers().get(header::IF_MATCH).is_some_and(|tag| tag != etag.as_str()) {
        return empty(StatusCode::PRECONDITION_FAILED);
    }
    let from = match request.headers().get(header::IF_RANGE) {
        Some(tag) if tag != etag.as_str() => None,
        _ => first_byte(request.headers()).filter(|&from| from < size),
    };
    let mut response = Response::new(Either::Left(File::new(from.unwrap_or(0), size, rate)));
    let mut set = |name, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::ETAG, etag);
    set(header::ACCEPT_RANGES, "bytes".to_owned());
    set(header::CONTENT_TYPE, "application/octet-stream".to_owned());
    set(header::CONTENT_LENGTH, (size - from.unwrap_or(0)).to_string());
    if let Some(from) = from {
        set(header::CONTENT_RANGE, format!("bytes {from}-{}/{size}", size - 1));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

fn empty(status: StatusCode) -> Answer {
    said(status, String::new())
}

fn said(status: StatusCode, words: String) -> Answer {
    let mut response = Response::new(Either::Right(Full::new(words.into())));
    *response.status_mut() = status;
    response
}

/// Ranges to the end are what a response that continues asks for; of others the whole is given, as HTTP allows.
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::RANGE)?.to_str().ok()?;
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    if last.is_empty() { first.parse().ok() } else { None }
}

/// The rest of a file.
#[derive(Debug)]
pub(crate) struct File {
    at: u64,
    end: u64,
    pace: Option<Pace>,
}

#[derive(Debug)]
struct Pace {
    bytes_per_second: u64,
    waiting: Pin<Box<Sleep>>,
}

impl Pace {
    /// From now until these bytes are due. Who was held up does not hurry afterwards.
    fn wait(&mut self, bytes: u64) {
        let pause = Duration::from_micros(bytes * 1_000_000 / self.bytes_per_second);
        let due = (self.waiting.deadline() + pause).max(Instant::now());
        self.waiting.as_mut().reset(due);
    }
}

impl File {
    /// From this position to that, at so many bytes per second.
    pub(crate) fn new(at: u64, end: u64, rate: Option<u64>) -> Self {
        let waiting = Box::pin(sleep_until(Instant::now()));
        Self { at, end, pace: rate.filter(|&rate| rate > 0).map(|bytes_per_second| Pace { bytes_per_second, waiting }) }
    }
}

impl Body for File {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.at >= self.end {
            return Poll::Ready(None);
        }
        let at = self.at;
        let mut piece = PIECE;
        if let Some(pace) = &mut self.pace {
            ready!(pace.waiting.as_mut().poll(cx));
            piece = SLOW_PIECE;
            pace.wait(piece);
        }
        let length = piece.min(self.end - at);
        self.at += length;
        Poll::Ready(Some(Ok(Frame::data(pattern::bytes(at, length)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ranges_to_the_end_are_ranges() {
        let first = |range: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(range));
            first_byte(&headers)
        };
        assert_eq!(first("bytes=10-"), Some(10));
        assert_eq!(first("bytes=10-20"), None);
        assert_eq!(first("bytes=-5"), None);
        assert_eq!(first("items=1-"), None);
        assert_eq!(first_byte(&HeaderMap::new()), None);
    }
}

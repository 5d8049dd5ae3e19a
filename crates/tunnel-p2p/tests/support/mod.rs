//! Hosts and clients on loopback, services that live in memory, and bodies made to order.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt, future::BoxFuture, stream};
use http::{HeaderMap, Method, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use p2p_provider::{
    SecretKey,
    iroh::{IrohConfig, IrohP2P},
};
use sha2::{Digest, Sha256};
use tokio::{sync::oneshot, time::timeout};
use tunnel_core::{Body, Failure, FailureKind, Handler, Request, Response, WsOpen, WsUpgrade};
use tunnel_p2p::{Client, ClientConfig, Host, HostConfig, TicketSecret};

/// No step of a test takes longer unless something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Fails the test when the future does not end.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen within {PATIENCE:?}"))
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    soon(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A host and a client of it.
pub(crate) struct Pair {
    pub(crate) host: Host<IrohP2P>,
    pub(crate) client: Client<IrohP2P>,
    pub(crate) host_peer: IrohP2P,
    pub(crate) client_peer: IrohP2P,
}

impl Pair {
    pub(crate) async fn start(service: impl Handler) -> Self {
        Self::with(service, |_| {}, |_| {}).await
    }

    pub(crate) async fn with(
        service: impl Handler,
        on_host: impl FnOnce(&mut HostConfig),
        on_client: impl FnOnce(&mut ClientConfig),
    ) -> Self {
        let host_peer = peer().await;
        let mut config = HostConfig::new(TicketSecret::generate());
        on_host(&mut config);
        let host = Host::start(host_peer.clone(), Arc::new(service), config).await.expect("the host starts");
        let client_peer = peer().await;
        let mut config = ClientConfig::default();
        on_client(&mut config);
        let client = Client::start(client_peer.clone(), host.ticket(), config);
        soon("connecting", client.connected()).await.expect("the client connects");
        let pair = Self { host, client, host_peer, client_peer };
        pair.bulk_connected().await;
        pair
    }

    /// Both connections are open, so that large bodies take the path that they usually take.
    async fn bulk_connected(&self) {
        use p2p_provider::P2PProvider;
        until("the bulk connection", || self.client_peer.connections().len() >= 2).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An endpoint on loopback.
pub(crate) async fn peer() -> IrohP2P {
    IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await.expect("loopback can be bound")
}

type HttpFn = dyn Fn(Request) -> BoxFuture<'static, Result<Response, Failure>> + Send + Sync;
type WsFn = dyn Fn(WsOpen) -> BoxFuture<'static, Result<WsUpgrade, Failure>> + Send + Sync;

/// A service made of two functions.
pub(crate) struct Service {
    http: Box<HttpFn>,
    ws: Box<WsFn>,
}

impl Service {
    pub(crate) fn http<F>(http: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Response, Failure>> + Send + 'static,
    {
        Self { http: Box::new(move |request| Box::pin(http(request))), ws: Box::new(|_| Box::pin(async { Err(no()) })) }
    }

    pub(crate) fn ws<F>(ws: impl Fn(WsOpen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<WsUpgrade, Failure>> + Send + 'static,
    {
        Self { ws: Box::new(move |open| Box::pin(ws(open))), ..Self::http(|_| async { Ok(ok("plain")) }) }
    }

    /// Answers `ok`.
    pub(crate) fn hello() -> Self {
        Self::http(|_| async { Ok(ok("ok")) })
    }
}

fn no() -> Failure {
    Failure::new(FailureKind::BadRequest, "no WebSockets here")
}

#[async_trait]
impl Handler for Service {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        (self.http)(request).await
    }

    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        (self.ws)(open).await
    }
}

/// 200 with this body.
pub(crate) fn ok(body: impl Into<Bytes>) -> Response {
    Response::new(StatusCode::OK, Body::full(body))
}

/// A GET.
pub(crate) fn get(target: &str) -> Request {
    request(Method::GET, target, Body::empty())
}

/// A request without headers.
pub(crate) fn request(method: Method, target: &str, body: Body) -> Request {
    let (parts, ()) = http::Request::builder().method(method).uri(target).body(()).expect("a request").into_parts();
    Request::http(1, parts, body)
}

/// The path of a request born as HTTP.
pub(crate) fn path(request: &Request) -> &str {
    match &request.head {
        tunnel_core::RequestHead::Http(parts) => parts.uri.path(),
        tunnel_core::RequestHead::Tunnel(_) => "",
    }
}

/// A body of these pieces, of unknown length, without trailers.
pub(crate) fn pieces(pieces: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static) -> Body {
    Body::stream(StreamBody::new(Box::pin(pieces.map(|piece| piece.map(Frame::data)))))
}

/// The body as it is, but declared to have this length.
pub(crate) fn declared(bytes: u64, body: Body) -> Body {
    Body::stream(Declared { bytes, body })
}

struct Declared {
    bytes: u64,
    body: Body,
}

impl http_body::Body for Declared {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes)
    }
}

/// `total` bytes of a pattern that shows a lost or moved piece, in pieces of `piece` bytes.
pub(crate) fn pattern(total: usize, piece: usize) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static {
    stream::iter((0..total).step_by(piece)).map(move |start| Ok(pattern_piece(start, piece.min(total - start))))
}

/// The bytes of the pattern from `start`.
pub(crate) fn pattern_piece(start: usize, length: usize) -> Bytes {
    (start..start + length).map(pattern_byte).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "a byte of a pattern")]
fn pattern_byte(position: usize) -> u8 {
    (position ^ (position >> 8) ^ (position >> 16)) as u8
}

/// What a body held.
pub(crate) struct Read {
    pub(crate) bytes: usize,
    pub(crate) hash: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

/// Reads a body to its end, keeping only its hash.
pub(crate) async fn digest(mut body: Body) -> Result<Read, Failure> {
    let (mut bytes, mut hash, mut trailers) = (0, Sha256::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => {
                bytes += data.len();
                hash.update(&data);
            }
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Ok(Read { bytes, hash: hash.finalize().to_vec(), trailers })
}

/// The hash of the pattern's first `total` bytes.
pub(crate) fn pattern_hash(total: usize) -> Vec<u8> {
    let mut hash = Sha256::new();
    for start in (0..total).step_by(1 << 16) {
        hash.update(pattern_piece(start, (1 << 16).min(total - start)));
    }
    hash.finalize().to_vec()
}

/// Reads a small body.
pub(crate) async fn text(body: Body) -> Result<String, Failure> {
    let bytes = body.collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads until the body fails; panics when it ends well.
pub(crate) async fn body_error(mut body: Body) -> Failure {
    soon("the error of the body", async {
        loop {
            match body.frame().await {
                Some(Ok(_)) => {}
                Some(Err(failure)) => return failure,
                None => panic!("the body ended well"),
            }
        }
    })
    .await
}

/// Tells when it is dropped.
pub(crate) struct Guard(Option<oneshot::Sender<()>>);

impl Guard {
    pub(crate) fn new() -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(sender)), receiver)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            sender.send(()).ok();
        }
    }
}

/// Endless pieces; `pulled` counts the bytes taken, and the guard goes with the stream.
pub(crate) fn endless(
    piece: usize,
    pulled: Arc<AtomicU64>,
    guard: Option<Guard>,
) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static {
    let bytes = Bytes::from(vec![7; piece]);
    stream::repeat_with(move || {
        let _kept = &guard;
        pulled.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.clone())
    })
}

/// A service whose only body, or future, is handed over by the test.
pub(crate) type Once<T> = Arc<std::sync::Mutex<Option<T>>>;

pub(crate) fn once<T>(value: T) -> Once<T> {
    Arc::new(std::sync::Mutex::new(Some(value)))
}

pub(crate) fn take<T>(once: &Once<T>) -> T {
    once.lock().expect("no poison").take().expect("asked once")
}

//! A sender, its messages, and requests for it.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use p2p_provider::{
    SecretKey,
    iroh::{IrohConfig, IrohP2P},
};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{
    Body, Failure, Handler, Request, Response,
    moosicbox_tunnel::{TunnelEncoding, TunnelHttpRequest, TunnelRequest},
    packet,
};
use tunnel_p2p::{
    Client, ClientConfig, Host, HostConfig, TicketSecret,
    sender::{P2PTunnelSender, P2PTunnelSenderHandle, SenderConfig, TunnelMessage},
};

/// Nothing takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Started {
    pub(crate) sender: P2PTunnelSender,
    pub(crate) handle: P2PTunnelSenderHandle,
    pub(crate) messages: mpsc::Receiver<TunnelMessage>,
}

/// A sender whose loop is the test.
pub(crate) fn started() -> Started {
    started_with(SenderConfig::default())
}

pub(crate) fn started_with(config: SenderConfig) -> Started {
    let (sender, handle) = P2PTunnelSender::detached(config);
    let messages = sender.start();
    Started { sender, handle, messages }
}

impl Started {
    /// What the loop is told next.
    pub(crate) async fn text(&mut self) -> String {
        match soon("a message", self.messages.recv()).await {
            Some(TunnelMessage::Text(text)) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    pub(crate) async fn request(&mut self) -> TunnelRequest {
        serde_json::from_str(&self.text().await).expect("a tunnel request")
    }

    pub(crate) async fn http(&mut self) -> TunnelHttpRequest {
        match self.request().await {
            TunnelRequest::Http(request) => request,
            other => panic!("no HTTP request: {other:?}"),
        }
    }

    pub(crate) async fn abort(&mut self) -> u64 {
        match self.request().await {
            TunnelRequest::Abort(abort) => abort.request_id,
            other => panic!("no abort: {other:?}"),
        }
    }

    /// Asks, as a transport does.
    pub(crate) fn ask(&self, request: Request) -> AbortOnDropHandle<Result<Response, Failure>> {
        let handler = self.sender.handler();
        spawn(async move { handler.http(request).await })
    }

    /// Peers: a host for this sender, and a client of it.
    pub(crate) async fn peers(&self) -> Peers {
        Peers::start(self.sender.handler()).await
    }
}

/// Two peers on loopback.
pub(crate) struct Peers {
    pub(crate) client: Client<IrohP2P>,
    _host: Host<IrohP2P>,
}

impl Peers {
    pub(crate) async fn start(handler: Arc<dyn Handler>) -> Self {
        let home = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await.unwrap();
        let host = Host::start(home, handler, HostConfig::new(TicketSecret::generate())).await.unwrap();
        let away = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await.unwrap();
        let client = Client::start(away, host.ticket(), ClientConfig::default());
        client.connected().await.unwrap();
        Self { client, _host: host }
    }
}

/// Spawns a task that ends with its handle.
#[expect(clippy::disallowed_methods, reason = "this is the place that gives every task an owner")]
pub(crate) fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: nothing happened within {PATIENCE:?}"))
}

/// A GET of this number.
pub(crate) fn tunnel_request(request_id: u64) -> TunnelHttpRequest {
    TunnelHttpRequest {
        request_id,
        method: serde_json::from_value(json!("GET")).unwrap(),
        path: "albums".to_owned(),
        query: json!({}),
        payload: None,
        headers: None,
        encoding: TunnelEncoding::Binary,
        profile: None,
    }
}

/// A request as a gateway makes it.
pub(crate) fn http_request(request: http::request::Builder, body: impl Into<Bytes>) -> Request {
    let (parts, ()) = request.body(()).unwrap().into_parts();
    Request::http(1, parts, Body::full(body))
}

/// A body that comes in pieces, and says how long it is or not.
pub(crate) fn pieces(bytes: &'static [u8], length: Option<u64>) -> Body {
    let pieces = bytes.chunks(3).map(|piece| Ok(http_body::Frame::data(Bytes::from_static(piece))));
    Body::stream(Pieces { pieces: pieces.collect(), length })
}

struct Pieces {
    pieces: VecDeque<Result<http_body::Frame<Bytes>, Failure>>,
    length: Option<u64>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Failure>>> {
        Poll::Ready(self.pieces.pop_front())
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.length.map(http_body::SizeHint::with_exact).unwrap_or_default()
    }
}

/// A packet in upstream's binary form.
pub(crate) fn packet_bytes(request_id: u64, packet_id: u32, last: bool, bytes: &'static [u8]) -> Vec<u8> {
    let first = packet_id == 1;
    let headers = [("content-type".to_owned(), "audio/flac".to_owned())];
    let packet = packet::TunnelResponse {
        request_id,
        packet_id,
        last,
        bytes: Bytes::from_static(bytes),
        status: first.then_some(200),
        headers: first.then(|| headers.into_iter().collect()),
    };
    packet::encode(&packet).unwrap().to_vec()
}

pub(crate) async fn whole(body: Body) -> Result<Bytes, Failure> {
    soon("the end of a body", body.collect()).await.map(http_body_util::Collected::to_bytes)
}

pub(crate) async fn answer(asked: AbortOnDropHandle<Result<Response, Failure>>) -> Result<Response, Failure> {
    soon("an answer", asked).await.unwrap()
}

pub(crate) async fn json_of(body: Body) -> Value {
    serde_json::from_slice(&whole(body).await.unwrap()).unwrap()
}

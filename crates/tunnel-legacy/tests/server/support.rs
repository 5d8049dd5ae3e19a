//! A server, and those who talk to it.

use std::{collections::BTreeMap, net::SocketAddr, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tunnel_core::packet::{TunnelResponse, encode};
use tunnel_legacy::server::{
    Behaviour, Clock, Limits, MemoryStorage, Random, Statistics, Storage, TunnelServer, TunnelServerConfig,
};

/// What the operator has set.
pub(crate) const ACCESS_TOKEN: &str = "devtoken";
/// 2026-01-01.
pub(crate) const NOW: u64 = 1_767_225_600;

/// A running server; dropping it cuts everything.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) statistics: Statistics,
    pub(crate) storage: Arc<dyn Storage>,
    shutdown: CancellationToken,
    running: AbortOnDropHandle<()>,
}

impl Server {
    pub(crate) async fn mended() -> Self {
        Self::start(Behaviour::mended(), Limits::default()).await
    }

    pub(crate) async fn faithful() -> Self {
        Self::start(Behaviour::faithful(), Limits::default()).await
    }

    pub(crate) async fn start(behaviour: Behaviour, limits: Limits) -> Self {
        Self::with(behaviour, limits, Arc::new(MemoryStorage::new()), Clock::starting_at(NOW)).await
    }

    pub(crate) async fn with(behaviour: Behaviour, limits: Limits, storage: Arc<dyn Storage>, clock: Clock) -> Self {
        let config = TunnelServerConfig::new(ACCESS_TOKEN, clock)
            .with_listen(SocketAddr::from(([127, 0, 0, 1], 0)))
            .with_behaviour(behaviour)
            .with_limits(limits)
            .with_random(Random::seeded(7));
        let server = TunnelServer::bind(config, Arc::clone(&storage)).await.unwrap();
        let (addr, statistics, shutdown) = (server.local_addr(), server.statistics(), CancellationToken::new());
        let running = spawn(server.run(shutdown.clone()));
        Self { addr, statistics, storage, shutdown, running: AbortOnDropHandle::new(running) }
    }

    /// Stops in good order.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
    }

    /// Asks for the stop without waiting for it.
    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    /// An account: registered, and with a signature.
    pub(crate) async fn account(&self, client_id: &str) -> Account {
        let registered =
            self.ask("POST", &format!("/auth/register-client?clientId={client_id}"), &[bearer(ACCESS_TOKEN)], "").await;
        assert_eq!(registered.status, StatusCode::OK, "{}", registered.text());
        let token = registered.json()["token"].as_str().unwrap().to_owned();
        let signed =
            self.ask("POST", &format!("/auth/signature-token?clientId={client_id}"), &[bearer(&token)], "").await;
        assert_eq!(signed.status, StatusCode::OK, "{}", signed.text());
        let signature = signed.json()["token"].as_str().unwrap().to_owned();
        Account { client_id: client_id.to_owned(), token, signature }
    }

    /// One request on a connection of its own, with its whole answer.
    pub(crate) async fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, String)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let (response, _connection) = self.send(method, target, headers, body).await;
        Answer::of(response).await
    }

    /// One request on a connection of its own; dropping the guard cuts it.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, String)],
        body: impl Into<Bytes>,
    ) -> (Response<Incoming>, AbortOnDropHandle<()>) {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = AbortOnDropHandle::new(spawn(async move {
            let _ = connection.await;
        }));
        let mut request = Request::builder().method(method).uri(target).header("host", self.addr.to_string());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        (sender.send_request(request).await.unwrap(), connection)
    }

    /// The host of an account, connected.
    pub(crate) async fn host(&self, account: &Account) -> Host {
        self.host_with(account, false).await
    }

    pub(crate) async fn host_with(&self, account: &Account, flow: bool) -> Host {
        let socket = self.ws(&format!("{}&sender=true", account.ws()), flow).await.unwrap();
        Host { socket }
    }

    /// The WebSocket of an app.
    pub(crate) async fn app(&self, account: &Account) -> Host {
        Host { socket: self.ws(&account.ws(), false).await.unwrap() }
    }

    pub(crate) async fn ws(&self, target: &str, flow: bool) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = format!("ws://{}{target}", self.addr).into_client_request().unwrap();
        if flow {
            request.headers_mut().insert("x-tunnel-extensions", "flow".parse().unwrap());
        }
        let (socket, response) = client_async(request, stream).await?;
        assert_eq!(response.headers().get("x-tunnel-extensions").is_some(), flow);
        Ok(socket)
    }

    /// The request that `asking` sends, as it reaches the host. `asking` must not end before.
    pub(crate) async fn reaches<T: std::fmt::Debug>(
        &self,
        host: &mut Host,
        asking: Pin<&mut impl Future<Output = T>>,
    ) -> (u64, Value) {
        tokio::select! {
            biased;
            answer = asking => panic!("answered before the host was asked: {answer:?}"),
            request = host.request() => request,
        }
    }

    /// Waits until the counters are as wanted; the test's time limit is that of the runner.
    pub(crate) async fn until(&self, wanted: impl Fn(&tunnel_legacy::server::Snapshot) -> bool) {
        while !wanted(&self.statistics.snapshot()) {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
}

#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) client_id: String,
    pub(crate) token: String,
    pub(crate) signature: String,
}

impl Account {
    pub(crate) fn ws(&self) -> String {
        format!("/ws?clientId={}&signature={}", self.client_id, self.signature)
    }

    /// A target with the client id, which the path may have a query before.
    pub(crate) fn target(&self, path: &str) -> String {
        format!("{path}{}clientId={}", if path.contains('?') { '&' } else { '?' }, self.client_id)
    }

    pub(crate) fn bearer(&self) -> (&'static str, String) {
        bearer(&self.token)
    }
}

pub(crate) fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn of(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// One WebSocket to the server.
pub(crate) struct Host {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Host {
    /// The next text, past pings.
    pub(crate) async fn text(&mut self) -> String {
        match self.message().await {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("a text was expected, not {other:?}"),
        }
    }

    /// The next text as JSON.
    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The next HTTP request: its id and all of it.
    pub(crate) async fn request(&mut self) -> (u64, Value) {
        let request = self.json().await;
        assert_eq!(request["type"], "HTTP", "{request}");
        (request["request_id"].as_u64().unwrap(), request)
    }

    pub(crate) async fn message(&mut self) -> Message {
        loop {
            match self.socket.next().await.expect("the WebSocket is open").expect("the WebSocket works") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    /// Waits for the next pong, which shows that everything before the ping has been dealt with.
    pub(crate) async fn pong(&mut self) {
        while !matches!(self.socket.next().await.unwrap().unwrap(), Message::Pong(_)) {}
    }

    /// How the WebSocket ends: the close code, or none. Reads to the end, so that the server gets its answer.
    pub(crate) async fn end(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some(Ok(message)) = self.socket.next().await {
            if let Message::Close(Some(frame)) = message {
                code = Some(frame.code.into());
            }
        }
        code
    }

    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        self.socket.send(Message::Text(text.into().into())).await.unwrap();
    }

    pub(crate) async fn send(&mut self, bytes: impl Into<Bytes>) {
        self.socket.send(Message::Binary(bytes.into())).await.unwrap();
    }

    pub(crate) async fn packet(&mut self, packet: TunnelResponse) {
        self.send(encode(&packet).unwrap()).await;
    }

    /// A whole response in one packet.
    pub(crate) async fn answer(&mut self, request_id: u64, status: u16, body: &'static str) {
        self.packet(first(request_id, status, &[], body, true)).await;
    }
}

/// Packet 1.
pub(crate) fn first(
    request_id: u64,
    status: u16,
    headers: &[(&str, &str)],
    body: &'static str,
    last: bool,
) -> TunnelResponse {
    let headers: BTreeMap<String, String> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    TunnelResponse {
        request_id,
        packet_id: 1,
        last,
        bytes: Bytes::from_static(body.as_bytes()),
        status: Some(status),
        headers: Some(headers),
    }
}

/// A later packet.
pub(crate) fn next(request_id: u64, packet_id: u32, body: impl Into<Bytes>, last: bool) -> TunnelResponse {
    TunnelResponse { request_id, packet_id, last, bytes: body.into(), status: None, headers: None }
}

#[expect(clippy::disallowed_methods, reason = "the handle is aborted on drop, or awaited")]
pub(crate) fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(future)
}

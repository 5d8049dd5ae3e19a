//! A tunnel server made by hand, and services for the host.

use std::{
    fmt::Write as _,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{SinkExt, StreamExt, channel::mpsc as pipe, future::BoxFuture};
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Request, Response, WsMessage, WsOpen, WsSession, WsUpgrade,
    packet::{TunnelResponse, decode, response_from_packets},
};
use tunnel_http::{WsLimits, WsPeer, WsRole, WsSocket, handshake};
use tunnel_legacy::{LegacyHost, LegacyHostConfig, LegacyHostState};

/// What the server does.
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
#[derive(Default)]
pub(crate) struct Rules {
    /// Whether it knows the additions.
    pub(crate) extended: bool,
    /// Whether it refuses to make tokens.
    pub(crate) unauthorized: bool,
    /// Whether it forgets the tokens that it makes.
    pub(crate) forgetful: bool,
    /// Whether it refuses every connection.
    pub(crate) down: bool,
    /// The signature tokens that it takes.
    pub(crate) tokens: Vec<String>,
    /// The first lines of all requests, and when they came.
    pub(crate) seen: Vec<(tokio::time::Instant, String)>,
    made: usize,
}

/// The tunnel server.
pub(crate) struct Server {
    pub(crate) rules: Arc<Mutex<Rules>>,
    hosts: mpsc::Receiver<End>,
}

/// The server's end of a host's WebSocket.
pub(crate) struct End {
    pub(crate) socket: WsSocket<DuplexStream>,
    /// The head of the opening handshake.
    pub(crate) request: String,
}

impl Server {
    /// A server, and the host that is configured to use it.
    pub(crate) fn with_host(
        extended: bool,
        handler: impl Handler,
        change: impl FnOnce(&mut LegacyHostConfig),
    ) -> (Self, LegacyHost) {
        let (sender, hosts) = mpsc::channel(8);
        let rules = Arc::new(Mutex::new(Rules { extended, ..Rules::default() }));
        let connections = Mutex::new(JoinSet::new());
        let shared = Arc::clone(&rules);
        let connect = move || {
            if shared.lock().unwrap().down {
                shared.lock().unwrap().seen.push((tokio::time::Instant::now(), "refused".to_owned()));
                return std::future::ready(Err(io::ErrorKind::ConnectionRefused.into()));
            }
            let (near, far) = tokio::io::duplex(1 << 20);
            connections.lock().unwrap().spawn(serve(far, Arc::clone(&shared), sender.clone()));
            std::future::ready(Ok(near))
        };
        let mut config = LegacyHostConfig::new("http://tunnel.example/t".parse().unwrap(), "home 1", "access");
        config.seed = Some(1);
        change(&mut config);
        let host = LegacyHost::with_connector(config, Arc::new(handler), connect).unwrap();
        (Self { rules, hosts }, host)
    }

    /// The next host that connects.
    pub(crate) async fn host(&mut self) -> End {
        timeout(Duration::from_hours(1), self.hosts.recv()).await.expect("no host comes").unwrap()
    }
}

async fn serve(mut stream: DuplexStream, rules: Arc<Mutex<Rules>>, hosts: mpsc::Sender<End>) {
    loop {
        let Some(request) = read_head(&mut stream).await else { return };
        let line = request.lines().next().unwrap().to_owned();
        let answer = {
            let mut rules = rules.lock().unwrap();
            rules.seen.push((tokio::time::Instant::now(), line.clone()));
            if line.starts_with("POST /t/auth/signature-token?clientId=home%201 ")
                && request.contains("authorization: Bearer access\r\n")
                && !rules.unauthorized
            {
                rules.made += 1;
                let token = format!("token-{}", rules.made);
                let body = format!("{{\"token\":\"{token}\"}}");
                if !rules.forgetful {
                    rules.tokens.push(token);
                }
                Some(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
            } else if line.starts_with("GET /t/ws?")
                && rules.tokens.iter().any(|token| line.contains(&format!("signature={token} ")))
            {
                None
            } else {
                Some("HTTP/1.1 401 Unauthorized\r\ncontent-length: 12\r\n\r\nUnauthorized".to_owned())
            }
        };
        if let Some(answer) = answer {
            stream.write_all(answer.as_bytes()).await.unwrap();
            continue;
        }
        let mut headers = http::HeaderMap::new();
        for (name, value) in request.lines().skip(1).filter_map(|line| line.split_once(": ")) {
            headers.append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        let mut answer = "HTTP/1.1 101 Switching Protocols\r\n".to_owned();
        for (name, value) in &handshake::accept(&headers).unwrap() {
            write!(answer, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
        }
        if rules.lock().unwrap().extended {
            answer += "x-tunnel-extensions: flow\r\n";
        }
        stream.write_all((answer + "\r\n").as_bytes()).await.unwrap();
        let limits =
            WsLimits { message_bytes_max: 16 << 20, ping_interval: Duration::ZERO, idle_timeout: Duration::ZERO };
        let peer =
            WsPeer { name: "the host".to_owned(), broke_off: FailureKind::Aborted, silent: FailureKind::Aborted };
        let socket = WsSocket::new(stream, WsRole::Server, limits, peer).await;
        hosts.send(End { socket, request }).await.ok();
        return;
    }
}

async fn read_head(stream: &mut DuplexStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(request).unwrap())
}

impl End {
    pub(crate) async fn say(&mut self, text: &str) {
        self.socket.send(WsMessage::Text(text.to_owned().into())).await.unwrap();
    }

    pub(crate) async fn ask(&mut self, request_id: u64, path: &str) {
        self.say(&ask(request_id, path)).await;
    }

    /// The next message that is neither ping nor pong.
    pub(crate) async fn hear(&mut self) -> WsMessage {
        self.hear_within(Duration::from_hours(1)).await.expect("nothing comes")
    }

    /// As [`hear`](Self::hear), but `None` if nothing comes in time.
    pub(crate) async fn hear_within(&mut self, limit: Duration) -> Option<WsMessage> {
        timeout(limit, async {
            loop {
                match self.socket.next().await {
                    Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_))) => {}
                    Some(Ok(message)) => return message,
                    Some(Err(failure)) => panic!("{failure}"),
                    None => panic!("the host has gone"),
                }
            }
        })
        .await
        .ok()
    }

    /// Waits until the host is gone, without a close.
    pub(crate) async fn cut(&mut self) {
        while let Some(message) = self.socket.next().await {
            match message {
                Ok(WsMessage::Close(close)) => panic!("closed in order: {close:?}"),
                Ok(_) => {}
                Err(_) => return,
            }
        }
        panic!("closed in order");
    }

    pub(crate) async fn packet(&mut self) -> TunnelResponse {
        match self.hear().await {
            WsMessage::Binary(bytes) => {
                assert!(bytes.len() <= 65_536);
                decode(bytes).unwrap()
            }
            message => panic!("{message:?}"),
        }
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.hear().await {
            WsMessage::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
            message => panic!("{message:?}"),
        }
    }

    /// The whole response to the one request that is under way.
    pub(crate) async fn response(&mut self, request_id: u64) -> (Response, Vec<u8>) {
        let mut packets = vec![Ok(self.packet().await)];
        while !packets.last().unwrap().as_ref().unwrap().last {
            packets.push(Ok(self.packet().await));
        }
        let mut response = response_from_packets(request_id, futures::stream::iter(packets)).await.unwrap();
        let body = std::mem::take(&mut response.body).collect().await.unwrap().to_bytes().to_vec();
        (response, body)
    }
}

/// A GET in the tunnel's form.
pub(crate) fn ask(request_id: u64, path: &str) -> String {
    format!(
        r#"{{"encoding":"BINARY","method":"GET","path":"{path}","profile":"p","query":{{"clientId":"home 1"}},"request_id":{request_id},"type":"HTTP"}}"#
    )
}

pub(crate) fn reason(response: &Response) -> &str {
    response.headers["x-tunnel-reason"].to_str().unwrap()
}

/// Waits until the host is connected.
pub(crate) async fn connected(host: &LegacyHost) {
    let mut state = host.state();
    while !matches!(state, LegacyHostState::Connected { .. }) {
        state = host.changed_from(&state).await;
    }
}

/// A service made of two functions.
pub(crate) struct Service<H, W> {
    pub(crate) http: H,
    pub(crate) ws: W,
}

#[async_trait]
impl<H, W> Handler for Service<H, W>
where
    H: Fn(Request) -> BoxFuture<'static, Result<Response, Failure>> + Send + Sync + 'static,
    W: Fn(WsOpen) -> BoxFuture<'static, Result<WsUpgrade, Failure>> + Send + Sync + 'static,
{
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        (self.http)(request).await
    }

    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        (self.ws)(open).await
    }
}

/// A service that answers HTTP only.
pub(crate) fn http<F>(answer: impl Fn(Request) -> F + Send + Sync + 'static) -> impl Handler
where
    F: Future<Output = Result<Response, Failure>> + Send + 'static,
{
    Service {
        http: move |request| -> BoxFuture<'static, _> { Box::pin(answer(request)) },
        ws: |_| -> BoxFuture<'static, _> {
            Box::pin(async { Err(Failure::new(FailureKind::ServiceUnreachable, "there is no WebSocket")) })
        },
    }
}

/// A service that answers every request with its path.
pub(crate) fn echo() -> impl Handler {
    http(|request| async move {
        let tunnel_core::RequestHead::Tunnel(head) = request.head else { panic!("converted too early") };
        Ok(ok(Body::full(head.path)))
    })
}

pub(crate) fn ok(body: Body) -> Response {
    Response::new(StatusCode::OK, body)
}

/// A body that never ends, of pieces that are always ready.
pub(crate) fn endless(piece: Bytes) -> Body {
    Body::stream(http_body_util::StreamBody::new(futures::stream::repeat_with(move || {
        Ok(http_body::Frame::data(piece.clone()))
    })))
}

/// The service's end of a WebSocket.
pub(crate) struct Peer {
    pub(crate) target: String,
    pub(crate) heard: pipe::Receiver<WsMessage>,
    pub(crate) says: pipe::Sender<Result<WsMessage, Failure>>,
}

impl Peer {
    pub(crate) async fn hear(&mut self) -> WsMessage {
        timeout(Duration::from_hours(1), self.heard.next()).await.expect("nothing comes").expect("it is cut")
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.says.send(Ok(WsMessage::Text(text.to_owned().into()))).await.unwrap();
    }
}

/// A service of WebSockets, whose ends come out of the receiver.
pub(crate) fn websockets() -> (impl Handler, mpsc::Receiver<Peer>) {
    let (peers, receiver) = mpsc::channel(16);
    let handler = Service {
        http: |_| -> BoxFuture<'static, _> { Box::pin(async { Ok(ok(Body::full("http"))) }) },
        ws: move |open: WsOpen| -> BoxFuture<'static, _> {
            let peers = peers.clone();
            Box::pin(async move {
                let (sink, heard) = pipe::channel(4);
                let (says, stream) = pipe::channel(4);
                let sink = sink.sink_map_err(|_| Failure::new(FailureKind::ServiceFailed, "the service has gone"));
                peers.send(Peer { target: open.uri.to_string(), heard, says }).await.unwrap();
                let session = WsSession { sink: Box::pin(sink), stream: Box::pin(stream) };
                Ok(WsUpgrade::Accepted { headers: http::HeaderMap::new(), session, via: None })
            })
        },
    };
    (handler, receiver)
}

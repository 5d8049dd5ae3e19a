//! A tunnel without a network: gateway, loopback transport, local service, and raw peers at both ends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tunnel_core::{
    Failure, Handler, Health, PathKind, Request, Response, SendError, Transport, TransportKind, Via, WsOpen, WsUpgrade,
};
use tunnel_edge::{Gateway, GatewayConfig, LocalService, Profile, ServiceConfig};

/// Far above what anything here takes; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Hands every request to the handler.
pub(crate) struct Loopback<H> {
    pub(crate) handler: H,
    pub(crate) health: Health,
}

pub(crate) fn healthy(client_id: Option<&str>) -> Health {
    Health::Healthy { path: PathKind::Direct, client_id: client_id.map(str::to_owned) }
}

#[async_trait]
impl<H: Handler> Transport for Loopback<H> {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        let mut response = self.handler.http(request).await.map_err(SendError::unknown)?;
        response.via = Some(Via { transport: TransportKind::P2p, path: PathKind::Direct, reason: None });
        Ok(response)
    }

    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        self.handler.ws(open).await
    }

    fn health(&self) -> Health {
        self.health.clone()
    }

    async fn probe(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// A running gateway; dropping it stops it.
pub(crate) struct Tunnel {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) running: AbortOnDropHandle<()>,
}

impl Tunnel {
    /// Both edges in the plain profile.
    pub(crate) async fn plain(target: &str) -> Self {
        Self::with(target, |service, gateway| {
            service.profile = Profile::Plain;
            gateway.profile = Profile::Plain;
        })
        .await
    }

    pub(crate) async fn with(target: &str, change: impl FnOnce(&mut ServiceConfig, &mut GatewayConfig)) -> Self {
        let mut service = ServiceConfig::new(target.parse().unwrap());
        let mut gateway = GatewayConfig::default();
        gateway.listen.set_port(0);
        change(&mut service, &mut gateway);
        let handler = LocalService::new(service).unwrap();
        Self::over(gateway, Arc::new(Loopback { handler, health: healthy(None) })).await
    }

    pub(crate) async fn over(config: GatewayConfig, transport: Arc<dyn Transport>) -> Self {
        let gateway = Gateway::bind(config, transport).await.unwrap();
        let (address, shutdown) = (gateway.local_addr(), CancellationToken::new());
        let running = AbortOnDropHandle::new(tokio::runtime::Handle::current().spawn(gateway.run(shutdown.clone())));
        Self { address, shutdown, running }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends raw bytes and reads to the end of the connection.
    pub(crate) async fn exchange(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        read_to_end(&mut stream).await
    }

    /// A GET that closes the connection, as text.
    pub(crate) async fn get(&self, target: &str, fields: &str) -> String {
        let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fields}\r\n");
        text(&self.exchange(request.as_bytes()).await)
    }
}

/// A raw service; dropping it stops it.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    _accepting: AbortOnDropHandle<()>,
}

impl Service {
    /// Calls `serve` with each connection.
    pub(crate) async fn start<F, T>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::runtime::Handle::current().spawn(async move {
            let mut tasks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tasks.spawn(serve(stream));
            }
        });
        Self { address, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// Answers every request head with the same bytes and keeps the connection. Bodies are not read.
    pub(crate) async fn answering(answer: &'static [u8]) -> Self {
        Self::start(move |mut stream| async move {
            while !read_head(&mut stream).await.is_empty() {
                stream.write_all(answer).await.unwrap();
            }
        })
        .await
    }

    /// Answers every request with the request itself, head and body (by content-length or chunked), as its body.
    pub(crate) async fn echoing() -> Self {
        Self::start(|mut stream| async move {
            loop {
                let mut seen = read_head(&mut stream).await;
                if seen.is_empty() {
                    return;
                }
                let head = text(&seen).to_ascii_lowercase();
                if let Some(length) = field(&head, "content-length") {
                    let mut body = vec![0; length.parse().unwrap()];
                    stream.read_exact(&mut body).await.unwrap();
                    seen.extend(body);
                } else if field(&head, "transfer-encoding").is_some() {
                    // All bodies in these tests end like this, and nowhere else.
                    while !(seen.ends_with(b"\r\n\r\n") && text(&seen).contains("\r\n0\r\n")) {
                        seen.push(stream.read_u8().await.unwrap());
                    }
                }
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", seen.len());
                stream.write_all(&[head.as_bytes(), &seen].concat()).await.unwrap();
            }
        })
        .await
    }

    pub(crate) fn target(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Everything up to and with the empty line; empty when the connection has ended.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match timeout(PATIENCE, stream.read_u8()).await.expect("no head") {
            Ok(byte) => head.push(byte),
            Err(_) => return Vec::new(),
        }
    }
    head
}

pub(crate) async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A cut connection may also be seen as a reset.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the connection does not end");
    bytes
}

/// Reads until the text appears.
pub(crate) async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut bytes = Vec::new();
    while !text(&bytes).ends_with(end) {
        bytes.push(timeout(PATIENCE, stream.read_u8()).await.expect("it does not come").unwrap());
    }
    text(&bytes)
}

/// Waits until the other side has gone.
pub(crate) async fn wait_for_close(stream: &mut (impl AsyncRead + Unpin)) {
    read_to_end(stream).await;
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The value of a header in the text of a message.
pub(crate) fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let head = message.split("\r\n\r\n").next().unwrap_or_default();
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find(|(n, _)| *n == name)
        .map(|(_, value)| value.trim())
}

pub(crate) fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

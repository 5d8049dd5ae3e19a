//! The server in memory, under a clock that only the tests move: what takes long, and what must be the same every time.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
    time::Instant,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tunnel_legacy::server::{Clock, Listener, MemoryStorage, Random, Statistics, TunnelServer, TunnelServerConfig};

use crate::support::{ACCESS_TOKEN, NOW, bearer, spawn};

struct InProcess(mpsc::Receiver<DuplexStream>);

impl Listener for InProcess {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        let stream = self.0.recv().await.ok_or(io::ErrorKind::NotConnected)?;
        Ok((stream, self.local_addr()?))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], 8004)))
    }
}

struct Server {
    peers: mpsc::Sender<DuplexStream>,
    statistics: Statistics,
    _running: AbortOnDropHandle<()>,
}

impl Server {
    fn start(seed: u64) -> Self {
        let (peers, receiver) = mpsc::channel(16);
        let config = TunnelServerConfig::new(ACCESS_TOKEN, Clock::starting_at(NOW)).with_random(Random::seeded(seed));
        let server = TunnelServer::on(InProcess(receiver), config, Arc::new(MemoryStorage::new())).unwrap();
        let statistics = server.statistics();
        let running = AbortOnDropHandle::new(spawn(server.run(CancellationToken::new())));
        Self { peers, statistics, _running: running }
    }

    async fn connect(&self) -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        self.peers.send(theirs).await.unwrap();
        ours
    }

    async fn ask(&self, method: &str, target: &str, token: &str) -> (StatusCode, Bytes) {
        let io = TokioIo::new(self.connect().await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let _connection = AbortOnDropHandle::new(spawn(connection));
        let (name, value) = bearer(token);
        let request = Request::builder().method(method).uri(target).header("host", "x").header(name, value);
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    }

    async fn token(&self, target: &str, token: &str) -> String {
        let (status, body) = self.ask("POST", target, token).await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_slice::<Value>(&body).unwrap()["token"].as_str().unwrap().to_owned()
    }

    /// A client token, a signature, and the host's WebSocket.
    async fn host(&self) -> (String, String, WebSocketStream<DuplexStream>) {
        let token = self.token("/auth/register-client?clientId=a", ACCESS_TOKEN).await;
        let signature = self.token("/auth/signature-token?clientId=a", &token).await;
        let target = format!("ws://x/ws?clientId=a&signature={signature}&sender=true");
        let (socket, _) = client_async(target.into_client_request().unwrap(), self.connect().await).await.unwrap();
        (token, signature, socket)
    }
}

async fn text(socket: &mut WebSocketStream<DuplexStream>) -> String {
    loop {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            return text.as_str().to_owned();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_has_75_seconds_for_the_head() {
    let server = Server::start(1);
    let (token, _, mut host) = server.host().await;
    let asked = Instant::now();
    let ((status, _), abort) = tokio::join!(server.ask("GET", "/x?clientId=a", &token), async {
        text(&mut host).await;
        text(&mut host).await
    });
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(asked.elapsed().as_secs(), 75);
    assert!(abort.contains("ABORT"), "{abort}");
}

#[tokio::test(start_paused = true)]
async fn peers_are_pinged_every_5_seconds_and_dropped_after_10_of_silence() {
    let server = Server::start(1);
    let (_, _, mut host) = server.host().await;
    let connected = Instant::now();
    let mut pings = Vec::new();
    while pings.len() < 4 {
        if let Message::Ping(_) = host.next().await.unwrap().unwrap() {
            pings.push(connected.elapsed().as_secs());
        }
    }
    assert_eq!(pings, [0, 5, 10, 15]);
    // Answers are written with the next read: the last ping is answered by nobody from here on.
    let silent = Instant::now();
    while server.statistics.snapshot().hosts > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let dropped = silent.elapsed().as_secs();
    assert!((5..=15).contains(&dropped), "{dropped}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_tokens_and_ids() {
    let run = async |seed| {
        let server = Server::start(seed);
        let (token, signature, mut host) = server.host().await;
        let request = tokio::select! {
            biased;
            answer = server.ask("GET", "/x?clientId=a", &token) => panic!("{answer:?}"),
            request = text(&mut host) => request,
        };
        (token, signature, request)
    };
    assert_eq!(run(5).await, run(5).await);
    assert_ne!(run(5).await, run(6).await);
}

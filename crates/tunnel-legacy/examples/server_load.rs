//! What the tunnel server can do, measured in one process over loopback: server, one raw host, and clients that keep their
//! connections.
//!
//! ```text
//! cargo run --release -p tunnel-legacy --features server --example server_load [-- SECONDS [flow]]
//! ```
//!
//! The host answers by itself, with no service behind it; with `flow` it asks for the additions of `spec/legacy.md`.

#![expect(clippy::print_stdout, reason = "its report")]
#![expect(clippy::unwrap_used, reason = "a tool for developers: whatever fails ends it")]

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{SinkExt, StreamExt, future::join_all};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinSet, time::Instant};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use tokio_util::sync::CancellationToken;
use tunnel_core::packet::{TunnelResponse, encode};
use tunnel_legacy::server::{Clock, MemoryStorage, TunnelServer, TunnelServerConfig};

const ACCESS_TOKEN: &str = "access";
const PIECE_BYTES: usize = 65_536 - 13;
const LARGE_BYTES: usize = 256 * 1024 * 1024;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(5, |text| text.parse().unwrap());
    let flow = arguments.next().is_some_and(|text| text == "flow");
    let config =
        TunnelServerConfig::new(ACCESS_TOKEN, Clock::starting_at(0)).with_listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = TunnelServer::bind(config, Arc::new(MemoryStorage::new())).await.unwrap();
    let (addr, statistics) = (server.local_addr(), server.statistics());
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run(CancellationToken::new()));

    let token = token(addr, "/auth/register-client?clientId=a", ACCESS_TOKEN).await;
    let signature = self::token(addr, "/auth/signature-token?clientId=a", &token).await;
    tasks.spawn(host(addr, signature, flow));
    while statistics.snapshot().hosts == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    for clients in [1, 32] {
        let until = Instant::now() + Duration::from_secs(seconds);
        let all = join_all((0..clients).map(|_| small(addr, token.clone(), until))).await;
        let mut times: Vec<Duration> = all.into_iter().flatten().collect();
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_micros();
        let rate = times.len() as u64 / seconds;
        println!("1 KiB, {clients:2} clients: {rate:6} requests/s, p50 {} us, p99 {} us", at(50), at(99));
    }
    for clients in [1, 4] {
        let started = Instant::now();
        let read: usize = join_all((0..clients).map(|_| large(addr, token.clone()))).await.into_iter().sum();
        let rate = read as u128 * 1000 / started.elapsed().as_millis() / (1024 * 1024);
        println!("256 MiB, {clients} clients: {rate} MiB/s in total");
    }
    println!("{:?}", statistics.snapshot());
}

async fn connect(addr: SocketAddr, tasks: &mut JoinSet<()>) -> hyper::client::conn::http1::SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tasks.spawn(async move {
        let _ = connection.await;
    });
    sender
}

fn request(method: &str, target: &str, token: &str) -> Request<Empty<Bytes>> {
    let request = Request::builder().method(method).uri(target).header("host", "localhost");
    request.header("authorization", format!("Bearer {token}")).body(Empty::new()).unwrap()
}

async fn token(addr: SocketAddr, target: &str, token: &str) -> String {
    let mut tasks = JoinSet::new();
    let response = connect(addr, &mut tasks).await.send_request(request("POST", target, token)).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice::<Value>(&body).unwrap()["token"].as_str().unwrap().to_owned()
}

async fn small(addr: SocketAddr, token: String, until: Instant) -> Vec<Duration> {
    let mut tasks = JoinSet::new();
    let mut sender = connect(addr, &mut tasks).await;
    let mut times = Vec::new();
    while Instant::now() < until {
        sender.ready().await.unwrap();
        let started = Instant::now();
        let response = sender.send_request(request("GET", "/small?clientId=a", &token)).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 1024);
        times.push(started.elapsed());
    }
    times
}

async fn large(addr: SocketAddr, token: String) -> usize {
    let mut tasks = JoinSet::new();
    let mut sender = connect(addr, &mut tasks).await;
    let mut body = sender.send_request(request("GET", "/large?clientId=a", &token)).await.unwrap().into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    assert_eq!(read, LARGE_BYTES);
    read
}

/// A response under way.
struct Sending {
    id: u64,
    packet: u32,
    left: usize,
    open: u64,
}

async fn host(addr: SocketAddr, signature: String, flow: bool) {
    let stream = TcpStream::connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let target = format!("ws://{addr}/ws?clientId=a&signature={signature}&sender=true");
    let mut opening = target.into_client_request().unwrap();
    if flow {
        opening.headers_mut().insert("x-tunnel-extensions", "flow".parse().unwrap());
    }
    let (socket, _) = client_async(opening, stream).await.unwrap();
    let (mut sink, mut source) = socket.split();
    let piece = Bytes::from(vec![7; PIECE_BYTES]);
    let mut sending: VecDeque<Sending> = VecDeque::new();
    loop {
        let ready = sending.iter().position(|response| response.open > 0);
        let message = tokio::select! {
            biased;
            message = source.next() => message,
            () = std::future::ready(()), if ready.is_some() => {
                if let Some(mut response) = ready.and_then(|index| sending.remove(index)) {
                    let bytes = piece.slice(..response.left.min(PIECE_BYTES));
                    response.left -= bytes.len();
                    response.packet += 1;
                    response.open -= 1;
                    let last = response.left == 0;
                    let packet = packet(response.id, response.packet, last, bytes);
                    sink.send(Message::Binary(encode(&packet).unwrap())).await.unwrap();
                    if !last {
                        sending.push_back(response);
                    }
                }
                continue;
            }
        };
        let Some(Ok(Message::Text(text))) = message else {
            match message {
                Some(Ok(_)) => continue,
                _ => return,
            }
        };
        let message: Value = serde_json::from_str(&text).unwrap();
        let id = message["request_id"].as_u64().unwrap();
        match message["type"].as_str() {
            Some("HTTP") if message["path"] == "small" => {
                let packet = packet(id, 1, true, piece.slice(..1024));
                sink.send(Message::Binary(encode(&packet).unwrap())).await.unwrap();
            }
            Some("HTTP") => {
                let packet = packet(id, 1, false, Bytes::new());
                sink.send(Message::Binary(encode(&packet).unwrap())).await.unwrap();
                let open = if flow { 31 } else { u64::MAX };
                sending.push_back(Sending { id, packet: 1, left: LARGE_BYTES, open });
            }
            Some("WINDOW") => {
                if let Some(response) = sending.iter_mut().find(|response| response.id == id) {
                    response.open += message["packets"].as_u64().unwrap();
                }
            }
            _ => {}
        }
    }
}

fn packet(request_id: u64, packet_id: u32, last: bool, bytes: Bytes) -> TunnelResponse {
    let first = packet_id == 1;
    let (status, headers) = (first.then_some(200), first.then(BTreeMap::new));
    TunnelResponse { request_id, packet_id, last, bytes, status, headers }
}

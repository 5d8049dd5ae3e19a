//! What the tunnel costs beside the bare streams: `cargo run --release -p tunnel-p2p --example benchmark`.
//!
//! The same three things over both, in the same run and by turns, so that whatever else the machine does hits both: setting
//! up a connection, small requests, a download. Beside the figures stands their ratio; only that says something on
//! another machine. `-- ROUNDS` measures more often. `tunnel-p2p bench` measures far more.
#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use std::{error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use p2p_provider::{
    ConnectionConfig, ConnectionLimits, P2PConnection, P2PListener, P2PProvider, RecvStream, SecretKey, SendStream,
    iroh::{IrohConfig, IrohConnection, IrohListener, IrohP2P},
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tunnel_core::{Body, Failure, FailureKind, Handler, Request, RequestHead, Response, Transport, WsOpen, WsUpgrade};
use tunnel_p2p::{Client, ClientConfig, Host, HostConfig, Ticket, TicketSecret};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const PROTOCOL: &[u8] = b"example/benchmark/1";

/// How often everything is measured if nothing is said. The median is shown.
const ROUNDS: usize = 5;

/// Connections per round, one after the other.
const CONNECT_COUNT: u32 = 10;

/// Small requests per round.
const SMALL_COUNT: u32 = 300;
const SMALL_BYTES: u64 = 1 << 10;
const BULK_BYTES: u64 = 64 << 20;

/// Bytes per write and per read of many.
const PIECE: &[u8] = &[7; 64 << 10];

/// What the tunnel allows to a client that it knows.
const LIMITS: ConnectionLimits = ConnectionLimits { bidi_streams: 200, uni_streams: 200, receive_window: 256 << 20 };

/// Per round; far more than it takes.
const PATIENCE: Duration = Duration::from_mins(1);

// One thread, as in the tunnel's own processes.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let rounds = std::env::args().nth(1).map_or(Ok(ROUNDS), |text| text.parse())?;
    if !(1..=1000).contains(&rounds) {
        return Err("usage: benchmark [ROUNDS], from 1 to 1000".into());
    }
    let (raw, tunnel) = (Raw::start().await?, Tunnel::start().await?);
    let (mut of_raws, mut of_tunnels) = (Figures::default(), Figures::default());
    // The first round warms up: caches, allocator, congestion window. It does not count.
    for round in 0..=rounds {
        // Each goes first every other time: the one that follows finds the connections of the other one closing.
        let (of_raw, of_tunnel) = if round % 2 == 0 {
            let of_raw = timeout(PATIENCE, measure(&raw)).await??;
            (of_raw, timeout(PATIENCE, measure(&tunnel)).await??)
        } else {
            let of_tunnel = timeout(PATIENCE, measure(&tunnel)).await??;
            (timeout(PATIENCE, measure(&raw)).await??, of_tunnel)
        };
        if round > 0 {
            of_raws.add(&of_raw);
            of_tunnels.add(&of_tunnel);
        }
    }
    raw.close().await;
    tunnel.close().await;
    report(of_raws, of_tunnels);
    Ok(())
}

/// One way to exchange bytes between two peers of this process.
trait Way {
    /// What is set up.
    type Connection;

    /// Sets up a connection, up to the point from which it can be used.
    async fn connect(&self) -> Result<Self::Connection>;

    /// Asks for so many bytes, and returns how many came.
    async fn ask(&self, connection: &Self::Connection, bytes: u64) -> Result<u64>;
}

/// One round: the time of a connection, of a small request, of the download, in seconds.
async fn measure<W: Way>(way: &W) -> Result<[f64; 3]> {
    let start = Instant::now();
    let mut connection = way.connect().await?;
    for _ in 1..CONNECT_COUNT {
        connection = way.connect().await?;
    }
    let connect = start.elapsed().as_secs_f64() / f64::from(CONNECT_COUNT);

    let start = Instant::now();
    for _ in 0..SMALL_COUNT {
        exact(way.ask(&connection, SMALL_BYTES).await?, SMALL_BYTES)?;
    }
    let small = start.elapsed().as_secs_f64() / f64::from(SMALL_COUNT);

    let start = Instant::now();
    exact(way.ask(&connection, BULK_BYTES).await?, BULK_BYTES)?;
    Ok([connect, small, start.elapsed().as_secs_f64()])
}

fn exact(received: u64, wanted: u64) -> Result<()> {
    if received == wanted { Ok(()) } else { Err(format!("{received} bytes came instead of {wanted}").into()) }
}

/// Iroh's streams, as `p2p-provider` hands them out: a request is eight bytes that say how many to send.
struct Raw {
    peers: [IrohP2P; 2],
    _answering: JoinSet<()>,
}

impl Raw {
    async fn start() -> Result<Self> {
        let peers = peers().await?;
        let mut answering = JoinSet::new();
        answering.spawn(answer_all(peers[0].listen(&[PROTOCOL]).await?));
        Ok(Self { peers, _answering: answering })
    }

    async fn close(&self) {
        for peer in &self.peers {
            peer.close().await;
        }
    }
}

impl Way for Raw {
    type Connection = IrohConnection;

    async fn connect(&self) -> Result<IrohConnection> {
        let connection = self.peers[1].connect(&self.peers[0].local_addr(), &ConnectionConfig::new(PROTOCOL)).await?;
        connection.set_limits(LIMITS);
        // A dialler is ready before the other side is: an answer says that both are.
        exact(self.ask(&connection, 1).await?, 1)?;
        Ok(connection)
    }

    async fn ask(&self, connection: &IrohConnection, bytes: u64) -> Result<u64> {
        let (mut send, mut receive) = connection.open_bi().await?;
        send.write_chunks(&mut [Bytes::copy_from_slice(&bytes.to_be_bytes())]).await?;
        send.finish();
        let mut received = 0;
        let mut pieces = [const { Bytes::new() }; 32];
        while let Some(count) = receive.read_chunks(&mut pieces).await? {
            received += pieces[..count].iter().map(|piece| piece.len() as u64).sum::<u64>();
        }
        Ok(received)
    }
}

async fn answer_all(mut listener: IrohListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            connection = listener.accept() => match connection {
                Some(connection) => _ = connections.spawn(answer(connection)),
                None => return,
            },
        }
    }
}

/// Answers one request after the other. What goes wrong here is seen by the one who asks.
async fn answer(connection: IrohConnection) {
    connection.set_limits(LIMITS);
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        let mut pieces = [const { Bytes::new() }; 1];
        let Ok(Some(_)) = receive.read_chunks(&mut pieces).await else { continue };
        // The eight bytes are one write, and so one packet.
        let Ok(bytes) = pieces[0][..].try_into() else { continue };
        let mut rest = u64::from_be_bytes(bytes);
        while rest > 0 {
            // 1 MiB at a time, about one window of a stream.
            let mut batch: Vec<Bytes> = parts(&mut rest).take(16).collect();
            if send.write_chunks(&mut batch).await.is_err() {
                break;
            }
        }
        send.finish();
    }
}

/// `rest` bytes, piece by piece.
fn parts(rest: &mut u64) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let length = usize::try_from(*rest).unwrap_or(usize::MAX).min(PIECE.len());
        *rest -= length as u64;
        (length > 0).then(|| Bytes::from_static(&PIECE[..length]))
    })
}

/// The tunnel: a request is a GET of `/BYTES`, the answer a response of that many.
struct Tunnel {
    peers: [IrohP2P; 2],
    ticket: Ticket,
    _host: Host<IrohP2P>,
}

impl Tunnel {
    async fn start() -> Result<Self> {
        let peers = peers().await?;
        let host = Host::start(peers[0].clone(), Arc::new(InMemory), HostConfig::new(TicketSecret::generate())).await?;
        Ok(Self { peers, ticket: host.ticket(), _host: host })
    }

    async fn close(&self) {
        for peer in &self.peers {
            peer.close().await;
        }
    }
}

impl Way for Tunnel {
    type Connection = Client<IrohP2P>;

    /// Up to the host's word that the client's secret is the right one.
    async fn connect(&self) -> Result<Client<IrohP2P>> {
        let client = Client::start(self.peers[1].clone(), self.ticket.clone(), ClientConfig::default());
        client.connected().await?;
        Ok(client)
    }

    async fn ask(&self, client: &Client<IrohP2P>, bytes: u64) -> Result<u64> {
        let (head, ()) = http::Request::get(format!("/{bytes}")).body(())?.into_parts();
        let response =
            client.send(Request::http(0, head, Body::empty())).await.map_err(|error| error.failure().clone())?;
        let mut received = 0;
        let mut body = response.body;
        while let Some(frame) = body.frame().await {
            received += frame?.data_ref().map_or(0, |piece| piece.len() as u64);
        }
        Ok(received)
    }
}

/// A service that costs nothing.
struct InMemory;

#[async_trait]
impl Handler for InMemory {
    async fn http(&self, request: Request) -> std::result::Result<Response, Failure> {
        let bytes = match &request.head {
            RequestHead::Http(head) => head.uri.path().trim_start_matches('/').parse::<u64>().ok(),
            RequestHead::Tunnel(_) => None,
        };
        let bytes = bytes.ok_or_else(|| Failure::new(FailureKind::BadRequest, "the path is a number"))?;
        if bytes <= PIECE.len() as u64 {
            let mut rest = bytes;
            return Ok(Response::new(StatusCode::OK, Body::full(parts(&mut rest).next().unwrap_or_default())));
        }
        let mut rest = bytes;
        let pieces = futures::stream::poll_fn(move |_| std::task::Poll::Ready(parts(&mut rest).next()));
        let body = StreamBody::new(futures::StreamExt::map(pieces, |piece| Ok(Frame::data(piece))));
        Ok(Response::new(StatusCode::OK, Body::stream(body)))
    }

    async fn ws(&self, _open: WsOpen) -> std::result::Result<WsUpgrade, Failure> {
        Err(Failure::new(FailureKind::BadRequest, "no WebSockets here"))
    }
}

async fn peers() -> Result<[IrohP2P; 2]> {
    let peer = || IrohP2P::bind(IrohConfig::loopback(SecretKey::generate()));
    Ok([peer().await?, peer().await?])
}

/// What was measured in all rounds.
#[derive(Default)]
struct Figures([Vec<f64>; 3]);

impl Figures {
    fn add(&mut self, measured: &[f64; 3]) {
        self.0.iter_mut().zip(measured).for_each(|(all, one)| all.push(*one));
    }

    fn medians(self) -> [f64; 3] {
        self.0.map(|mut all| {
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        })
    }
}

fn report(raw: Figures, tunnel: Figures) {
    let rounds = raw.0[0].len();
    let (raw, tunnel) = (raw.medians(), tunnel.medians());
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let megabytes = BULK_BYTES as f64 / 1e6;
    println!("{:<20} {:>12} {:>12} {:>14}", format!("median of {rounds}"), "raw streams", "tunnel-p2p", "tunnel / raw");
    for (name, index, show) in [
        ("connection set-up", 0, &(|time| format!("{:.2} ms", time * 1e3)) as &dyn Fn(f64) -> String),
        ("request of 1 KiB", 1, &|time| format!("{:.0} us", time * 1e6)),
        ("download of 64 MiB", 2, &|time| format!("{:.0} MB/s", megabytes / time)),
    ] {
        let ratio = format!("{:.2} x the time", tunnel[index] / raw[index]);
        println!("{name:<20} {:>12} {:>12} {ratio:>14}", show(raw[index]), show(tunnel[index]));
    }
}

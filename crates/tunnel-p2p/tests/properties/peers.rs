//! Peers that write the wire by hand, beside a client that behaves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{SinkExt, StreamExt, channel::mpsc, future::LocalBoxFuture, stream::FuturesUnordered};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use p2p_provider::{
    ConnectionConfig, P2PConnection, P2PProvider, PeerAddr, RecvStream, SecretKey, SendStream,
    simulator::{Conditions, SimConnection, SimP2P, SimPeerConfig},
};
use proptest::{collection, prelude::*};
use tokio::time::{interval, sleep, timeout};
use tunnel_core::{Body, Failure, FailureKind, Handler, Request, RequestHead, Response, WsOpen, WsSession, WsUpgrade};
use tunnel_p2p::{ALPN, Host, HostConfig, TicketSecret};
use tunnel_sim::{
    Caller, Environment, Report, Service, Stage,
    body::Pace,
    plan::{Plan, Verb},
    run_story, together,
};

use super::frames::{CONTROL, Damage, Frame, Hello, bytes_of, continuation, control, damages, sequence};

/// Bytes of the largest answer, which a raw peer may leave unread: on a long path its streams have room for all of it.
const ANSWER_BYTES_MAX: usize = 3_000_000;

/// Writes of one stream: well below the number of unread pieces at which the connection would end.
const WRITES_MAX: usize = 1000;

/// What a peer may make the host hold before it is authorized.
const STRANGER_BYTES: u64 = 256 << 10;

/// The peers of a run, and what the client that behaves asks meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Siege {
    seed: u64,
    /// One way. On a long path bodies are spread.
    latency: Duration,
    peers: Vec<RawPeer>,
    requests: Vec<(Duration, Plan)>,
}

/// One connection of a raw peer.
#[derive(Clone, Debug)]
struct RawPeer {
    start: Duration,
    lasts: Duration,
    role: u32,
    capabilities: u64,
    session: u128,
    hello: Greeting,
    /// What follows on the control stream.
    control: Vec<Frame>,
    streams: Vec<RawStream>,
    closes: bool,
}

#[derive(Clone, Debug)]
enum Greeting {
    Right,
    WrongSecret,
    Damaged(Vec<Damage>),
    Missing,
}

#[derive(Clone, Debug)]
struct RawStream {
    start: Duration,
    /// Both directions, or one.
    uni: bool,
    first: Vec<u8>,
    frames: Vec<Frame>,
    damages: Vec<Damage>,
    /// Bytes of one write.
    piece: usize,
    pause: Duration,
    ending: Ending,
    reading: Reading,
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Finish,
    Reset(u8),
    Drop,
    Hold,
}

#[derive(Clone, Copy, Debug)]
enum Reading {
    All,
    Nothing,
    Stop(u8),
}

impl Siege {
    pub(crate) fn run(&self) -> Report {
        let this = self.clone();
        run_story("siege", move |stage| Box::pin(this.play(stage)), &Environment::with_seed(self.seed), false)
    }

    async fn play(self, stage: Stage) {
        stage.conditions(Conditions::new(self.latency));
        let home = stage.network.node("home");
        let peer = home.peer(SimPeerConfig::default()).expect("a new node has no peer");
        let service = Arc::new(Behind { service: Service::new(stage.oracle.clone()), working: Arc::default() });
        let working = Arc::clone(&service.working);
        let config = HostConfig::new(TicketSecret::from(SecretKey::from_bytes(home.id().0)));
        let secret = config.secret.to_bytes().to_vec();
        let host = Host::start(peer, service, config).await.expect("nobody listens yet");
        let client = stage.client_with("client", host.ticket());
        client.connected().await;

        let raw = stage.network.node("raw").peer(SimPeerConfig::default()).expect("a new node has no peer");
        let bound = self.unread_bytes_max();
        let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
        for peer in self.peers {
            let (raw, address, secret) = (raw.clone(), host.ticket().host, secret.clone());
            acts.push(Box::pin(async move {
                // However it hangs, it leaves.
                timeout(peer.start + peer.lasts, peer.play(raw, address, secret)).await.ok();
            }));
        }
        for (start, plan) in self.requests {
            let client = client.clone();
            acts.push(Box::pin(async move {
                sleep(start).await;
                client.must(plan, Pace::Fast).await;
            }));
        }
        let watching = async {
            let mut ticks = interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                let usage = stage.network.usage();
                if usage.unread_bytes > bound {
                    stage.oracle.violate(format!("more than {bound} bytes wait: {usage:?}"));
                }
            }
        };
        tokio::select! {
            biased;
            () = together(acts) => {}
            () = watching => {}
        }
        raw.close().await;
        stage.settle(&[&client]).await;
        let working = working.load(Ordering::Relaxed);
        if working > 0 {
            stage.oracle.violate(format!("the service works on {working} requests of peers that have left"));
        }
    }

    fn unread_bytes_max(&self) -> u64 {
        let peers = self.peers.iter().map(|peer| {
            let sent: usize = peer.streams.iter().map(|stream| stream.bytes().len()).sum();
            let answers = (peer.streams.len() * ANSWER_BYTES_MAX) as u64;
            match peer.hello {
                Greeting::WrongSecret | Greeting::Missing => STRANGER_BYTES.min(sent as u64),
                Greeting::Right | Greeting::Damaged(_) => sent as u64 + answers,
            }
        });
        let requests = self.requests.iter().map(|(_, plan)| plan.up + plan.down + (64 << 10));
        peers.chain(requests).sum::<u64>() + (64 << 10)
    }
}

impl RawPeer {
    async fn play(self, raw: SimP2P, host: PeerAddr, secret: Vec<u8>) {
        sleep(self.start).await;
        let Ok(connection) = raw.connect(&host, &ConnectionConfig::new(ALPN)).await else { return };
        let Ok((mut send, mut recv)) = connection.open_bi().await else { return };
        let secret = if matches!(self.hello, Greeting::WrongSecret) { vec![9; 32] } else { secret };
        let hello =
            Frame::Hello(Hello { role: self.role, capabilities: self.capabilities, session: self.session, secret });
        let damages = if let Greeting::Damaged(damages) = &self.hello { &damages[..] } else { &[] };
        let frames = if matches!(self.hello, Greeting::Missing) { vec![] } else { vec![hello] };
        let first = [bytes_of(&[CONTROL], &frames, damages), bytes_of(&[], &self.control, &[])].concat();
        let talking = async {
            send.write_chunks(&mut [first.into()]).await.ok();
            read_all(&mut recv).await;
        };
        let mut streams: FuturesUnordered<_> =
            self.streams.into_iter().map(|stream| stream.play(&connection)).collect();
        let all = async { while streams.next().await.is_some() {} };
        tokio::select! {
            biased;
            _ = async { tokio::join!(talking, all) } => {}
            () = sleep(self.lasts.mul_f64(0.9)) => {}
        }
        if self.closes {
            connection.close(77, "raw");
        }
    }
}

impl RawStream {
    fn bytes(&self) -> Vec<u8> {
        bytes_of(&self.first, &self.frames, &self.damages)
    }

    async fn play(self, connection: &SimConnection) {
        sleep(self.start).await;
        let (mut send, recv) = if self.uni {
            let Ok(send) = connection.open_uni().await else { return };
            (send, None)
        } else {
            let Ok((send, recv)) = connection.open_bi().await else { return };
            (send, Some(recv))
        };
        let mut bytes = Bytes::from(self.bytes());
        // Whoever lets too many small pieces lie unread loses the connection: that only harms itself.
        let size = self.piece.max(bytes.len() / WRITES_MAX).max(1);
        let writing = async {
            while !bytes.is_empty() {
                let piece = bytes.split_to(size.min(bytes.len()));
                if send.write_chunks(&mut [piece]).await.is_err() {
                    break;
                }
                if !self.pause.is_zero() {
                    sleep(self.pause).await;
                }
            }
            match self.ending {
                Ending::Finish => send.finish(),
                Ending::Reset(code) => send.reset(code.into()),
                Ending::Drop => drop(send),
                Ending::Hold => std::future::pending().await,
            }
        };
        let reading = async {
            let Some(mut recv) = recv else { return };
            match self.reading {
                Reading::All => read_all(&mut recv).await,
                Reading::Nothing => std::future::pending().await,
                Reading::Stop(code) => recv.stop(code.into()),
            }
        };
        tokio::join!(writing, reading);
    }
}

async fn read_all(recv: &mut impl RecvStream) {
    let mut chunks = [const { Bytes::new() }; 16];
    while let Ok(Some(_)) = recv.read_chunks(&mut chunks).await {}
}

/// The service: the one that the oracle knows, and one for raw peers.
struct Behind {
    service: Arc<Service>,
    /// Requests of raw peers.
    working: Arc<AtomicUsize>,
}

/// One request of a raw peer is being worked on.
struct Work(Arc<AtomicUsize>);

impl Work {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Handler for Behind {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        let path = match &request.head {
            RequestHead::Http(parts) => parts.uri.path().to_owned(),
            RequestHead::Tunnel(tunnel) => format!("/{}", tunnel.path.trim_start_matches('/')),
        };
        if Plan::parse(&path).is_some() {
            return self.service.http(request).await;
        }
        let work = Work::begin(&self.working);
        let body = match path.as_str() {
            "/raw/echo" => request.body,
            "/raw/read" => Body::full(request.body.collect().await?.to_bytes()),
            "/raw/down" => Body::full(vec![7; 300_000]),
            "/raw/hang" => std::future::pending().await,
            "/raw/large" => Body::full(vec![7; ANSWER_BYTES_MAX]),
            _ => return Err(Failure::new(FailureKind::BadRequest, "not for everybody")),
        };
        let kept = body.map_frame(move |frame| {
            let _kept = &work;
            frame
        });
        Ok(Response::new(StatusCode::OK, Body::stream(kept)))
    }

    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        if open.uri.path() != "/raw/ws" {
            return Err(Failure::new(FailureKind::BadRequest, "no such WebSocket"));
        }
        let work = Work::begin(&self.working);
        let (sender, receiver) = mpsc::channel(4);
        let sink = sender.sink_map_err(|_| Failure::new(FailureKind::ServiceFailed, "gone"));
        let stream = receiver.map(move |message| {
            let _kept = &work;
            Ok(message)
        });
        let session = WsSession { sink: Box::pin(sink), stream: Box::pin(stream) };
        Ok(WsUpgrade::Accepted { headers: HeaderMap::new(), session, via: None })
    }
}

// How they are made up.

pub(crate) fn siege() -> impl Strategy<Value = Siege> {
    let request =
        (millis(0..6_000), 0_u64..400_000, any::<bool>(), any::<bool>()).prop_map(|(start, size, echoes, trailers)| {
            let plan =
                if echoes { Plan { verb: Verb::Echo, ..Plan::upload(0, size) } } else { Plan::download(0, size) };
            (start, Plan { trailers, ..plan })
        });
    let latency = prop_oneof![2 => Just(Duration::from_millis(1)), 1 => millis(10..100)];
    (any::<u64>(), latency, collection::vec(peer(), 1..6), collection::vec(request, 1..8))
        .prop_map(|(seed, latency, peers, requests)| Siege { seed, latency, peers, requests })
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn peer() -> impl Strategy<Value = RawPeer> {
    let role = prop_oneof![3 => Just(0_u32), 3 => Just(1_u32), 1 => any::<u32>()];
    let hello = prop_oneof![
        8 => Just(Greeting::Right),
        1 => Just(Greeting::WrongSecret),
        2 => damages().prop_map(Greeting::Damaged),
        1 => Just(Greeting::Missing),
    ];
    let times = (millis(0..1_000), millis(1..20_000));
    (times, role, 0_u64..2, 0_u128..2, hello, control(), collection::vec(stream(), 0..10), any::<bool>()).prop_map(
        |((start, lasts), role, capabilities, session, hello, control, streams, closes)| RawPeer {
            start,
            lasts,
            role,
            capabilities,
            session,
            hello,
            control,
            streams,
            closes,
        },
    )
}

fn stream() -> impl Strategy<Value = RawStream> {
    let what = prop_oneof![
        3 => sequence().prop_map(|(kind, frames)| (false, vec![kind], frames)),
        2 => continuation().prop_map(|(first, frames)| (true, first, frames)),
    ];
    let piece = prop_oneof![2 => Just(usize::MAX), 1 => 1_usize..50, 2 => 50_usize..5_000];
    let pause = prop_oneof![3 => Just(Duration::ZERO), 1 => millis(0..10)];
    let ending = prop_oneof![
        5 => Just(Ending::Finish),
        1 => any::<u8>().prop_map(Ending::Reset),
        1 => Just(Ending::Drop),
        1 => Just(Ending::Hold),
    ];
    let reading =
        prop_oneof![5 => Just(Reading::All), 1 => Just(Reading::Nothing), 1 => any::<u8>().prop_map(Reading::Stop)];
    (millis(0..500), what, damages(), piece, pause, ending, reading).prop_map(
        |(start, (uni, first, frames), damages, piece, pause, ending, reading)| RawStream {
            start,
            uni,
            first,
            frames,
            damages,
            piece,
            pause,
            ending,
            reading,
        },
    )
}

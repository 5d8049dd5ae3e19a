//! Peers that break the protocol harm nobody else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use p2p_provider::{CloseReason, ConnectionConfig, P2PConnection, P2PProvider, SendStream, iroh::IrohP2P};
use support::{Pair, Service, get, peer, soon, text};
use tunnel_core::{FailureKind, Transport};
use tunnel_p2p::{ALPN, TicketSecret};

type Connection = <IrohP2P as P2PProvider>::Connection;

/// `type`, length, payload.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind][..], &length, payload].concat()
}

fn encode(value: impl bincode::Encode) -> Vec<u8> {
    bincode::encode_to_vec(value, bincode::config::standard()).unwrap()
}

fn hello(secret: &TicketSecret, role: u32, session: u128) -> Vec<u8> {
    let fields = (0_u16, 0_u64, role, session, secret.to_bytes().to_vec(), None::<String>, "test");
    [vec![0], frame(0x20, &encode(fields))].concat()
}

async fn dial(peer: &IrohP2P, pair: &Pair) -> Connection {
    peer.connect(&pair.host.ticket().host, &ConnectionConfig::new(ALPN)).await.unwrap()
}

/// Writes on a new stream, which must then be kept.
async fn write(connection: &Connection, bytes: Vec<u8>) -> impl Sized + use<> {
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_chunks(&mut [Bytes::from(bytes)]).await.ok();
    (send, recv)
}

async fn closed(connection: &Connection) -> FailureKind {
    match soon("the close", connection.closed()).await {
        CloseReason::Peer { code, .. } => FailureKind::from_code(code).unwrap(),
        other => panic!("{other}"),
    }
}

async fn still_works(pair: &Pair) {
    let response = soon("a response", pair.client.send(get("/"))).await.unwrap();
    assert_eq!(text(response.body).await.unwrap(), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_begin_wrongly_are_closed_with_a_code() {
    let pair = Pair::with(Service::hello(), |config| config.hello_timeout = Duration::from_millis(300), |_| {}).await;
    let secret = pair.host.ticket().secret;
    let cases: [(&str, Vec<u8>, FailureKind); 7] = [
        ("silence", vec![0], FailureKind::Timeout),
        ("garbage", vec![0xaa; 1000], FailureKind::Protocol),
        ("unknown frame", [vec![0], frame(0x7f, b"x")].concat(), FailureKind::Protocol),
        ("garbage hello", [vec![0], frame(0x20, &[0xff; 50])].concat(), FailureKind::Protocol),
        ("long hello", [vec![0, 0x20], 0x00ff_ffff_u32.to_be_bytes().to_vec()].concat(), FailureKind::TooLarge),
        ("request first", vec![1, 1, 0, 0, 0, 0], FailureKind::Protocol),
        ("bulk without main", hello(&secret, 1, 5), FailureKind::Protocol),
    ];
    let bad = peer().await;
    for (name, bytes, code) in cases {
        let connection = dial(&bad, &pair).await;
        let _kept = write(&connection, bytes).await;
        assert_eq!(closed(&connection).await, code, "{name}");
        still_works(&pair).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_control_frames_that_break_the_rules_harm_nobody() {
    let pair = Pair::start(Service::hello()).await;
    let secret = pair.host.ticket().secret;
    let bad = peer().await;
    let head = |size: (u32, u64)| {
        let fields = ("POST", "/", Vec::<(String, Vec<u8>)>::new(), size.0, size.1);
        [vec![1], frame(0x01, &encode(fields))].concat()
    };
    let connection = dial(&bad, &pair).await;
    let (mut control, _answers) = connection.open_bi().await.unwrap();
    let mut first = hello(&secret, 0, 77);
    for number in 0..10_000_u64 {
        first.extend(frame(0x22, &encode((number,))));
        first.extend(frame(0x25, &encode((number * 4, u32::MAX))));
    }
    control.write_chunks(&mut [Bytes::from(first)]).await.unwrap();
    let mut kept = Vec::new();
    for bytes in [
        vec![9, 9, 9],
        vec![1, 1, 0, 0, 1, 0, 5],
        vec![1, 0x7f, 0, 0, 0, 0],
        [head((1, 3)), frame(0x02, &[1; 10])].concat(),
        [head((1, 3)), frame(0x02, &[])].concat(),
        [vec![2], frame(0x02, b"x")].concat(),
    ] {
        kept.push(write(&connection, bytes).await);
    }
    still_works(&pair).await;
    let bulk = dial(&bad, &pair).await;
    let _control = write(&bulk, hello(&secret, 1, 77)).await;
    for number in [0_u64, 4, 4, u64::MAX] {
        let mut stream = soon("a stream", bulk.open_uni()).await.unwrap();
        stream.write_chunks(&mut [Bytes::from([&[3][..], &number.to_be_bytes(), &[1; 50]].concat())]).await.ok();
    }
    still_works(&pair).await;
    control.finish();
    soon("the close", connection.closed()).await;
    still_works(&pair).await;
}

//! How a connection to a host begins: hellos, versions, roles; and what its control stream carries.

use std::time::Duration;

use p2p_provider::{CloseReason, ConnectionConfig, P2PConnection, P2PError, P2PListener, P2PProvider, SendStream};
use tunnel_core::FailureKind;
use tunnel_p2p::{ALPN, Client, ClientConfig, MINOR, Ticket, TicketSecret};

use super::{
    patience::{soon, until},
    raw::{
        Answer, CONTROL, CREDIT, DATA, HELLO, PING, ROLE_BULK, ROLE_MAIN, RawStream, Scene, Size, WELCOME, closed,
        decode, encode, frame, head, hello, request,
    },
};
use crate::backend::PeerBackend;

pub async fn connections_that_begin_wrongly_are_closed_with_a_code<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let with_control = |bytes: Vec<u8>| [&[CONTROL][..], &bytes].concat();
    let wrong_secret = hello(0, 0, ROLE_MAIN, 5, &TicketSecret::generate());
    let cut = scene.hello(ROLE_MAIN, 5)[..20].to_vec();
    let cases: [(&str, Vec<u8>, FailureKind); 11] = [
        ("garbage", vec![0xaa; 1000], FailureKind::Protocol),
        ("unknown frame", with_control(frame(0x7f, b"x")), FailureKind::Protocol),
        ("garbage hello", with_control(frame(HELLO, [0xff; 50])), FailureKind::Protocol),
        ("empty hello", with_control(frame(HELLO, [])), FailureKind::Protocol),
        ("unknown role", with_control(scene.hello(2, 5)), FailureKind::Protocol),
        ("long hello", with_control(frame(HELLO, vec![0; (16 << 10) + 1])), FailureKind::TooLarge),
        ("hello cut short", with_control(cut), FailureKind::Protocol),
        ("ping first", with_control(frame(PING, encode((1_u64,)))), FailureKind::Protocol),
        ("request first", request("GET", "/", Size::None), FailureKind::Protocol),
        ("bulk without main", with_control(scene.hello(ROLE_BULK, 5)), FailureKind::Protocol),
        ("wrong secret", with_control(wrong_secret), FailureKind::Unauthorized),
    ];
    for (name, bytes, code) in cases {
        let connection = scene.dial().await;
        let mut stream = RawStream::open(&connection, bytes).await;
        stream.send.finish();
        assert_eq!(closed(&connection).await, code, "{name}");
        scene.others_still_work().await;
    }
    assert_eq!(scene.host.clients().len(), 1, "none of them came in");
}

/// Whether it opens no stream at all, or does not go on in the middle of its first words.
pub async fn silence_after_connecting_is_not_waited_for<B: PeerBackend>(backend: B) {
    let scene = Scene::with(&backend, |config| config.hello_timeout = Duration::from_secs(1)).await;
    let silent = scene.dial().await;
    let begun = scene.dial().await;
    let _begun = RawStream::open(&begun, vec![CONTROL]).await;
    let half = scene.dial().await;
    let _half = RawStream::open(&half, [&[CONTROL][..], &scene.hello(ROLE_MAIN, 5)[..20]].concat()).await;
    for connection in [silent, begun, half] {
        assert_eq!(closed(&connection).await, FailureKind::Timeout);
    }
    scene.others_still_work().await;
}

pub async fn another_major_version_is_named_to_the_dialler<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    for protocol in ["tunnel-p2p/2", "tunnel-p2p/0", "tunnel-p2p/1.1", "tunnel-p2p"] {
        let config = ConnectionConfig::new(protocol.as_bytes());
        let error = soon(scene.raw.connect(&scene.host.ticket().host, &config)).await.err().unwrap();
        assert!(matches!(&error, P2PError::ProtocolMismatch { protocol: named, .. } if named == protocol), "{error}");
    }
    scene.others_still_work().await;
}

pub async fn a_client_says_that_its_host_has_another_major_version<B: PeerBackend>(backend: B) {
    let (server, away) = (soon(backend.peer()).await, soon(backend.peer()).await);
    let mut listener = soon(server.listen(&[b"tunnel-p2p/2"])).await.unwrap();
    let ticket = Ticket { host: server.local_addr(), secret: Some(TicketSecret::generate()) };
    let client = Client::start(away, ticket, ClientConfig::default());
    let failure = soon(async {
        tokio::select! {
            biased;
            _ = listener.accept() => panic!("no protocol in common"),
            connected = client.connected() => connected.unwrap_err(),
        }
    })
    .await;
    assert_eq!(failure.kind(), FailureKind::Protocol);
    assert!(failure.message().contains(std::str::from_utf8(ALPN).unwrap()), "{failure}");
}

/// A later minor version, with features of its own and fields that this one does not know.
pub async fn a_higher_minor_version_is_welcome<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let connection = scene.dial().await;
    let secret = scene.host.ticket().secret.unwrap().to_bytes().to_vec();
    let fields = (u16::MAX, u64::MAX, ROLE_MAIN, 5_u128, secret, None::<String>, "raw");
    let appended = (u64::MAX, "what a later version adds", vec![1_u8, 2, 3]);
    let hello = frame(HELLO, [encode(fields), encode(appended)].concat());
    let mut control = RawStream::open(&connection, [&[CONTROL][..], &hello].concat()).await;
    let welcome = control.expect(WELCOME).await;
    let (minor, capabilities, ..): (u16, u64, u32, u32, Option<String>, String) = decode(&welcome);
    // Spread bodies, and credits on streams of their own.
    assert_eq!((minor, capabilities), (MINOR, 3));
    let mut stream = RawStream::open(&connection, request("GET", "/", Size::None)).await;
    assert_eq!(stream.answer().await, Answer::Response(200, b"ok".to_vec()));
    scene.others_still_work().await;
}

/// What a later version may say before and between what this one knows.
pub async fn unknown_optional_control_frames_are_skipped<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let connection = scene.dial().await;
    let first = [&[CONTROL][..], &frame(0x80, b"first"), &scene.hello(ROLE_MAIN, 5), &frame(0xff, [])].concat();
    let mut control = RawStream::open(&connection, first).await;
    control.expect(WELCOME).await;
    let appended = frame(PING, [encode((41_u64,)), encode("appended")].concat());
    control.write([frame(0x99, vec![0; 16 << 10]), appended, frame(0xa5, b"x")].concat()).await;
    control.pong(41).await;
    scene.others_still_work().await;
}

pub async fn a_ping_is_answered_with_its_number<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (_connection, mut control) = scene.welcomed(ROLE_MAIN, 5).await;
    for number in [0, 7, u64::MAX] {
        control.ping(number).await;
    }
}

pub async fn control_frames_that_break_the_rules_end_the_connection<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let cases = [
        ("hello twice", scene.hello(ROLE_MAIN, 6)),
        ("a head", head("GET", "/", Size::None)),
        ("data", frame(DATA, b"x")),
        ("an unknown frame", frame(0x7f, b"x")),
        ("a ping without a number", frame(PING, [])),
        ("a credit without a number of frames", frame(CREDIT, [4])),
        ("a long ping", frame(PING, vec![0; (16 << 10) + 1])),
        ("a long optional frame", frame(0x80, vec![0; (16 << 10) + 1])),
    ];
    for (name, bytes) in cases {
        let (connection, mut control) = scene.welcomed(ROLE_MAIN, 5).await;
        control.write(bytes).await;
        let reason = soon(connection.closed()).await;
        assert!(matches!(reason, CloseReason::Peer { .. }), "{name}: {reason}");
        scene.others_still_work().await;
        until(|| scene.host.clients().len() == 1).await;
    }
}

pub async fn a_control_stream_that_ends_ends_the_connection<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    for reset in [false, true] {
        let (connection, mut control) = scene.welcomed(ROLE_MAIN, 5).await;
        assert_eq!(scene.host.clients().len(), 2);
        if reset {
            control.send.reset(1);
        } else {
            control.send.finish();
        }
        closed(&connection).await;
        until(|| scene.host.clients().len() == 1).await;
        scene.others_still_work().await;
    }
}

pub async fn a_flood_of_control_frames_harms_nobody<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (connection, mut control) = scene.welcomed(ROLE_MAIN, 5).await;
    let mut flood = Vec::new();
    for number in 0..10_000_u64 {
        flood.extend(frame(PING, encode((number,))));
        flood.extend(frame(CREDIT, encode((number * 4, u32::MAX))));
    }
    control.write(flood).await;
    scene.others_still_work().await;
    for number in 0..10_000_u64 {
        control.pong(number).await;
    }
    let mut stream = RawStream::open(&connection, request("GET", "/", Size::None)).await;
    assert_eq!(stream.answer().await, Answer::Response(200, b"ok".to_vec()));
}

/// Twice the time in which a sign of life is due.
pub async fn a_peer_that_never_answers_a_ping_is_given_up<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (connection, mut control) = scene.welcomed(ROLE_MAIN, 5).await;
    let pings = async {
        let mut pings = 0;
        while let Ok(Some((PING, _))) = control.frame().await {
            pings += 1;
        }
        pings
    };
    assert!(soon(pings).await >= 1);
    closed(&connection).await;
    scene.others_still_work().await;
}

pub async fn a_session_has_one_main_connection<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (first, _control) = scene.welcomed(ROLE_MAIN, 5).await;
    let second = scene.dial().await;
    let _second = RawStream::open(&second, [&[CONTROL][..], &scene.hello(ROLE_MAIN, 5)].concat()).await;
    assert_eq!(closed(&second).await, FailureKind::Protocol);
    let mut stream = RawStream::open(&first, request("GET", "/", Size::None)).await;
    assert_eq!(stream.answer().await, Answer::Response(200, b"ok".to_vec()));
    scene.others_still_work().await;
}

pub async fn a_newer_bulk_connection_replaces_the_older_one<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (main, _main_control) = scene.welcomed(ROLE_MAIN, 5).await;
    let (older, _older_control) = scene.welcomed(ROLE_BULK, 5).await;
    let (newer, _newer_control) = scene.welcomed(ROLE_BULK, 5).await;
    assert_eq!(closed(&older).await, FailureKind::Aborted);
    assert_eq!((main.close_reason(), newer.close_reason()), (None, None));
    scene.others_still_work().await;
}

/// Who knows the number of a session, and even the secret, still has another key.
pub async fn nobody_joins_the_session_of_another_key<B: PeerBackend>(backend: B) {
    let mut scene = Scene::new(&backend).await;
    let (main, _main_control) = scene.welcomed(ROLE_MAIN, 5).await;
    let owner = std::mem::replace(&mut scene.raw, soon(backend.peer()).await);
    let intruder = scene.dial().await;
    let _intruder = RawStream::open(&intruder, [&[CONTROL][..], &scene.hello(ROLE_BULK, 5)].concat()).await;
    assert_eq!(closed(&intruder).await, FailureKind::Protocol);
    // A session of its own may have the same number.
    let (own, _own_control) = scene.welcomed(ROLE_MAIN, 5).await;
    assert_eq!((main.close_reason(), own.close_reason()), (None, None));
    assert_eq!(owner.connections().len(), 1);
    scene.others_still_work().await;
}

pub async fn connections_over_the_limit_are_told_so<B: PeerBackend>(backend: B) {
    // Two are the other client's.
    let scene = Scene::with(&backend, |config| config.max_connections = 4).await;
    let (first, _first_control) = scene.welcomed(ROLE_MAIN, 1).await;
    let (_second, _second_control) = scene.welcomed(ROLE_MAIN, 2).await;
    let third = scene.dial().await;
    assert_eq!(closed(&third).await, FailureKind::Overloaded);
    scene.others_still_work().await;

    first.close(0, "");
    until(|| scene.host.clients().len() == 2).await;
    // The place is free a moment after the client is gone.
    let again = soon(async {
        loop {
            let connection = scene.dial().await;
            let hello = [&[CONTROL][..], &scene.hello(ROLE_MAIN, 3)].concat();
            let mut control = RawStream::open(&connection, hello).await;
            if let Ok(Some((WELCOME, _))) = control.frame().await {
                return connection;
            }
            assert_eq!(closed(&connection).await, FailureKind::Overloaded);
        }
    });
    assert_eq!(again.await.close_reason(), None);
}

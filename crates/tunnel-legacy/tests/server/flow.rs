//! Slow readers: with the flow extension, without it, and at the published server.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::packet::PACKET_BYTES_MAX;
use tunnel_legacy::server::{Behaviour, Defect, Limits};

use crate::support::{Account, Host, Server, first, next};

const PIECE: usize = PACKET_BYTES_MAX - 13;
/// Far more than the buffers of the sockets and of the HTTP library hold.
const PIECES: u32 = 512;

/// A response that has begun and that nobody reads yet.
struct Begun {
    response: Response<Incoming>,
    _connection: AbortOnDropHandle<()>,
    id: u64,
}

async fn start(behaviour: Behaviour, limits: Limits, flow: bool) -> (Server, Account, Host) {
    let server = Server::start(behaviour, limits).await;
    let account = server.account("alice").await;
    let host = server.host_with(&account, flow).await;
    (server, account, host)
}

async fn begin(server: &Server, account: &Account, host: &mut Host) -> Begun {
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let ((response, connection), id) = tokio::join!(server.send("GET", &target, &headers, ""), async {
        let (id, _) = host.request().await;
        host.packet(first(id, 200, &[], "", false)).await;
        id
    });
    Begun { response, _connection: connection, id }
}

fn piece() -> Bytes {
    Bytes::from(vec![7; PIECE])
}

/// Sends all pieces within the window, counting what the server grants. Ends when it must wait for the next grant.
struct Window {
    id: u64,
    open: u32,
    sent: u32,
}

impl Window {
    /// After packet 1.
    fn new(id: u64) -> Self {
        Self { id, open: 31, sent: 1 }
    }

    async fn fill(&mut self, host: &mut Host) {
        while self.open > 0 && self.sent < PIECES {
            self.sent += 1;
            self.open -= 1;
            host.packet(next(self.id, self.sent, piece(), self.sent == PIECES)).await;
        }
    }

    fn granted(&mut self, message: &Value) {
        assert_eq!((&message["type"], message["request_id"].as_u64()), (&json!("WINDOW"), Some(self.id)));
        self.open += u32::try_from(message["packets"].as_u64().unwrap()).unwrap();
        assert!(self.open <= 32, "{}", self.open);
    }
}

#[tokio::test]
async fn a_reader_that_stands_still_costs_one_window_and_no_other_response() {
    let (server, account, mut host) = start(Behaviour::mended(), Limits::default(), true).await;
    let begun = begin(&server, &account, &mut host).await;
    let mut window = Window::new(begun.id);
    let (target, headers) = (account.target("/other"), [account.bearer()]);
    // Other requests are answered between the packets, and after the window is used up.
    for _ in 0..50 {
        window.fill(&mut host).await;
        let mut other = pin!(server.ask("GET", &target, &headers, ""));
        let id = loop {
            tokio::select! {
                biased;
                answer = other.as_mut() => panic!("{answer:?}"),
                message = host.json() => match message["type"].as_str() {
                    Some("HTTP") => break message["request_id"].as_u64().unwrap(),
                    _ => window.granted(&message),
                },
            }
        };
        host.answer(id, 200, "quick").await;
        assert_eq!(other.await.text(), "quick");
        assert!(server.statistics.buffered_bytes() <= 32 * (PACKET_BYTES_MAX + 100));
    }
    assert!(window.sent < PIECES, "the sockets hold {} packets", window.sent);
    // Once it reads, it gets all.
    let mut body = begun.response.into_body();
    let mut read = 0;
    loop {
        window.fill(&mut host).await;
        tokio::select! {
            biased;
            frame = body.frame() => match frame {
                Some(frame) => read += frame.unwrap().into_data().unwrap().len(),
                None => break,
            },
            message = host.json() => window.granted(&message),
        }
    }
    assert_eq!(read, PIECE * (PIECES as usize - 1));
    server.until(|counted| counted.buffered_bytes == 0 && counted.in_flight == 0).await;
    assert_eq!(server.statistics.snapshot().aborts, 0);
}

#[tokio::test]
async fn packets_beyond_the_window_end_the_response() {
    let (server, account, mut host) = start(Behaviour::mended(), Limits::default(), true).await;
    let begun = begin(&server, &account, &mut host).await;
    // Nothing of this can be taken: the second packet is missing.
    for packet in 3..100 {
        host.packet(next(begun.id, packet, "x", false)).await;
    }
    assert_eq!(host.json().await, json!({"type": "ABORT", "request_id": begun.id}));
    assert!(begun.response.into_body().collect().await.is_err());
    // A flood that nobody asked for is thrown away.
    for packet in 2..1000 {
        host.packet(next(begun.id, packet, piece(), false)).await;
    }
    server.until(|counted| counted.stray_packets >= 900).await;
    assert_eq!(server.statistics.buffered_bytes(), 0);
}

#[tokio::test]
async fn a_host_may_reset_a_response() {
    let (server, account, mut host) = start(Behaviour::mended(), Limits::default(), true).await;
    let begun = begin(&server, &account, &mut host).await;
    host.packet(next(begun.id, 2, "a", false)).await;
    let reset = |id: u64| json!({"type": "RESET", "request_id": id, "kind": "service-timeout", "message": "slow"});
    host.say(reset(begun.id).to_string()).await;
    let mut body = begun.response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
    assert!(body.frame().await.unwrap().is_err());

    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let (answer, ()) = tokio::join!(server.ask("GET", &target, &headers, ""), async {
        let (id, _) = host.request().await;
        host.say(reset(id).to_string()).await;
    });
    assert_eq!((answer.status, answer.text()), (StatusCode::GATEWAY_TIMEOUT, "slow"));
    assert_eq!(server.statistics.snapshot().aborts, 0);
}

#[tokio::test]
async fn additions_are_for_hosts_that_ask_for_them() {
    let (server, account, mut host) = start(Behaviour::mended(), Limits::default(), false).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let mut asking = pin!(server.ask("GET", &target, &headers, ""));
    let (id, _) = server.reaches(&mut host, asking.as_mut()).await;
    let reset = json!({"type": "RESET", "request_id": id, "kind": "internal", "message": "no"});
    host.say(reset.to_string()).await;
    server.until(|counted| counted.malformed_messages == 1).await;
    assert!(asking.as_mut().now_or_never().is_none());
    host.packet(first(id, 200, &[], "", false)).await;
    for packet in 2..=200 {
        host.packet(next(id, packet, "x", packet == 200)).await;
    }
    assert_eq!(asking.await.body.len(), 199);
    // No WINDOW was sent: the next message is the next request.
    let mut asking = pin!(server.ask("GET", &target, &headers, ""));
    let (id, _) = server.reaches(&mut host, asking.as_mut()).await;
    host.answer(id, 200, "").await;
    asking.await;
}

#[tokio::test]
async fn without_flow_control_a_reader_that_stands_still_is_cut_off() {
    let limits = Limits { stall_timeout: Duration::from_millis(200), ..Limits::default() };
    let bytes_max = limits.response_bytes_max;
    let (server, account, mut host) = start(Behaviour::mended(), limits, false).await;
    let begun = begin(&server, &account, &mut host).await;
    for packet in 2..=PIECES {
        host.packet(next(begun.id, packet, piece(), false)).await;
        assert!(server.statistics.buffered_bytes() <= bytes_max);
    }
    assert_eq!(host.json().await, json!({"type": "ABORT", "request_id": begun.id}));
    server.until(|counted| counted.buffered_bytes == 0 && counted.in_flight == 0).await;
    assert!(begun.response.into_body().collect().await.is_err());
    // The host goes on.
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let mut asking = pin!(server.ask("GET", &target, &headers, ""));
    let (id, _) = server.reaches(&mut host, asking.as_mut()).await;
    host.answer(id, 200, "next").await;
    assert_eq!(asking.await.text(), "next");
}

#[tokio::test]
async fn without_flow_control_a_slow_reader_gets_all() {
    let limits = Limits { response_bytes_max: PACKET_BYTES_MAX * 2, ..Limits::default() };
    let (server, account, mut host) = start(Behaviour::mended(), limits, false).await;
    let begun = begin(&server, &account, &mut host).await;
    let sending = async {
        for packet in 2..=PIECES {
            host.packet(next(begun.id, packet, piece(), packet == PIECES)).await;
        }
    };
    let reading = async {
        let mut body = begun.response.into_body();
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            read += frame.unwrap().into_data().unwrap().len();
            assert!(server.statistics.buffered_bytes() <= PACKET_BYTES_MAX * 2);
        }
        read
    };
    let ((), read) = tokio::join!(sending, reading);
    assert_eq!(read, PIECE * (PIECES as usize - 1));
}

#[tokio::test]
async fn the_published_server_keeps_whatever_comes() {
    let (server, account, mut host) =
        start(Behaviour::mended().with(Defect::UnboundedBuffers), Limits::default(), false).await;
    let begun = begin(&server, &account, &mut host).await;
    for packet in 2..=PIECES {
        host.packet(next(begun.id, packet, piece(), packet == PIECES)).await;
    }
    // 32 MiB, of which the sockets hold some.
    server.until(|counted| counted.buffered_bytes > 16 * 1024 * 1024).await;
    drop(begun);
    server.until(|counted| counted.buffered_bytes == 0).await;
}

#[tokio::test]
async fn the_published_server_knows_no_additions() {
    let server = Server::faithful().await;
    let account = server.account("alice").await;
    let mut request = tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(format!(
        "ws://{}{}&sender=true",
        server.addr,
        account.ws()
    ))
    .unwrap();
    request.headers_mut().insert("x-tunnel-extensions", "flow".parse().unwrap());
    let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let (_socket, response) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    assert!(!response.headers().contains_key("x-tunnel-extensions"));
}

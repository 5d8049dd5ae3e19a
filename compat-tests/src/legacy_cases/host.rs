//! A host whose tunnel server does not behave as it should.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::StatusCode;
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};
use tokio_tungstenite::tungstenite::Message;
use tunnel_core::{Handler, Response, moosicbox_tunnel::TunnelResponse, packet};

use super::at::account;
use crate::{
    backend::{HostSettings, RunningHost, legacy::LegacyRunningHost, world::World},
    body::{endless, pieces},
    patience::{A_WHILE, soon, until},
    script::{Answer, Head, ScriptedServer, Socket},
    service::{Guard, Once, Service},
};

/// The end of a host's WebSocket, in the hands of the case.
struct Wire<W: World>(Socket<W>);

/// A server that gives hosts a token and hands their WebSockets to the case.
async fn server<W: World>(world: &W, flow: bool) -> (ScriptedServer<W>, mpsc::Receiver<Socket<W>>) {
    let (sockets, receiver) = mpsc::channel(16);
    let script = move |_: usize, head: &Head| match head.path() {
        "/auth/signature-token" => token(),
        "/ws" => {
            let sockets = sockets.clone();
            Answer::websocket(flow, move |socket| async move { drop(sockets.send(socket).await) })
        }
        _ => Answer::response(404, ""),
    };
    (ScriptedServer::start(world, script).await, receiver)
}

fn token<W: World>() -> Answer<W> {
    let body = r#"{"token":"signature"}"#;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let length = body.len();
    Answer::Bytes(Bytes::from(format!("{head}content-length: {length}\r\n\r\n{body}")), crate::script::Then::Next)
}

/// A host at such a server, and its WebSocket.
async fn connected<W: World>(
    world: &W,
    flow: bool,
    handler: impl Handler,
    settings: HostSettings,
) -> (ScriptedServer<W>, LegacyRunningHost<W>, Wire<W>) {
    let (server, mut sockets) = server(world, flow).await;
    let host = LegacyRunningHost::at(world, server.address(), account(), Arc::new(handler), settings);
    let socket = soon("the host", sockets.recv()).await.expect("it connects");
    (server, host, Wire(socket))
}

impl<W: World> Wire<W> {
    async fn send(&mut self, text: impl Into<String>) {
        soon("sending", self.0.send(Message::text(text.into()))).await.expect("the host reads");
    }

    async fn ask(&mut self, request_id: u64, path: &str) {
        let request = json!({
            "type": "HTTP", "request_id": request_id, "method": "GET", "path": path, "query": {}, "payload": null,
            "headers": null, "encoding": "BINARY", "profile": null,
        });
        self.send(request.to_string()).await;
    }

    /// The next packet.
    async fn packet(&mut self) -> TunnelResponse {
        loop {
            let message = soon("a packet", self.0.next()).await.expect("the WebSocket goes on").expect("no failure");
            if let Message::Binary(bytes) = message {
                return packet::decode(bytes).expect("a packet");
            }
        }
    }

    /// The whole body of the response to this request, which must come next.
    async fn answer(&mut self, request_id: u64) -> (u16, Vec<u8>) {
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let packet = self.packet().await;
            assert_eq!(packet.request_id, request_id);
            status = packet.status.unwrap_or(status);
            body.extend_from_slice(&packet.bytes);
            if packet.last {
                return (status, body);
            }
        }
    }

    /// The host still answers on this WebSocket.
    async fn works(&mut self) {
        self.ask(4711, "hello").await;
        assert_eq!(self.answer(4711).await, (200, b"ok".to_vec()));
    }
}

/// Not JSON, not a request, not a possible one.
pub async fn malformed_texts_harm_nobody<W: World>(world: W) {
    for flow in [false, true] {
        let (_server, _host, mut wire) = connected(&world, flow, Service::hello(), HostSettings::default()).await;
        for text in [
            "",
            "{",
            "null",
            "[]",
            "{}",
            r#"{"type":"HTTP"}"#,
            r#"{"type":"HTTP","request_id":-1,"method":"GET","path":"","query":{},"encoding":"BINARY"}"#,
            r#"{"type":"WS","conn_id":1}"#,
            r#"{"type":"ABORT"}"#,
            r#"{"type":"WINDOW","request_id":1,"packets":-1}"#,
            r#"{"type":"WINDOW","request_id":1,"packets":18446744073709551615}"#,
            r#"{"type":"WS_CLOSED"}"#,
            r#"{"type":"UNKNOWN","a":1}"#,
        ] {
            wire.send(text).await;
        }
        wire.send("[".repeat(100_000)).await;
        wire.works().await;
    }
}

/// Nothing binary goes in this direction.
pub async fn bytes_harm_nobody<W: World>(world: W) {
    let (_server, _host, mut wire) = connected(&world, true, Service::hello(), HostSettings::default()).await;
    for length in [0, 1, 13, 1000, 70_000] {
        soon("sending", wire.0.send(Message::binary(vec![0xff; length]))).await.expect("the host reads");
    }
    wire.works().await;
}

/// Whoever has no place is told; nobody waits in a list without an end.
pub async fn a_flood_of_requests_is_refused_beyond_the_limit<W: World>(world: W) {
    const PLACES: u32 = 8;
    let inside = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&inside);
    let service = Service::http(move |_| {
        counter.fetch_add(1, Relaxed);
        std::future::pending()
    });
    let settings = HostSettings { max_requests: PLACES, ..HostSettings::default() };
    let (_server, _host, mut wire) = connected(&world, false, service, settings).await;
    for id in 1..=200 {
        wire.ask(id, "").await;
    }
    for _ in 0..200 - PLACES {
        let packet = wire.packet().await;
        assert_eq!((packet.packet_id, packet.status), (1, Some(503)), "{packet:?}");
    }
    assert_eq!(inside.load(Relaxed), PLACES as usize);
}

/// The handler's body is dropped, and nothing more of it is sent.
pub async fn an_abort_in_mid_body_reaches_the_handler<W: World>(world: W) {
    for flow in [false, true] {
        let (guard, gone) = Guard::new();
        let guard = Once::new(guard);
        let service = Service::http(move |request| {
            let endless = crate::request::path(&request)
                .is_empty()
                .then(|| pieces(endless(10_000, Arc::default(), Some(guard.take()))));
            async move { Ok(endless.map_or_else(|| crate::service::ok("ok"), |body| Response::new(StatusCode::OK, body))) }
        });
        let (_server, _host, mut wire) = connected(&world, flow, service, HostSettings::default()).await;
        wire.ask(1, "").await;
        assert_eq!(wire.packet().await.packet_id, 1);
        wire.send(r#"{"type":"ABORT","request_id":1}"#).await;
        // What was on its way arrives; the host must not be stopped by it.
        let draining = async {
            loop {
                wire.packet().await;
            }
        };
        tokio::select! {
            biased;
            dropped = soon("the end of the handler's body", gone) => dropped.unwrap(),
            () = draining => {}
        }
        wire.ask(2, "other").await;
        let answer = soon("the other answer", async {
            loop {
                let packet = wire.packet().await;
                if packet.request_id == 2 {
                    return packet;
                }
            }
        });
        assert_eq!(answer.await.status, Some(200));
    }
}

/// Of something that has ended, or never was.
pub async fn an_abort_of_nothing_harms_nobody<W: World>(world: W) {
    let (_server, _host, mut wire) = connected(&world, true, Service::hello(), HostSettings::default()).await;
    wire.works().await;
    for id in [4711, 1, u64::MAX] {
        wire.send(format!(r#"{{"type":"ABORT","request_id":{id}}}"#)).await;
    }
    wire.works().await;
}

/// The host asks again and again, with pauses, until it is let in.
async fn let_in_later<W: World>(world: W, refusal: impl Fn() -> Answer<W> + Send + Sync + 'static) {
    let (sockets, mut receiver) = mpsc::channel(16);
    let script = move |number: usize, head: &Head| {
        if number <= 3 {
            return refusal();
        }
        if head.path() == "/auth/signature-token" {
            return token();
        }
        let sockets = sockets.clone();
        Answer::websocket(false, move |socket| async move { drop(sockets.send(socket).await) })
    };
    let server = ScriptedServer::start(&world, script).await;
    let handler = Arc::new(Service::hello());
    let _host = LegacyRunningHost::at(&world, server.address(), account(), handler, HostSettings::default());
    let mut wire = Wire::<W>(soon("the host", receiver.recv()).await.expect("it connects"));
    wire.works().await;
    assert!(server.requests() >= 4, "{}", server.requests());
    assert!(server.requests() < 12, "{} requests: it does not pause", server.requests());
}

/// 401 may be a server whose database is away.
pub async fn a_server_that_refuses_the_token_is_asked_again_later<W: World>(world: W) {
    let_in_later(world, || Answer::response(401, "Unauthorized")).await;
}

/// Or its machine is starting.
pub async fn a_server_that_answers_garbage_is_asked_again_later<W: World>(world: W) {
    let_in_later(world, || Answer::close("garbage\r\n\r\n")).await;
}

/// Neither pings nor anything else: the host looks for a better connection.
pub async fn a_server_that_falls_silent_is_left<W: World>(world: W) {
    let (server, mut sockets) = server(&world, true).await;
    let handler = Arc::new(Service::hello());
    let host = LegacyRunningHost::at(&world, server.address(), account(), handler, HostSettings::default());
    let silent = soon("the host", sockets.recv()).await.expect("it connects");
    // Nobody reads this one, so its pings are not answered.
    let next = soon("the next connection", sockets.recv()).await.expect("it connects again");
    Wire::<W>(next).works().await;
    drop(silent);
    // One connection is enough.
    assert!(timeout(A_WHILE, sockets.recv()).await.is_err());
    until("it has asked for a token", || server.requests() >= 2).await;
    drop(host.stop().await);
}

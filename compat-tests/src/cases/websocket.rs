//! WebSockets: messages in order both ways, and endings that both sides notice.

use bytes::Bytes;
use futures::{SinkExt, StreamExt, future::join_all, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::oneshot;
use tunnel_core::{Failure, FailureKind, Response, WsClose, WsMessage, WsOpen, WsSession, WsUpgrade};

use crate::{
    backend::{Backend, RunningClient, RunningHost},
    body::{digest, pattern, pattern_hash, pattern_piece, pieces},
    pair::{Pair, accepted, handshake},
    patience::soon,
    service::{Guard, Once, Service, accept, ws_by_hand, ws_echo},
};

/// A service with one WebSocket, whose other end is in the hands of the case.
type ByHand = (Service, futures::channel::mpsc::Receiver<WsMessage>, futures::channel::mpsc::Sender<WsMessage>);

fn by_hand() -> ByHand {
    let (upgrade, from_client, to_client) = ws_by_hand();
    let upgrade = Once::new(upgrade);
    let service = Service::ws(move |_| {
        let upgrade = upgrade.take();
        async { Ok(upgrade) }
    });
    (service, from_client, to_client)
}

async fn send(session: &mut WsSession, message: WsMessage) {
    soon("sending", session.sink.send(message)).await.expect("the WebSocket is open");
}

async fn next(session: &mut WsSession) -> WsMessage {
    soon("the next message", session.stream.next()).await.expect("the WebSocket goes on").expect("no failure")
}

/// The next message that is not about the hops.
async fn next_text(session: &mut WsSession) -> WsMessage {
    loop {
        match next(session).await {
            WsMessage::Ping(_) | WsMessage::Pong(_) => {}
            message => return message,
        }
    }
}

fn text(text: &'static str) -> WsMessage {
    WsMessage::Text(Bytes::from_static(text.as_bytes()))
}

fn close(code: u16, reason: &str) -> WsMessage {
    WsMessage::Close(Some(WsClose { code, reason: reason.to_owned() }))
}

/// Text, binary, pings, pongs; empty and on both sides of every length that a framing may treat specially.
pub async fn messages_of_every_kind_and_size_come_back<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::ws_echo()).await;
    let mut session = pair.websocket().await;
    let mut messages = vec![
        text("ä✓"),
        text(""),
        WsMessage::Binary(Bytes::from_static(&[0xff, 0])),
        WsMessage::Ping(Bytes::from_static(b"p")),
        WsMessage::Ping(Bytes::new()),
        WsMessage::Ping(vec![0xff; 125].into()),
        WsMessage::Pong(Bytes::new()),
        WsMessage::Pong(vec![1; 125].into()),
    ];
    for size in [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 262_144, 1 << 20, (1 << 20) + 1, 5 << 20] {
        messages.push(WsMessage::Binary(pattern_piece(0, size)));
        messages.push(WsMessage::Text(Bytes::from("x".repeat(size))));
    }
    for message in messages {
        send(&mut session, message.clone()).await;
        assert!(next(&mut session).await == message, "a message of {} bytes", message.len());
    }
    send(&mut session, close(4001, "bye")).await;
    assert_eq!(next(&mut session).await, close(4001, "bye"));
    assert!(soon("the end", session.stream.next()).await.is_none());
}

/// Thousands in each direction at once.
pub async fn messages_keep_their_order<B: Backend>(backend: B) {
    const MESSAGES: u32 = 5000;
    let pair = Pair::start(&backend, Service::ws_echo()).await;
    let WsSession { mut sink, mut stream } = pair.websocket().await;
    let sending = async {
        for number in 0..MESSAGES {
            let bytes = Bytes::from(number.to_string());
            let message = if number % 3 == 0 { WsMessage::Binary(bytes) } else { WsMessage::Text(bytes) };
            soon("sending", sink.send(message)).await.unwrap();
        }
    };
    let receiving = async {
        for number in 0..MESSAGES {
            let expected = number.to_string();
            match soon("the echo", stream.next()).await.unwrap().unwrap() {
                WsMessage::Binary(bytes) if number % 3 == 0 => assert_eq!(bytes, expected),
                WsMessage::Text(text) if number % 3 != 0 => assert_eq!(text, expected),
                other => panic!("{number}: {other:?}"),
            }
        }
    };
    tokio::join!(sending, receiving);
}

/// The service may speak first, and need not be asked.
pub async fn the_service_speaks_when_it_wants<B: Backend>(backend: B) {
    let (service, mut from_client, mut to_client) = by_hand();
    let pair = Pair::start(&backend, service).await;
    let mut session = pair.websocket().await;
    for message in [text("hello"), WsMessage::Ping(Bytes::from_static(b"alive?")), WsMessage::Pong(Bytes::new())] {
        soon("the service, sending", to_client.send(message.clone())).await.unwrap();
        assert_eq!(next(&mut session).await, message);
    }
    send(&mut session, WsMessage::Ping(Bytes::from_static(b"you?"))).await;
    assert_eq!(soon("the ping", from_client.next()).await.unwrap(), WsMessage::Ping(Bytes::from_static(b"you?")));
}

/// Target, headers and subprotocols arrive, and so do the headers of the answer.
pub async fn the_handshake_arrives_exactly<B: Backend>(backend: B) {
    let service = Service::ws(|open| async move {
        let WsUpgrade::Accepted { mut headers, session, .. } = ws_echo() else { panic!("it accepts") };
        headers.insert("x-target", HeaderValue::try_from(open.uri.to_string()).unwrap());
        for value in open.headers.get_all("sec-websocket-protocol") {
            headers.append("x-offered", value.clone());
        }
        headers.insert("x-cookie", open.headers["cookie"].clone());
        headers.insert("sec-websocket-protocol", HeaderValue::from_static("moosic.v1"));
        Ok(WsUpgrade::Accepted { headers, session, via: None })
    });
    let pair = Pair::start(&backend, service).await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("sec-websocket-protocol", "moosic.v2, moosic.v1"),
        ("sec-websocket-protocol", "other"),
        ("cookie", "a=1; b=2"),
    ] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let open = WsOpen { headers, ..handshake("/ws%2F?clientId=a%20b&x") };
    let (headers, _session) = accepted(pair.open_ws(open).await);
    assert_eq!(headers["x-target"], "/ws%2F?clientId=a%20b&x");
    assert_eq!(headers["sec-websocket-protocol"], "moosic.v1");
    assert_eq!(headers["x-cookie"], "a=1; b=2");
    let offered: Vec<_> = headers.get_all("x-offered").iter().collect();
    assert_eq!(offered, ["moosic.v2, moosic.v1", "other"]);
}

/// Status, headers and a body of any size: a login page, for example.
pub async fn a_rejection_carries_the_whole_response<B: Backend>(backend: B) {
    let service = Service::ws(|_| async {
        let mut response = Response::new(StatusCode::FORBIDDEN, pieces(pattern(400_000, 10_000)));
        response.headers.append("set-cookie", HeaderValue::from_static("a=1"));
        response.headers.append("set-cookie", HeaderValue::from_static("b=2"));
        Ok(WsUpgrade::Rejected(response))
    });
    let pair = Pair::start(&backend, service).await;
    let WsUpgrade::Rejected(response) = pair.open_ws(handshake("/ws")).await.unwrap() else { panic!("accepted") };
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert_eq!(response.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(response.via, Some(backend.via()));
    assert_eq!(digest(response.body).await.unwrap().hash, pattern_hash(400_000));
}

/// Every code that may be sent, with the longest reason, with one that is not ASCII, and without either.
fn closes() -> Vec<WsMessage> {
    let mut closes = vec![WsMessage::Close(None), close(1000, &"r".repeat(123)), close(1000, &"✓".repeat(41))];
    closes.extend([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4000, 4999].map(|code| close(code, "")));
    closes
}

/// What the client says last.
pub async fn close_codes_of_the_client_arrive<B: Backend>(backend: B) {
    for message in closes() {
        let (service, mut from_client, mut to_client) = by_hand();
        let pair = Pair::start(&backend, service).await;
        let mut session = pair.websocket().await;
        send(&mut session, message.clone()).await;
        assert_eq!(soon("the close", from_client.next()).await.unwrap(), message);
        soon("the service, sending", to_client.send(message.clone())).await.unwrap();
        assert_eq!(next(&mut session).await, message);
        assert!(soon("the end", session.stream.next()).await.is_none());
    }
}

/// What the service says last.
pub async fn close_codes_of_the_service_arrive<B: Backend>(backend: B) {
    for message in closes() {
        let (service, mut from_client, mut to_client) = by_hand();
        let pair = Pair::start(&backend, service).await;
        let mut session = pair.websocket().await;
        soon("the service, sending", to_client.send(message.clone())).await.unwrap();
        assert_eq!(next(&mut session).await, message);
        assert!(soon("the end", session.stream.next()).await.is_none());
        send(&mut session, message.clone()).await;
        assert_eq!(soon("the close", from_client.next()).await.unwrap(), message);
    }
}

/// Who has said its last word still listens.
pub async fn the_service_may_go_on_after_the_clients_close<B: Backend>(backend: B) {
    let (service, mut from_client, mut to_client) = by_hand();
    let pair = Pair::start(&backend, service).await;
    let mut session = pair.websocket().await;
    send(&mut session, close(1000, "")).await;
    assert_eq!(soon("the close", from_client.next()).await.unwrap(), close(1000, ""));
    for message in [text("one more"), text("and another"), close(1000, "now")] {
        soon("the service, sending", to_client.send(message.clone())).await.unwrap();
        assert_eq!(next(&mut session).await, message);
    }
    assert!(soon("the end", session.stream.next()).await.is_none());
}

/// What was sent before the close arrives before it.
pub async fn a_close_overtakes_nothing<B: Backend>(backend: B) {
    let (service, mut from_client, _to_client) = by_hand();
    let pair = Pair::start(&backend, service).await;
    let WsSession { mut sink, stream: _stream } = pair.websocket().await;
    let sending = async {
        for number in 0..200 {
            let message = WsMessage::Binary(pattern_piece(number, 5000));
            soon("sending", sink.send(message)).await.unwrap();
        }
        soon("closing", sink.send(close(1000, "last"))).await.unwrap();
    };
    let receiving = async {
        for number in 0..200 {
            let message = soon("a message", from_client.next()).await.unwrap();
            assert!(message == WsMessage::Binary(pattern_piece(number, 5000)), "message {number}");
        }
        assert_eq!(soon("the close", from_client.next()).await.unwrap(), close(1000, "last"));
        assert_eq!(soon("the end", from_client.next()).await, None);
    };
    tokio::join!(sending, receiving);
}

/// A tab that was closed.
pub async fn a_client_that_drops_its_session_is_noticed_by_the_service<B: Backend>(backend: B) {
    let (service, mut from_client, to_client) = by_hand();
    let pair = Pair::start(&backend, service).await;
    let session = pair.websocket().await;
    drop(session);
    assert_eq!(soon("the end", from_client.next()).await, None);
    soon("the end of the other direction", async {
        while !to_client.is_closed() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// No close, so it is no orderly end.
pub async fn a_service_that_drops_its_session_is_an_error<B: Backend>(backend: B) {
    let (service, from_client, mut to_client) = by_hand();
    let pair = Pair::start(&backend, service).await;
    let mut session = pair.websocket().await;
    soon("the service, sending", to_client.send(text("last"))).await.unwrap();
    assert_eq!(next(&mut session).await, text("last"));
    drop((from_client, to_client));
    assert!(soon("an error", session.stream.next()).await.unwrap().is_err());
    assert!(soon("the end", session.stream.next()).await.is_none());
}

/// A service whose session fails.
pub async fn a_service_that_fails_is_an_error<B: Backend>(backend: B) {
    let (fail, told) = oneshot::channel::<()>();
    let told = Once::new(told);
    let service = Service::ws(move |_| {
        let told = told.take();
        async {
            let failing = stream::once(async {
                told.await.ok();
                Ok(text("last"))
            });
            let failing = failing.chain(stream::iter([Err(Failure::new(FailureKind::ServiceFailed, "broken"))]));
            let sink = Box::pin(futures::sink::drain().sink_map_err(|never| match never {}));
            Ok(accept(WsSession { sink, stream: Box::pin(failing.chain(stream::pending())) }))
        }
    });
    let pair = Pair::start(&backend, service).await;
    let mut session = pair.websocket().await;
    fail.send(()).unwrap();
    // What was said before may be lost with the connection to the service, but not turn into an orderly end.
    let mut last = soon("a message or an error", session.stream.next()).await.unwrap();
    while let Ok(message) = last {
        assert_eq!(message, text("last"));
        last = soon("the error", session.stream.next()).await.unwrap();
    }
}

/// The session ends at the service as if the client had left.
pub async fn a_client_that_dies_is_noticed_by_the_service<B: Backend>(backend: B) {
    let (service, mut from_client, _to_client) = by_hand();
    let Pair { host, client, transport } = Pair::start(&backend, service).await;
    let (_, session) = accepted(soon("the upgrade", transport.open_ws(handshake("/ws"))).await);
    client.kill().await;
    assert_eq!(soon("the end", from_client.next()).await, None);
    drop((host, session));
}

/// In order.
pub async fn a_host_that_stops_is_an_error<B: Backend>(backend: B) {
    host_ends::<B, _>(backend, async |host| host.stop().await).await;
}

/// Without a word.
pub async fn a_host_that_is_killed_is_an_error<B: Backend>(backend: B) {
    host_ends::<B, _>(backend, async |host| host.kill().await).await;
}

async fn host_ends<B: Backend, T>(backend: B, end: impl AsyncFnOnce(B::Host) -> T) {
    let Pair { host, client, transport } = Pair::start(&backend, Service::ws_echo()).await;
    let (_, mut session) = accepted(soon("the upgrade", transport.open_ws(handshake("/ws"))).await);
    send(&mut session, text("hello")).await;
    assert_eq!(next(&mut session).await, text("hello"));
    let _dead = end(host).await;
    assert!(soon("an error", session.stream.next()).await.unwrap().is_err());
    assert!(soon("the end", session.stream.next()).await.is_none());
    drop(client);
}

/// Nobody waits for the WebSocket any more that the service is still thinking about.
pub async fn an_attempt_that_is_given_up_reaches_the_service<B: Backend>(backend: B) {
    let (guard, gone) = Guard::new();
    let (started, begun) = oneshot::channel();
    let parts = Once::new((guard, started));
    let service = Service::ws(move |_| {
        let (guard, started) = parts.take();
        async move {
            let _kept = guard;
            started.send(()).ok();
            std::future::pending().await
        }
    });
    let pair = Pair::start(&backend, service).await;
    tokio::select! {
        biased;
        _ = pair.open_ws(handshake("/ws")) => panic!("no answer is expected"),
        begun = soon("the handler", begun) => begun.unwrap(),
    }
    soon("the end of the handler's future", gone).await.unwrap();
}

/// Each has its own messages.
pub async fn fifty_of_them_do_not_mix<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::ws_echo()).await;
    let talk = async |number: usize| {
        let mut session = pair.websocket().await;
        for round in 0..20 {
            let message = WsMessage::Text(Bytes::from(format!("[{number},{round}]")));
            send(&mut session, message.clone()).await;
            assert_eq!(next_text(&mut session).await, message);
        }
        send(&mut session, WsMessage::Close(None)).await;
        assert_eq!(next_text(&mut session).await, WsMessage::Close(None));
    };
    join_all((0..50).map(talk)).await;
}

/// A download of any size beside it does not stop the conversation.
pub async fn a_large_download_does_not_stop_a_websocket<B: Backend>(backend: B) {
    let service = Service::ws(|_| async { Ok(ws_echo()) });
    let pair = Pair::start(&backend, service).await;
    let mut large = pair.websocket().await;
    let mut small = pair.websocket().await;
    let bulk = WsMessage::Binary(pattern_piece(0, 2 << 20));
    let sending = async {
        send(&mut large, bulk.clone()).await;
        assert!(next(&mut large).await == bulk);
    };
    let talking = async {
        for _ in 0..50 {
            send(&mut small, text("tick")).await;
            assert_eq!(next(&mut small).await, text("tick"));
        }
    };
    tokio::join!(sending, talking);
}

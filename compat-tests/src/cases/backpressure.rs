//! A slow reader slows its own sender and nobody else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{SinkExt, StreamExt, stream};
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tunnel_core::{Response, WsMessage};

use crate::{
    backend::Backend,
    body::{endless, pieces, text},
    pair::Pair,
    patience::{A_WHILE, soon},
    request::{get, path, post},
    service::{Guard, Once, Service, ok, ws_by_hand},
};

/// What may be on the way for one reader, in bytes: a window on each hop, and buffers.
const UNREAD_BYTES_MAX: u64 = 8 << 20;

/// Small requests go through at once.
async fn nobody_waits<B: Backend>(pair: &Pair<B>, requests: usize) {
    for _ in 0..requests {
        assert_eq!(text(pair.answer(get("/ok")).await.body).await.unwrap(), "ok");
    }
}

/// Ten downloads that nobody reads.
pub async fn stalled_readers_hold_bounded_memory_and_delay_nobody<B: Backend>(backend: B) {
    let pulled: Vec<_> = (0..10).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let counters = pulled.clone();
    let service = Service::http(move |request| {
        let counter = path(&request).parse::<usize>().ok().map(|index| Arc::clone(&counters[index]));
        async move {
            Ok(counter.map_or_else(
                || ok("ok"),
                |counter| Response::new(StatusCode::OK, pieces(endless(40_000, counter, None))),
            ))
        }
    });
    let pair = Pair::start(&backend, service).await;
    let mut stalled = Vec::new();
    for index in 0..10 {
        stalled.push(pair.answer(get(&format!("/{index}"))).await);
    }
    sleep(A_WHILE).await;
    nobody_waits(&pair, 200).await;
    for counter in pulled {
        assert!(counter.load(Relaxed) < UNREAD_BYTES_MAX, "{} bytes were pulled", counter.load(Relaxed));
    }
}

/// Ten uploads that nobody reads.
pub async fn stalled_handlers_hold_bounded_memory_and_delay_nobody<B: Backend>(backend: B) {
    let service = Service::http(|mut request| async move {
        if path(&request) == "ok" {
            return Ok(ok("ok"));
        }
        request.body.frame().await.expect("a piece")?;
        let body = request.body;
        let stalled = stream::once(async move {
            let _kept = body;
            std::future::pending().await
        });
        Ok(Response::new(StatusCode::OK, pieces(stalled)))
    });
    let pair = Pair::start(&backend, service).await;
    let mut stalled = Vec::new();
    for _ in 0..10 {
        let pulled = Arc::new(AtomicU64::new(0));
        let upload = pieces(endless(40_000, Arc::clone(&pulled), None));
        stalled.push((pair.answer(post("/", upload)).await, pulled));
    }
    sleep(A_WHILE).await;
    nobody_waits(&pair, 200).await;
    for (_, pulled) in stalled {
        assert!(pulled.load(Relaxed) < UNREAD_BYTES_MAX, "{} bytes were pulled", pulled.load(Relaxed));
    }
}

/// Pieces count as well as bytes: thousands of small ones must not pile up, nor break anything.
pub async fn thousands_of_small_pieces_wait_without_harm_and_arrive_in_order<B: Backend>(backend: B) {
    const PIECES: u64 = 5000;
    let pulled = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&pulled);
    let service = Service::http(move |_| {
        let counter = Arc::clone(&counter);
        async move {
            let numbers = stream::iter(0..PIECES).then(move |number| {
                counter.fetch_add(1, Relaxed);
                async move {
                    // Each one leaves alone.
                    tokio::task::yield_now().await;
                    Ok(Bytes::from(format!("{number:0100}")))
                }
            });
            Ok(Response::new(StatusCode::OK, pieces(numbers)))
        }
    });
    let pair = Pair::start(&backend, service).await;
    let response = pair.answer(get("/")).await;
    let mut before = u64::MAX;
    while before != pulled.load(Relaxed) {
        before = pulled.load(Relaxed);
        sleep(A_WHILE).await;
    }
    assert!(before < 2048, "{before} pieces were pulled");
    let all = soon("the rest", response.body.collect()).await.unwrap().to_bytes();
    let expected: Vec<u8> = (0..PIECES).flat_map(|number| format!("{number:0100}").into_bytes()).collect();
    assert!(all == expected);
}

/// A reader that takes its time gets everything.
pub async fn a_slow_reader_gets_everything<B: Backend>(backend: B) {
    const BYTES: usize = 4 << 20;
    let service =
        Service::http(|_| async { Ok(Response::new(StatusCode::OK, pieces(crate::body::pattern(BYTES, 65_536)))) });
    let pair = Pair::start(&backend, service).await;
    let mut response = pair.answer(get("/")).await;
    let mut bytes = 0;
    let mut pauses = 0;
    while let Some(frame) = soon("the next piece", response.body.frame()).await {
        bytes += frame.unwrap().into_data().unwrap().len();
        if bytes / (1 << 20) > pauses {
            pauses = bytes / (1 << 20);
            sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(bytes, BYTES);
}

/// A WebSocket whose service does not read stops its sender; what was sent arrives later, in order.
pub async fn an_unread_websocket_stops_its_sender_and_delays_nobody<B: Backend>(backend: B) {
    let (upgrade, mut from_client, to_client) = ws_by_hand();
    let upgrade = Once::new(upgrade);
    let service = Service::ws(move |_| {
        let upgrade = upgrade.take();
        async { Ok(upgrade) }
    });
    let pair = Pair::start(&backend, service).await;
    let mut session = pair.websocket().await;
    let mut sent = 0_u32;
    let message = |number: u32| {
        let mut bytes = vec![0; 10_000];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        WsMessage::Binary(bytes.into())
    };
    while let Ok(done) = timeout(A_WHILE, session.sink.feed(message(sent))).await {
        done.unwrap();
        sent += 1;
        assert!(u64::from(sent) * 10_000 < UNREAD_BYTES_MAX, "{sent} messages are on the way");
    }
    nobody_waits(&pair, 50).await;
    let receiving = async {
        for number in 0..sent {
            let message = soon("a message", from_client.next()).await.unwrap();
            let WsMessage::Binary(bytes) = message else { panic!("{message:?}") };
            assert_eq!(u32::from_be_bytes(*bytes.first_chunk().unwrap()), number);
        }
    };
    // The sink makes progress only while somebody waits for it.
    let (flushed, ()) = tokio::join!(soon("the rest", session.sink.flush()), receiving);
    flushed.unwrap();
    drop(to_client);
}

/// A client that does not read its WebSocket stops the service; another one goes on.
pub async fn an_unread_websocket_of_a_client_stops_its_service<B: Backend>(backend: B) {
    let (upgrade, _from_client, mut to_client) = ws_by_hand();
    let upgrade = Once::new(upgrade);
    let service = Service::ws(move |open| {
        let upgrade = if open.uri.path() == "/ws" { upgrade.take() } else { crate::service::ws_echo() };
        async { Ok(upgrade) }
    });
    let pair = Pair::start(&backend, service).await;
    let session = pair.websocket().await;
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let mut sending = JoinSet::new();
    let (guard, gone) = Guard::new();
    sending.spawn(async move {
        let _kept = guard;
        while to_client.send(WsMessage::Binary(vec![1; 10_000].into())).await.is_ok() {
            counter.fetch_add(10_000, Relaxed);
        }
    });
    sleep(A_WHILE).await;
    let mut other = crate::pair::accepted(pair.open_ws(crate::pair::handshake("/other")).await).1;
    soon("sending", other.sink.send(WsMessage::Text("hello".into()))).await.unwrap();
    assert_eq!(soon("the echo", other.stream.next()).await.unwrap().unwrap(), WsMessage::Text("hello".into()));
    assert!(sent.load(Relaxed) < UNREAD_BYTES_MAX, "{} bytes were sent", sent.load(Relaxed));
    drop(session);
    soon("the end of the service's sender", gone).await.unwrap();
}

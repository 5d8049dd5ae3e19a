//! Limits hold for each client, and whoever reaches one is told.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::time::sleep;
use tunnel_core::{FailureKind, WsMessage, WsUpgrade};

use crate::{
    backend::{Backend, ClientSettings, HostSettings, RunningClient},
    body::text,
    pair::{Pair, accepted, connected, handshake},
    patience::{soon, until, waits},
    request::{get, path},
    service::{Guard, Once, Service, ok, ws_by_hand, ws_echo},
};

const SHORT: Duration = Duration::from_millis(200);

/// One client that takes all its places leaves those of the other free.
pub async fn requests_are_limited_per_client<B: Backend>(backend: B) {
    let service = Service::http(|request| async move {
        if path(&request) == "slow" {
            std::future::pending::<()>().await;
        }
        Ok(ok("ok"))
    });
    let host = HostSettings { max_requests: 2, ..HostSettings::default() };
    let client = ClientSettings { queue_timeout: SHORT, ..ClientSettings::default() };
    let pair = Pair::with(&backend, service, host, client).await;
    let mut slow: Vec<_> = (0..2).map(|_| Box::pin(pair.transport.send(get("/slow")))).collect();
    for sending in &mut slow {
        assert!(waits(sending).await);
    }
    let error = pair.send(get("/quick")).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::Overloaded);
    assert!(error.into_request().is_some());
    let other = connected(&backend, &pair.host, ClientSettings::default()).await;
    let response = soon("a response", other.transport().send(get("/quick"))).await.unwrap();
    assert_eq!(text(response.body).await.unwrap(), "ok");
    slow.pop();
    let again = soon("the free place", async {
        loop {
            if let Ok(response) = pair.transport.send(get("/quick")).await {
                return response;
            }
        }
    });
    assert_eq!(text(again.await.body).await.unwrap(), "ok");
}

/// Two are open, the third is turned away, and has its place once one of them has closed.
async fn third_websocket_waits<B: Backend>(backend: B, host: HostSettings, client: ClientSettings) {
    let pair = Pair::with(&backend, Service::ws_echo(), host, client).await;
    let (_first, second) = (pair.websocket().await, pair.websocket().await);
    assert_eq!(pair.open_ws(handshake("/ws")).await.unwrap_err().kind(), FailureKind::Overloaded);
    // Requests have places of their own.
    assert_eq!(text(pair.answer(get("/")).await.body).await.unwrap(), "ok");
    drop(second);
    soon("the free place", async { while pair.transport.open_ws(handshake("/ws")).await.is_err() {} }).await;
}

/// The host's limit.
pub async fn websockets_are_limited_by_the_host<B: Backend>(backend: B) {
    let host = HostSettings { max_websockets: 2, ..HostSettings::default() };
    third_websocket_waits(backend, host, ClientSettings { queue_timeout: SHORT, ..ClientSettings::default() }).await;
}

/// The client's own limit.
pub async fn websockets_are_limited_by_the_client<B: Backend>(backend: B) {
    let client = ClientSettings { max_websockets: 2, queue_timeout: SHORT, ..ClientSettings::default() };
    third_websocket_waits(backend, HostSettings::default(), client).await;
}

/// A message that is too long for the sender is an error at once; the WebSocket is over, and still fails, not panics.
pub async fn a_message_over_the_senders_limit_is_an_error_and_so_is_what_follows<B: Backend>(backend: B) {
    let client = ClientSettings { ws_message_bytes_max: 100, ..ClientSettings::default() };
    let pair = Pair::with(&backend, Service::ws_echo(), HostSettings::default(), client).await;
    let mut session = pair.websocket().await;
    let allowed = WsMessage::Binary(vec![1; 100].into());
    soon("sending", session.sink.send(allowed.clone())).await.unwrap();
    assert_eq!(soon("the echo", session.stream.next()).await.unwrap().unwrap(), allowed);
    let error = session.sink.send(WsMessage::Binary(vec![0; 101].into())).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::TooLarge);
    assert!(soon("a second error", session.sink.send(WsMessage::Binary(Bytes::new()))).await.is_err());
    assert!(soon("the end", session.stream.next()).await.unwrap().is_err());
}

/// A message that is too long for the host is not delivered, and the service learns that the WebSocket is over.
pub async fn a_message_over_the_hosts_limit_ends_the_websocket<B: Backend>(backend: B) {
    let (upgrade, mut from_client, _to_client) = ws_by_hand();
    let upgrade = Once::new(upgrade);
    let service = Service::ws(move |_| {
        let upgrade = upgrade.take();
        async { Ok(upgrade) }
    });
    let host = HostSettings { ws_message_bytes_max: 100, ..HostSettings::default() };
    let pair = Pair::with(&backend, service, host, ClientSettings::default()).await;
    let mut session = pair.websocket().await;
    // Whether this send notices is a matter of time.
    soon("sending", session.sink.send(WsMessage::Binary(vec![0; 101].into()))).await.ok();
    assert!(soon("the end", session.stream.next()).await.unwrap().is_err());
    assert_eq!(soon("the end at the service", from_client.next()).await, None);
    assert_eq!(text(pair.answer(get("/")).await.body).await.unwrap(), "ok");
}

/// The same in the other direction.
pub async fn a_message_of_the_service_over_the_limit_ends_the_websocket<B: Backend>(backend: B) {
    let host = HostSettings { ws_message_bytes_max: 1000, ..HostSettings::default() };
    let client = ClientSettings { ws_message_bytes_max: 100, ..ClientSettings::default() };
    for bytes in [101, 1001] {
        let (upgrade, _from_client, mut to_client) = ws_by_hand();
        let upgrade = Once::new(upgrade);
        let service = Service::ws(move |_| {
            let upgrade = upgrade.take();
            async { Ok(upgrade) }
        });
        let pair = Pair::with(&backend, service, host.clone(), client.clone()).await;
        let mut session = pair.websocket().await;
        soon("the service, sending", to_client.send(WsMessage::Binary(vec![0; bytes].into()))).await.unwrap();
        assert!(soon("the end", session.stream.next()).await.unwrap().is_err());
        drop(session);
        soon("the end at the service", async { while to_client.send(WsMessage::Text(Bytes::new())).await.is_ok() {} })
            .await;
    }
}

/// A WebSocket that ended in any way gives its place back.
pub async fn ended_websockets_give_their_places_back<B: Backend>(backend: B) {
    let open = Arc::new(());
    let count = Arc::clone(&open);
    let service = Service::ws(move |_| {
        let kept = Arc::clone(&count);
        async move {
            let WsUpgrade::Accepted { headers, mut session, .. } = ws_echo() else { panic!("it accepts") };
            session.stream = Box::pin(session.stream.inspect(move |_| drop(Arc::clone(&kept))));
            Ok(WsUpgrade::Accepted { headers, session, via: None })
        }
    });
    let host = HostSettings { max_websockets: 2, ..HostSettings::default() };
    let pair = Pair::with(&backend, service, host, ClientSettings::default()).await;
    for round in 0..30 {
        // The new handshake may overtake the news that an old one has ended.
        let opened = soon("a free place", async {
            loop {
                match pair.transport.open_ws(handshake("/ws")).await {
                    Err(failure) if failure.kind() == FailureKind::Overloaded => sleep(Duration::from_millis(5)).await,
                    other => return other,
                }
            }
        });
        let (_, mut session) = accepted(opened.await);
        match round % 3 {
            0 => drop(session),
            1 => {
                soon("closing", session.sink.send(WsMessage::Close(None))).await.unwrap();
                drop(session);
            }
            _ => {
                soon("closing", session.sink.send(WsMessage::Close(None))).await.unwrap();
                let mut answer = soon("the answer", session.stream.next()).await.unwrap().unwrap();
                // A hop may look whether we still live.
                while answer == WsMessage::Ping(Bytes::new()) {
                    answer = soon("the answer", session.stream.next()).await.unwrap().unwrap();
                }
                assert_eq!(answer, WsMessage::Close(None));
            }
        }
    }
    until("the last one has ended", || Arc::strong_count(&open) == 2).await;
}

/// A client's limit of messages is no limit of bodies.
pub async fn the_limit_of_messages_is_none_of_bodies<B: Backend>(backend: B) {
    let (guard, _gone) = Guard::new();
    let host = HostSettings { ws_message_bytes_max: 100, ..HostSettings::default() };
    let client = ClientSettings { ws_message_bytes_max: 100, ..ClientSettings::default() };
    let pair = Pair::with(&backend, Service::echo(), host, client).await;
    let body = tunnel_core::Body::full(crate::body::pattern_piece(0, 500_000));
    let response = pair.answer(crate::request::post("/", body)).await;
    assert_eq!(crate::body::digest(response.body).await.unwrap().hash, crate::body::pattern_hash(500_000));
    drop(guard);
}

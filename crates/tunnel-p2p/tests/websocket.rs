//! WebSockets: messages in order both ways, and endings that both sides notice.

mod support;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, StatusCode};
use support::{Guard, Pair, Service, ok, once, soon, take, text};
use tunnel_core::{FailureKind, Transport, WsClose, WsMessage, WsOpen, WsSession, WsUpgrade};

/// Sends every message back, pings and closes included.
fn echo(open: &WsOpen) -> WsUpgrade {
    let (sender, receiver) = futures::channel::mpsc::channel(4);
    let sink = Box::pin(sender.sink_map_err(|_| tunnel_core::Failure::new(FailureKind::ServiceFailed, "gone")));
    let mut headers = HeaderMap::new();
    if let Some(offered) = open.headers.get("sec-websocket-protocol") {
        headers.insert("sec-websocket-protocol", offered.clone());
    }
    WsUpgrade::Accepted { headers, session: WsSession { sink, stream: Box::pin(receiver.map(Ok)) } }
}

fn open() -> WsOpen {
    let headers = HeaderMap::from_iter([(http::header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("moosic.v1"))]);
    WsOpen { id: 1, uri: "/ws?a=b".parse().expect("a target"), headers }
}

async fn accepted(pair: &Pair) -> (HeaderMap, WsSession) {
    match soon("the upgrade", pair.client.open_ws(open())).await.expect("an answer") {
        WsUpgrade::Accepted { headers, session } => (headers, session),
        WsUpgrade::Rejected(response) => panic!("rejected with {}", response.status),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_every_kind_and_size_come_back() {
    let pair = Pair::start(Service::ws(|open| async move { Ok(echo(&open)) })).await;
    let (headers, mut session) = accepted(&pair).await;
    assert_eq!(headers["sec-websocket-protocol"], "moosic.v1");
    let messages = [
        WsMessage::Text(Bytes::from_static("ä✓".as_bytes())),
        WsMessage::Text(Bytes::new()),
        WsMessage::Binary(Bytes::from(vec![9; 5 << 20])),
        WsMessage::Binary(Bytes::from_static(&[0xff, 0])),
        WsMessage::Ping(Bytes::from_static(b"p")),
        WsMessage::Pong(Bytes::new()),
        WsMessage::Close(Some(WsClose { code: 4001, reason: "bye".to_owned() })),
    ];
    for message in messages {
        soon("sending", session.sink.send(message.clone())).await.unwrap();
        assert_eq!(soon("the echo", session.stream.next()).await.unwrap().unwrap(), message);
    }
    assert!(soon("the end", session.stream.next()).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_the_limit_is_an_error_and_so_is_what_follows() {
    let pair =
        Pair::with(Service::ws(|open| async move { Ok(echo(&open)) }), |_| {}, |c| c.ws_message_bytes_max = 100).await;
    let (_, mut session) = accepted(&pair).await;
    let error = session.sink.send(WsMessage::Binary(vec![0; 101].into())).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::TooLarge);
    assert!(soon("a second error", session.sink.send(WsMessage::Binary(Bytes::new()))).await.is_err());
    assert!(soon("the end", session.stream.next()).await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejection_carries_the_whole_response() {
    let pair = Pair::start(Service::ws(|_| async {
        let mut response = ok("not here");
        response.status = StatusCode::FORBIDDEN;
        Ok(WsUpgrade::Rejected(response))
    }))
    .await;
    let WsUpgrade::Rejected(response) = pair.client.open_ws(open()).await.unwrap() else { panic!("rejected") };
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert_eq!(text(response.body).await.unwrap(), "not here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_is_noticed_by_the_service() {
    let (guard, gone) = Guard::new();
    let guard = once(guard);
    let pair = Pair::start(Service::ws(move |open| {
        let guard = take(&guard);
        async move {
            let WsUpgrade::Accepted { headers, mut session } = echo(&open) else { panic!("accepted") };
            session.stream = Box::pin(session.stream.inspect(move |_| {
                let _kept = &guard;
            }));
            Ok(WsUpgrade::Accepted { headers, session })
        }
    }))
    .await;
    let (_, session) = accepted(&pair).await;
    drop(session);
    soon("the drop", gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_dies_is_an_error_item() {
    let Pair { host, client, host_peer, client_peer } =
        Pair::start(Service::ws(|open| async move { Ok(echo(&open)) })).await;
    let WsUpgrade::Accepted { mut session, .. } = client.open_ws(open()).await.unwrap() else { panic!("accepted") };
    drop((host, host_peer));
    assert!(soon("an error", session.stream.next()).await.unwrap().is_err());
    drop(client_peer);
}

//! WebSockets.

use bytes::Bytes;
use futures::{SinkExt, StreamExt, channel::mpsc};
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use tunnel_core::{Body, Failure, FailureKind, Health, Response, Transport, WsMessage, WsOpen, WsSession, WsUpgrade};
use tunnel_router::{Mode, Outcome, RouterConfig};

use super::{
    fake::{self, Fake, failure},
    pair,
};

fn open() -> WsOpen {
    WsOpen { id: 7, uri: http::Uri::from_static("/ws?clientId=home"), headers: HeaderMap::new() }
}

/// Echoes, and breaks off after so many messages.
fn echo(fake: &Fake, messages: usize) {
    fake.with(|state| {
        state.ws = Box::new(move |_| {
            let (sender, receiver) = mpsc::channel(10);
            let end = futures::stream::once(async { Err(failure(FailureKind::ConnectionLost)) });
            let stream = receiver.take(messages).map(Ok).chain(end);
            let sink = sender.sink_map_err(|_| failure(FailureKind::ConnectionLost));
            let session = WsSession { sink: Box::pin(sink), stream: Box::pin(stream) };
            Ok(WsUpgrade::Accepted { headers: HeaderMap::new(), session, via: None })
        });
    });
}

fn fails(fake: &Fake, kind: FailureKind) {
    fake.with(|state| state.ws = Box::new(move |_| Err(failure(kind))));
}

async fn reason(router: &impl Transport) -> Result<(&'static str, &'static str), Failure> {
    match router.open_ws(open()).await? {
        WsUpgrade::Accepted { via: Some(via), .. } => Ok((via.transport.name(), via.reason.expect("a reason"))),
        other => panic!("not accepted: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn follows_the_same_policy_as_requests() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    echo(&p2p, 1);
    echo(&legacy, 1);
    assert_eq!(reason(&router).await, Ok(("p2p", "p2p-healthy")));
    router.set_mode(Some(Mode::Legacy));
    assert_eq!(reason(&router).await, Ok(("legacy", "override")));
    router.set_mode(None);
    p2p.is(fake::down());
    let begun = Instant::now();
    assert_eq!(reason(&router).await, Ok(("legacy", "p2p-down")));
    assert_eq!(begun.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn falls_back_if_it_does_not_open() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    fails(&p2p, FailureKind::ConnectionLost);
    echo(&legacy, 1);
    assert_eq!(reason(&router).await, Ok(("legacy", "p2p-failed")));
    legacy.with(|state| state.refuses = Some(failure(FailureKind::Unsupported)));
    let refused = reason(&router).await.unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Unsupported);
    assert!(refused.message().contains("connection-lost"), "{refused}");
    fails(&p2p, FailureKind::ServiceFailed);
    assert_eq!(reason(&router).await.unwrap_err().kind(), FailureKind::ServiceFailed);
}

#[tokio::test(start_paused = true)]
async fn goes_over_p2p_where_legacy_cannot_or_does_not() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    echo(&p2p, 1);
    fails(&legacy, FailureKind::Unreachable);
    router.set_mode(Some(Mode::Legacy));
    assert_eq!(reason(&router).await.unwrap_err().kind(), FailureKind::Unreachable);
    router.set_mode(None);
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    p2p.is(Health::Probing);
    tokio::task::yield_now().await;
    echo(&p2p, 1);
    fails(&legacy, FailureKind::Unreachable);
    assert_eq!(reason(&router).await, Ok(("p2p", "legacy-failed")));
    legacy.with(|state| state.refuses = Some(failure(FailureKind::Unsupported)));
    assert_eq!(reason(&router).await, Ok(("p2p", "not-carried")));
    p2p.is(fake::down());
    let refused = reason(&router).await.unwrap_err();
    assert!(refused.message().contains("no way to the peer"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_service_is_no_failure() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    p2p.with(|state| {
        let forbidden = || Response::new(StatusCode::FORBIDDEN, Body::full("no"));
        state.ws = Box::new(move |_| Ok(WsUpgrade::Rejected(forbidden())));
    });
    echo(&legacy, 1);
    let WsUpgrade::Rejected(response) = router.open_ws(open()).await.unwrap() else { panic!("accepted") };
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert_eq!(response.via.unwrap().reason, Some("p2p-healthy"));
}

#[tokio::test(start_paused = true)]
async fn dies_with_its_transport() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    echo(&p2p, 2);
    let WsUpgrade::Accepted { session, .. } = router.open_ws(open()).await.unwrap() else { panic!("rejected") };
    let WsSession { mut sink, mut stream } = session;
    for text in ["one", "two"] {
        let message = WsMessage::Text(Bytes::from(text));
        sink.send(message.clone()).await.unwrap();
        assert_eq!(stream.next().await, Some(Ok(message)));
    }
    assert_eq!(router.decisions()[0].outcome, Outcome::Open);
    assert_eq!(stream.next().await, Some(Err(failure(FailureKind::ConnectionLost))));
    let decision = &router.decisions()[0];
    assert_eq!((decision.method.as_str(), decision.path.as_str()), ("WEBSOCKET", "/ws"));
    assert_eq!(decision.outcome, Outcome::Cut(FailureKind::ConnectionLost));
    let counts = router.status().counts;
    assert_eq!((counts.bytes_sent.p2p, counts.bytes_received.p2p, counts.cut.p2p), (6, 6, 1));
    assert_eq!(router.status().p2p.unwrap().state.name(), "suspect");
}

#[tokio::test(start_paused = true)]
async fn a_p2p_that_does_not_answer_is_given_up() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    p2p.with(|state| {
        state.ws_hangs = true;
        state.probe = None;
    });
    echo(&legacy, 1);
    let begun = Instant::now();
    assert_eq!(reason(&router).await, Ok(("legacy", "p2p-failed")));
    assert_eq!(begun.elapsed().as_millis(), 4500);
}

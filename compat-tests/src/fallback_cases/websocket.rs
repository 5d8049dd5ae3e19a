//! WebSockets live and die with their transport; the next one opens over the other.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::StatusCode;
use serde_json::{Value, json};
use tunnel_core::{
    FailureKind, Response, Transport,
    TransportKind::{Legacy, P2p},
    WsMessage, WsSession, WsUpgrade,
};
use tunnel_router::Reason;

use super::stage::Stage;
use crate::{
    backend::world::World,
    body::text,
    pair::handshake,
    patience::soon,
    service::{Service, ok},
};

/// A question and its answer, in the only words that both transports carry.
async fn talks(session: &mut WsSession, number: u64) {
    let message = json!({"request_id": number, "body": {"number": number}});
    let sent = WsMessage::Text(Bytes::from(message.to_string()));
    soon("sending", session.sink.send(sent)).await.expect("the WebSocket is open");
    let received = soon("the echo", session.stream.next()).await.expect("the WebSocket goes on").expect("no failure");
    let WsMessage::Text(text) = received else { panic!("{received:?}") };
    let echo: Value = serde_json::from_slice(&text).expect("JSON");
    assert!(echo.to_string().contains(&format!("\"number\":{number}")), "{echo}");
}

/// The next message is an error, and then nothing comes.
async fn ends(mut session: WsSession) {
    assert!(soon("an error", session.stream.next()).await.unwrap().is_err());
    assert!(soon("the end", session.stream.next()).await.is_none());
}

/// Also messages that legacy could not carry.
pub async fn one_opens_over_p2p_while_it_works<W: World>(world: W) {
    let stage = Stage::start(world, Service::ws_echo()).await;
    let mut session = stage.websocket(P2p, Reason::P2pHealthy).await;
    talks(&mut session, 1).await;
    let binary = WsMessage::Binary(Bytes::from_static(&[0xff, 0]));
    soon("sending", session.sink.send(binary.clone())).await.unwrap();
    assert_eq!(soon("the echo", session.stream.next()).await.unwrap().unwrap(), binary);
}

/// The app reconnects, as apps do, and is served over legacy.
pub async fn one_whose_p2p_dies_ends_and_the_next_opens_over_legacy<W: World>(world: W) {
    let stage = Stage::start(world, Service::ws_echo()).await;
    let mut session = stage.websocket(P2p, Reason::P2pHealthy).await;
    talks(&mut session, 1).await;
    stage.host.cut_p2p().await;
    ends(session).await;
    stage.p2p_is_down().await;
    let mut next = stage.websocket(Legacy, Reason::P2pDown).await;
    talks(&mut next, 2).await;
}

/// And back.
pub async fn one_whose_tunnel_server_dies_ends_and_the_next_opens_over_p2p<W: World>(world: W) {
    let stage = Stage::start(world, Service::ws_echo()).await;
    stage.lose_p2p().await;
    let mut session = stage.websocket(Legacy, Reason::P2pDown).await;
    talks(&mut session, 1).await;
    stage.host.heal_p2p().await;
    stage.router.network_changed();
    stage.p2p_is_used().await;
    // It stays where it is.
    talks(&mut session, 2).await;
    stage.backend.server().await.kill();
    ends(session).await;
    let mut next = stage.websocket(P2p, Reason::P2pHealthy).await;
    talks(&mut next, 3).await;
}

/// The tunnel server has only one path for WebSockets.
pub async fn one_that_legacy_cannot_carry_fails_clearly<W: World>(world: W) {
    let stage = Stage::start(world, Service::ws_echo()).await;
    stage.lose_p2p().await;
    let failure = soon("an answer to the handshake", stage.router.open_ws(handshake("/other"))).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Unsupported, "{failure}");
    assert_eq!(stage.seen.all(), 0);
}

/// A service that says no is asked once.
pub async fn a_rejection_is_an_answer<W: World>(world: W) {
    let service =
        Service::ws(|_| async { Ok(WsUpgrade::Rejected(Response { status: StatusCode::FORBIDDEN, ..ok("no") })) });
    let stage = Stage::start(world, service).await;
    let upgrade = soon("an answer to the handshake", stage.router.open_ws(handshake("/ws"))).await.unwrap();
    let WsUpgrade::Rejected(response) = upgrade else { panic!("accepted") };
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert_eq!(response.via.map(|via| via.transport), Some(P2p));
    assert_eq!(text(response.body).await.unwrap(), "no");
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (1, 0));
}

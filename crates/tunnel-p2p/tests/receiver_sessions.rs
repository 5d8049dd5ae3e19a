//! The WebSockets of a receiver: those of one client do not delay another, and nobody loses one without being told.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures::{SinkExt, StreamExt, channel::mpsc, poll, stream};
use http::{HeaderMap, HeaderValue};
use p2p_provider::simulator::run;
use serde_json::{Value, json};
use tokio::time::timeout;
use tunnel_core::{
    Failure, FailureKind, Health, Request, Response, SendError, Transport, WsMessage, WsOpen, WsSession, WsUpgrade,
    moosicbox_tunnel::TunnelWsRequest,
};
use tunnel_p2p::receiver::{P2PTunnelReceiver, WsEvent};

/// A host that speaks WebSockets.
struct Away {
    /// Whether it has one session for all clients.
    many: bool,
    /// What it was told, session by session.
    sessions: Mutex<Vec<mpsc::Receiver<WsMessage>>>,
}

/// The client whose handshake is never answered.
const HANGS: u64 = 13;

#[async_trait]
impl Transport for Away {
    async fn send(&self, _: Request) -> Result<Response, SendError> {
        panic!("there are only WebSockets")
    }

    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        if open.id == HANGS {
            std::future::pending::<()>().await;
        }
        let mut headers = HeaderMap::new();
        if self.many {
            headers.insert("sec-websocket-protocol", HeaderValue::from_static("moosicbox-tunnel"));
        }
        let (sender, receiver) = mpsc::channel(0);
        self.sessions.lock().unwrap().push(receiver);
        let sink = sender.sink_map_err(|_| Failure::new(FailureKind::ConnectionLost, "gone"));
        let session = WsSession { sink: Box::pin(sink), stream: stream::pending().boxed() };
        Ok(WsUpgrade::Accepted { headers, session, via: None })
    }

    fn health(&self) -> Health {
        Health::Probing
    }

    async fn probe(&self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Away {
    fn new(many: bool) -> Arc<Self> {
        Arc::new(Self { many, sessions: Mutex::default() })
    }

    /// What a session is told next.
    async fn told(&self, session: usize) -> Value {
        let next = std::future::poll_fn(|cx| self.sessions.lock().unwrap()[session].poll_next_unpin(cx));
        let Some(WsMessage::Text(text)) = timeout(Duration::from_secs(1), next).await.unwrap() else {
            panic!("a text")
        };
        serde_json::from_slice(&text).unwrap()
    }
}

fn says(conn_id: u64, body: Value) -> TunnelWsRequest {
    TunnelWsRequest { conn_id, request_id: 1, body, connection_id: None, profile: None }
}

#[test]
fn a_handshake_that_hangs_delays_no_other_client() {
    run(1, async |_| {
        let away = Away::new(false);
        let (receiver, _events) = P2PTunnelReceiver::new(Arc::clone(&away) as Arc<dyn Transport>);
        receiver.open_ws(1, None).await.unwrap();
        let mut hanging = Box::pin(receiver.ws(says(HANGS, json!("never"))));
        assert!(poll!(&mut hanging).is_pending());
        let (said, told) = tokio::join!(receiver.ws(says(1, json!("at once"))), away.told(0));
        said.unwrap();
        assert_eq!(told, "at once");
        timeout(Duration::from_secs(1), receiver.open_ws(2, None)).await.unwrap().unwrap();
        timeout(Duration::from_secs(1), receiver.close_ws(2)).await.unwrap();
    });
}

#[test]
fn a_session_that_takes_no_message_delays_no_other_client() {
    run(1, async |_| {
        let away = Away::new(false);
        let (receiver, mut events) = P2PTunnelReceiver::new(Arc::clone(&away) as Arc<dyn Transport>);
        receiver.open_ws(1, None).await.unwrap();
        receiver.open_ws(2, None).await.unwrap();
        let mut stuck = Box::pin(receiver.ws(says(1, json!("nobody reads this"))));
        assert!(poll!(&mut stuck).is_pending());
        let (said, told) = tokio::join!(receiver.ws(says(2, json!("at once"))), away.told(1));
        said.unwrap();
        assert_eq!(told, "at once");
        assert_eq!(stuck.await.unwrap_err().kind(), FailureKind::Timeout);
        let event = timeout(Duration::from_secs(1), events.recv()).await.unwrap();
        assert!(matches!(&event, Some(WsEvent::Lost(lost)) if lost == &[1]), "{event:?}");
        // Its next message opens a new way.
        let (said, told) = tokio::join!(receiver.ws(says(1, json!("again"))), async {
            while away.sessions.lock().unwrap().len() < 3 {
                tokio::task::yield_now().await;
            }
            away.told(2).await
        });
        said.unwrap();
        assert_eq!(told, "again");
    });
}

#[test]
fn many_clients_share_one_session_and_one_too_many_is_an_error_of_its_own() {
    run(1, async |_| {
        let away = Away::new(true);
        let (receiver, mut events) = P2PTunnelReceiver::new(Arc::clone(&away) as Arc<dyn Transport>);
        for conn_id in 1..=1024 {
            let telling = async {
                while away.sessions.lock().unwrap().is_empty() {
                    tokio::task::yield_now().await;
                }
                away.told(0).await
            };
            let conn_id = if conn_id == HANGS { 2000 } else { conn_id };
            let (opened, told) = tokio::join!(receiver.open_ws(conn_id, None), telling);
            opened.unwrap();
            assert_eq!(told, json!({"type": "WS_OPENED", "conn_id": conn_id}));
        }
        let failure = receiver.open_ws(1025, None).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Overloaded);
        let ((), told) = tokio::join!(receiver.close_ws(1), away.told(0));
        assert_eq!(told, json!({"type": "WS_CLOSED", "conn_id": 1}));
        let (opened, _) = tokio::join!(receiver.open_ws(1025, None), away.told(0));
        opened.unwrap();
        assert_eq!(away.sessions.lock().unwrap().len(), 1);
        assert!(timeout(Duration::from_mins(1), events.recv()).await.is_err(), "nobody has lost anything");
    });
}

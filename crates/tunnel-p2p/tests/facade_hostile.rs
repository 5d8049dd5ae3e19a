//! Clients of a sender that mean no good, and loops that stand still: everything is given back, and nobody gets what is
//! another's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{SinkExt, StreamExt, future::BoxFuture, poll};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use p2p_provider::simulator::run;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    task::{unconstrained, yield_now},
    time::{Instant, timeout},
};
use tunnel_core::{
    Failure, FailureKind, Handler, Request, Response, WsMessage, WsOpen, WsSession, WsUpgrade,
    moosicbox_tunnel::{TunnelHttpRequest, TunnelRequest, TunnelResponse, TunnelWsRequest},
    packet::encode,
};
use tunnel_p2p::sender::{P2PTunnelSender, P2PTunnelSenderHandle, SenderConfig, TunnelMessage, WebsocketSender};

/// As many requests as a sender takes.
const REQUESTS_MAX: u64 = 4096;

struct Home {
    sender: P2PTunnelSender,
    handle: P2PTunnelSenderHandle,
    handler: Arc<dyn Handler>,
    messages: mpsc::Receiver<TunnelMessage>,
}

type Answering = BoxFuture<'static, Result<Response, Failure>>;

impl Home {
    fn new() -> Self {
        let mut config = SenderConfig::default();
        config.seed = Some(1);
        let (sender, handle) = P2PTunnelSender::detached(config);
        let messages = sender.start();
        Self { handler: sender.handler(), sender, handle, messages }
    }

    /// A request that some client has sent.
    async fn ask(&self, id: u64, payload: Option<Value>) -> Answering {
        let handler = Arc::clone(&self.handler);
        let mut answering: Answering = Box::pin(async move { handler.http(request(id, payload)).await });
        // Many of them in one turn must not look as if each waited.
        assert!(poll!(unconstrained(&mut answering)).is_pending());
        answering
    }

    /// What the loop is told next.
    async fn told(&mut self) -> TunnelRequest {
        let message = timeout(Duration::from_secs(1), self.messages.recv()).await.expect("a message");
        let Some(TunnelMessage::Text(text)) = message else { panic!("{message:?}") };
        serde_json::from_str(&text).unwrap()
    }

    /// The id of the request of which the loop is told next.
    async fn asked(&mut self) -> u64 {
        match self.told().await {
            TunnelRequest::Http(request) => request.request_id,
            other => panic!("{other:?}"),
        }
    }

    /// The loop is told nothing more.
    async fn nothing_more(&mut self) {
        let more = timeout(Duration::from_secs(1), self.messages.recv()).await;
        assert!(more.is_err(), "{more:?}");
    }

    /// Takes all that is there; how many messages that was.
    async fn forget(&mut self) -> usize {
        let mut told = 0;
        while timeout(Duration::from_millis(1), self.messages.recv()).await.is_ok() {
            told += 1;
        }
        told
    }

    fn send(&self, id: u64, packet_id: u32, last: bool, bytes: impl Into<Bytes>) -> bool {
        self.sender.send_bytes(id, packet_id, packet(id, packet_id, last, bytes)).is_ok()
    }

    /// There are places for as many requests as ever, and not for one more.
    async fn all_places_are_free(&mut self) {
        let mut held = Vec::new();
        for _ in 0..REQUESTS_MAX {
            held.push(self.ask(1, None).await);
        }
        let handler = Arc::clone(&self.handler);
        let failure = handler.http(request(1, None)).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Overloaded);
        drop(held);
        // Of most of them the loop was never told.
        self.forget().await;
        let answering = self.ask(1, None).await;
        let id = self.asked().await;
        assert!(self.send(id, 1, true, "ok"));
        assert_eq!(text(answering.await.unwrap()).await.unwrap(), "ok");
        self.nothing_more().await;
    }

    async fn websocket(&self, many: bool) -> WsSession {
        let mut headers = HeaderMap::new();
        if many {
            headers.insert("sec-websocket-protocol", HeaderValue::from_static("moosicbox-tunnel"));
        }
        let open = WsOpen { id: 1, uri: "/ws".parse().unwrap(), headers };
        let WsUpgrade::Accepted { session, .. } = self.handler.ws(open).await.unwrap() else { panic!("rejected") };
        session
    }
}

fn request(id: u64, payload: Option<Value>) -> Request {
    Request::tunnel(TunnelHttpRequest {
        request_id: id,
        method: serde_json::from_value(json!("POST")).unwrap(),
        path: "x".to_owned(),
        query: json!({}),
        payload,
        headers: None,
        encoding: serde_json::from_value(json!("BINARY")).unwrap(),
        profile: None,
    })
}

fn packet(request_id: u64, packet_id: u32, last: bool, bytes: impl Into<Bytes>) -> Bytes {
    let head = (packet_id == 1).then(|| (200, std::collections::BTreeMap::new()));
    let (status, headers) = head.unzip();
    encode(&TunnelResponse { request_id, packet_id, last, bytes: bytes.into(), status, headers }).unwrap()
}

async fn text(response: Response) -> Result<String, Failure> {
    assert_eq!(response.status, StatusCode::OK);
    Ok(String::from_utf8(response.body.collect().await?.to_bytes().to_vec()).unwrap())
}

fn ws_text(message: &impl serde::Serialize) -> WsMessage {
    WsMessage::Text(serde_json::to_string(message).unwrap().into())
}

fn question(conn_id: u64, request_id: u64, body: Value) -> WsMessage {
    let request = TunnelWsRequest { conn_id, request_id, body, connection_id: None, profile: None };
    ws_text(&TunnelRequest::Ws(request))
}

#[test]
fn ten_thousand_aborted_requests_leave_nothing_to_a_loop_that_stands_still() {
    run(1, async |_| {
        let mut home = Home::new();
        for id in 0..10_000 {
            drop(home.ask(id, Some(json!("x".repeat(1000)))).await);
        }
        // At most the one that was on its way to the loop, and its end.
        let told = home.forget().await;
        assert!(told <= 2, "{told}");
        home.all_places_are_free().await;
    });
}

#[test]
fn ten_thousand_requests_that_the_loop_has_seen_give_their_places_back() {
    run(1, async |_| {
        let mut home = Home::new();
        for id in 0..10_000 {
            let answering = home.ask(id, None).await;
            assert_eq!(home.asked().await, id);
            drop(answering);
            assert!(matches!(home.told().await, TunnelRequest::Abort(abort) if abort.request_id == id));
        }
        home.all_places_are_free().await;
    });
}

#[test]
fn two_clients_with_the_same_id_get_their_own_answers() {
    run(1, async |_| {
        let mut home = Home::new();
        for id in [0, 1, u64::MAX] {
            let one = home.ask(id, None).await;
            assert_eq!(home.asked().await, id);
            let other = home.ask(id, None).await;
            let others_id = home.asked().await;
            assert_ne!(others_id, id);
            assert!(home.send(others_id, 1, true, "the other's"));
            assert!(home.send(id, 1, true, "the one's"));
            assert_eq!(text(one.await.unwrap()).await.unwrap(), "the one's");
            assert_eq!(text(other.await.unwrap()).await.unwrap(), "the other's");
        }
        home.nothing_more().await;
    });
}

#[test]
fn what_is_said_to_a_client_that_has_left_reaches_nobody_who_chooses_its_id() {
    run(1, async |_| {
        let mut home = Home::new();
        let gone = home.ask(7, None).await;
        assert_eq!(home.asked().await, 7);
        assert!(home.send(7, 1, false, "secret"));
        drop(gone);
        // The loop has not heard of the end yet.
        let next = home.ask(7, None).await;
        assert!(!home.send(7, 2, true, "secret"));
        assert!(matches!(home.told().await, TunnelRequest::Abort(abort) if abort.request_id == 7));
        let id = home.asked().await;
        assert_ne!(id, 7);
        assert!(home.send(id, 1, true, "public"));
        assert_eq!(text(next.await.unwrap()).await.unwrap(), "public");
        // One that was answered whole has nothing more to fear: its id may be used again.
        let whole = home.ask(8, None).await;
        assert_eq!(home.asked().await, 8);
        assert!(home.send(8, 1, true, "whole"));
        assert_eq!(text(whole.await.unwrap()).await.unwrap(), "whole");
        let _again = home.ask(8, None).await;
        assert_eq!(home.asked().await, 8);
    });
}

#[test]
fn a_loop_that_never_reads_costs_each_client_a_timeout_and_no_place() {
    run(1, async |_| {
        let mut home = Home::new();
        let begun = Instant::now();
        let mut waiting = Vec::new();
        // More than may wait: the others wait outside.
        for id in 0..100 {
            waiting.push(home.ask(id, Some(json!("x".repeat(1_000_000)))).await);
        }
        for answering in waiting {
            assert_eq!(answering.await.unwrap_err().kind(), FailureKind::ServiceTimeout);
        }
        assert!(begun.elapsed() < Duration::from_secs(71));
        home.forget().await;
        home.all_places_are_free().await;
    });
}

#[test]
fn a_loop_that_ends_is_no_reason_to_wait() {
    run(1, async |_| {
        let mut home = Home::new();
        let seen = home.ask(1, None).await;
        assert_eq!(home.asked().await, 1);
        let slot = home.ask(2, None).await;
        let unseen = home.ask(3, None).await;
        yield_now().await;
        home.messages.close();
        assert_eq!(unseen.await.unwrap_err().kind(), FailureKind::Refused);
        drop((seen, slot));
        let handler = Arc::clone(&home.handler);
        assert_eq!(handler.http(request(4, None)).await.unwrap_err().kind(), FailureKind::Refused);
        // Another one may take its place.
        home.messages = home.sender.start();
        home.all_places_are_free().await;
    });
}

#[test]
fn a_reader_that_stands_still_is_cut_or_waited_for_and_gives_its_place_back() {
    run(1, async |_| {
        let mut home = Home::new();
        let answering = home.ask(1, None).await;
        assert_eq!(home.asked().await, 1);
        let sent = (1..10_000).take_while(|number| home.send(1, *number, false, vec![0; 60_000])).count();
        assert!((200..300).contains(&sent), "{sent} packets of 60 kB");
        let response = answering.await.unwrap();
        assert_eq!(text(response).await.unwrap_err().kind(), FailureKind::Aborted);
        // Nothing comes after a gap.
        assert!(!home.send(1, 10_000, true, ""));

        let answering = home.ask(2, None).await;
        assert_eq!(home.asked().await, 2);
        let mut sent = 0;
        let pushing = async {
            for number in 1.. {
                let bytes = packet(2, number, false, vec![0; 60_000]);
                if home.sender.send_bytes_paced(2, number, bytes).await.is_err() {
                    return;
                }
                sent = number;
            }
        };
        let mut pushing = Box::pin(pushing);
        assert!(timeout(Duration::from_mins(10), &mut pushing).await.is_err());
        let response = answering.await.unwrap();
        drop(response);
        timeout(Duration::from_secs(1), pushing).await.expect("the client has left");
        assert!(sent <= 40, "{sent} packets waited");
        assert!(matches!(home.told().await, TunnelRequest::Abort(abort) if abort.request_id == 2));
        home.all_places_are_free().await;
    });
}

#[test]
fn a_flood_on_a_websocket_waits_for_the_loop_and_delays_nobody() {
    run(1, async |_| {
        let mut home = Home::new();
        let WsSession { mut sink, stream } = home.websocket(false).await;
        let mut sent = 0;
        let flooding = async {
            for number in 0..1_000_000 {
                sink.send(ws_text(&json!({"number": number, "filling": "x".repeat(10_000)}))).await.unwrap();
                sent += 1;
            }
        };
        assert!(timeout(Duration::from_mins(10), flooding).await.is_err());
        assert!(sent < 40, "{sent} messages of 10 kB");
        let answering = home.ask(1, None).await;
        let mut before = 0;
        let id = loop {
            match home.told().await {
                TunnelRequest::Ws(_) => before += 1,
                TunnelRequest::Http(request) => break request.request_id,
                TunnelRequest::Abort(_) => panic!("nobody has left"),
            }
        };
        assert!(before <= 40, "{before}");
        assert!(home.send(id, 1, true, "ok"));
        assert_eq!(text(answering.await.unwrap()).await.unwrap(), "ok");
        drop((sink, stream));
        home.forget().await;
        home.all_places_are_free().await;
    });
}

#[test]
fn nobody_gets_the_number_of_a_websocket_client_that_has_left() {
    run(1, async |_| {
        let mut home = Home::new();
        let mut one = home.websocket(true).await;
        one.sink.send(question(5, 70, json!("mine"))).await.unwrap();
        let TunnelRequest::Ws(asked) = home.told().await else { panic!("a message") };
        assert_eq!((asked.conn_id, asked.request_id), (5, 70));
        drop(one);
        let mut other = home.websocket(true).await;
        other.sink.send(question(5, 70, json!("also mine"))).await.unwrap();
        let TunnelRequest::Ws(asked) = home.told().await else { panic!("a message") };
        assert!(asked.conn_id != 5 && asked.request_id != 70, "{asked:?}");
        home.handle.send("5", "\"for the one\"").await.unwrap();
        let reply = json!({"request_id": 70, "body": "for the one"});
        home.sender.send_message(70, 1, reply.to_string()).unwrap();
        home.handle.send(&asked.conn_id.to_string(), "\"for the other\"").await.unwrap();
        let reply = json!({"request_id": asked.request_id, "body": "for the other"});
        home.sender.send_message(asked.request_id, 1, reply.to_string()).unwrap();
        for _ in 0..2 {
            let Some(Ok(WsMessage::Text(text))) = other.stream.next().await else { panic!("a message") };
            let said: Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(said["body"], "for the other");
            // By its own numbers.
            assert!(said["request_id"] == 70 || said["to_connection_ids"] == json!([5]), "{said}");
        }
        assert!(timeout(Duration::from_secs(1), other.stream.next()).await.is_err());
    });
}

#[test]
fn one_websocket_client_too_many_is_ignored_and_the_others_are_not_disturbed() {
    run(1, async |_| {
        let mut home = Home::new();
        let mut session = home.websocket(true).await;
        for conn_id in 1..=1025 {
            session.sink.send(ws_text(&json!({"type": "WS_OPENED", "conn_id": conn_id}))).await.unwrap();
        }
        session.sink.send(question(1025, 1, json!("too many"))).await.unwrap();
        session.sink.send(question(1024, 2, json!("welcome"))).await.unwrap();
        assert!(matches!(home.told().await, TunnelRequest::Ws(request) if request.conn_id == 1024));
        session.sink.send(ws_text(&json!({"type": "WS_CLOSED", "conn_id": 1}))).await.unwrap();
        session.sink.send(question(1025, 1, json!("now"))).await.unwrap();
        assert!(matches!(home.told().await, TunnelRequest::Ws(request) if request.body == json!("now")));
        home.nothing_more().await;
    });
}

//! WebSocket clients, of gateways and of receivers.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};
use tunnel_core::{
    Handler, Transport, WsClose, WsMessage, WsOpen, WsSession, WsUpgrade,
    moosicbox_tunnel::{TunnelRequest, TunnelWsRequest, TunnelWsResponse},
};
use tunnel_p2p::{
    receiver::{P2PTunnelReceiver, WsEvent},
    sender::{
        TunnelRequestError, WebsocketContext, WebsocketMessageError, WebsocketSendError, WebsocketSender, WsProcessor,
    },
};

use crate::support::{Started, soon, started};

/// A WebSocket as a gateway opens it.
async fn open(tunnel: &Started, target: &'static str) -> WsSession {
    match tunnel.sender.handler().ws(ws_open(target)).await.unwrap() {
        WsUpgrade::Accepted { headers, session, .. } => {
            assert!(headers.is_empty());
            session
        }
        WsUpgrade::Rejected(response) => panic!("{}", response.status),
    }
}

fn ws_open(target: &'static str) -> WsOpen {
    WsOpen { id: 1, uri: http::Uri::from_static(target), headers: HeaderMap::new() }
}

fn text(value: &Value) -> WsMessage {
    WsMessage::Text(value.to_string().into())
}

async fn next(session: &mut WsSession) -> WsMessage {
    soon("a message", session.stream.next()).await.unwrap().unwrap()
}

impl Started {
    async fn ws(&mut self) -> TunnelWsRequest {
        match self.request().await {
            TunnelRequest::Ws(request) => request,
            other => panic!("no WebSocket message: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_loop_is_told_of_a_message_as_by_the_tunnel_server() {
    let mut tunnel = started();
    let mut session = open(&tunnel, "/ws?clientId=c&moosicboxProfile=master").await;
    session.sink.send(text(&json!({"type": "PING", "b": 1}))).await.unwrap();
    let said = tunnel.text().await;
    let request: TunnelWsRequest = match serde_json::from_str(&said).unwrap() {
        TunnelRequest::Ws(request) => request,
        other => panic!("{other:?}"),
    };
    let expected = format!(
        r#"{{"type":"WS","conn_id":{},"request_id":{},"body":{{"b":1,"type":"PING"}},"profile":"master"}}"#,
        request.conn_id, request.request_id
    );
    assert_eq!(said, expected);
    assert!(request.request_id != 0 && request.conn_id != 0);
}

#[tokio::test]
async fn answers_find_who_asked_and_lists_and_broadcasts_whom_they_name() {
    let mut tunnel = started();
    let (mut a, mut b) = (open(&tunnel, "/ws").await, open(&tunnel, "/ws").await);
    a.sink.send(text(&json!("from a"))).await.unwrap();
    let of_a = tunnel.ws().await;
    b.sink.send(text(&json!("from b"))).await.unwrap();
    let of_b = tunnel.ws().await;
    let (id_a, id_b) = (of_a.conn_id.to_string(), of_b.conn_id.to_string());

    // To who asked, by number, though the lists say otherwise.
    let reply = json!({"request_id": of_a.request_id, "body": {"re": 1}, "to_connection_ids": [of_b.conn_id]});
    tunnel.sender.send_message(of_a.request_id, 1, reply.to_string()).unwrap();
    assert_eq!(next(&mut a).await, text(&json!({"re": 1})));
    tunnel.handle.send(&id_b, "\"to b\"").await.unwrap();
    assert_eq!(next(&mut b).await, text(&json!("to b")));
    tunnel.handle.send_all_except(&id_a, "\"but a\"").await.unwrap();
    assert_eq!(next(&mut b).await, text(&json!("but a")));
    tunnel.handle.send_all("\"all\"").await.unwrap();
    assert_eq!(next(&mut a).await, text(&json!("all")));
    assert_eq!(next(&mut b).await, text(&json!("all")));
    tunnel.handle.ping().await.unwrap();
    assert!(matches!(next(&mut a).await, WsMessage::Ping(_)));

    drop(a);
    // Nobody is there any more: not an error, as with the tunnel server.
    tunnel.handle.send(&id_a, "1").await.unwrap();
    assert!(matches!(tunnel.handle.send("me", "1").await, Err(WebsocketSendError::ParseInt(_))));
    assert!(matches!(tunnel.handle.send_all("{").await, Err(WebsocketSendError::Serde(_))));
}

#[tokio::test]
async fn a_client_that_has_said_nothing_gets_broadcasts() {
    let tunnel = started();
    let mut session = open(&tunnel, "/ws").await;
    tunnel.handle.send_all("1").await.unwrap();
    assert_eq!(next(&mut session).await, text(&json!(1)));
}

#[tokio::test]
async fn what_the_tunnel_cannot_carry_closes_the_websocket_with_the_reason() {
    let tunnel = started();
    for message in [WsMessage::Text("{".into()), WsMessage::Binary("1".into())] {
        let mut session = open(&tunnel, "/ws").await;
        session.sink.send(message).await.unwrap();
        let WsMessage::Close(Some(close)) = next(&mut session).await else { panic!("no close") };
        assert_eq!(close.code, 1003);
    }
    let upgrade = tunnel.sender.handler().ws(ws_open("/elsewhere")).await.unwrap();
    assert!(matches!(upgrade, WsUpgrade::Rejected(response) if response.status == 404));
}

#[tokio::test]
async fn a_close_is_answered_and_closing_the_tunnel_closes_its_websockets() {
    let tunnel = started();
    let mut session = open(&tunnel, "/ws").await;
    let close = WsMessage::Close(Some(WsClose { code: 1000, reason: String::new() }));
    session.sink.send(close.clone()).await.unwrap();
    assert_eq!(next(&mut session).await, close);
    assert!(session.stream.next().await.is_none());

    let mut session = open(&tunnel, "/ws").await;
    tunnel.handle.close();
    assert!(matches!(next(&mut session).await, WsMessage::Close(Some(close)) if close.code == 1001));
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_and_the_others_are_not() {
    let tunnel = started();
    let (mut slow, mut quick) = (open(&tunnel, "/ws").await, open(&tunnel, "/ws").await);
    for number in 0..2000 {
        tunnel.handle.send_all(&number.to_string()).await.unwrap();
        assert_eq!(next(&mut quick).await, text(&json!(number)));
    }
    let mut read = 0;
    let close = loop {
        match next(&mut slow).await {
            WsMessage::Text(_) => read += 1,
            other => break other,
        }
    };
    assert!((1..2000).contains(&read), "{read}");
    assert!(matches!(close, WsMessage::Close(Some(close)) if close.code == 1013));
}

/// Says back what it hears, three ways.
struct Echo(Arc<Mutex<Vec<WebsocketContext>>>);

#[async_trait]
impl WsProcessor for Echo {
    async fn process(
        &self,
        body: Value,
        context: WebsocketContext,
        sender: &dyn WebsocketSender,
    ) -> Result<(), WebsocketMessageError> {
        if body == json!("bad") {
            return Err(WebsocketMessageError("it is bad".to_owned()));
        }
        let said = |error: WebsocketSendError| WebsocketMessageError(error.to_string());
        sender.send(&context.connection_id, &body.to_string()).await.map_err(said)?;
        sender.send_all(&json!(["all", body]).to_string()).await.map_err(said)?;
        self.0.lock().unwrap().push(context);
        Ok(())
    }
}

/// The server's own WebSockets, which pass on to the tunnel as upstream's do.
#[derive(Clone, Default)]
struct Root(Arc<Mutex<Vec<String>>>);

#[cfg(not(feature = "moosicbox-ws"))]
#[async_trait]
impl WebsocketSender for Root {
    async fn send(&self, connection_id: &str, data: &str) -> Result<(), WebsocketSendError> {
        self.0.lock().unwrap().push(format!("{connection_id} {data}"));
        Ok(())
    }

    async fn send_all(&self, data: &str) -> Result<(), WebsocketSendError> {
        self.send("all", data).await
    }

    async fn send_all_except(&self, connection_id: &str, data: &str) -> Result<(), WebsocketSendError> {
        self.send(&format!("not {connection_id}"), data).await
    }

    async fn ping(&self) -> Result<(), WebsocketSendError> {
        Ok(())
    }
}

#[cfg(not(feature = "moosicbox-ws"))]
#[tokio::test]
async fn a_processor_reaches_the_client_through_the_tunnel_and_the_servers_own_through_the_root() {
    let mut tunnel = started();
    let (contexts, root) = (Arc::default(), Root::default());
    let sender = tunnel.sender.clone().with_ws_processor(Echo(Arc::clone(&contexts)));
    let mut session = open(&tunnel, "/ws?moosicboxProfile=master").await;
    session.sink.send(text(&json!("hi"))).await.unwrap();
    let request = tunnel.ws().await;
    let id = request.conn_id;
    let processed = sender.ws_request(id, request.request_id, request.body, request.profile, root.clone());
    processed.await.unwrap();
    assert_eq!(contexts.lock().unwrap()[0].connection_id, id.to_string());
    assert_eq!(contexts.lock().unwrap()[0].profile.as_deref(), Some("master"));
    assert_eq!(*root.0.lock().unwrap(), [format!("{id} \"hi\""), "all [\"all\",\"hi\"]".to_owned()]);
    assert_eq!(next(&mut session).await, text(&json!(["all", "hi"])));

    let bad = sender.ws_request(id, 1, json!("bad"), None, root.clone()).await.unwrap_err();
    assert!(matches!(bad, TunnelRequestError::WebsocketMessage(error) if error.to_string() == "it is bad"));
    let none = tunnel.sender.ws_request(id, 1, json!(1), None, root).await.unwrap_err();
    assert!(
        matches!(none, TunnelRequestError::WebsocketMessage(error) if error.to_string().contains("with_ws_processor"))
    );
}

fn any_ws_request() -> impl Strategy<Value = TunnelWsRequest> {
    let value = || {
        prop_oneof![
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            prop::collection::btree_map(".*", any::<bool>(), 0..4).prop_map(|map| json!(map)),
        ]
    };
    let connection_id = prop::option::of(value());
    (any::<u64>(), any::<u64>(), value(), connection_id, prop::option::of(".*")).prop_map(
        |(conn_id, request_id, body, connection_id, profile)| TunnelWsRequest {
            conn_id,
            request_id,
            body,
            connection_id,
            profile,
        },
    )
}

#[test]
fn any_message_of_a_receiver_arrives_byte_for_byte() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (tunnel, receiver, _peers, _events) = runtime.block_on(async {
        let tunnel = started();
        let peers = tunnel.peers().await;
        let (receiver, events) = P2PTunnelReceiver::new(Arc::new(peers.client.clone()));
        (tokio::sync::Mutex::new(tunnel), receiver, peers, events)
    });
    proptest!(ProptestConfig::with_cases(256), |(request in any_ws_request())| {
        let sent = serde_json::to_string(&TunnelRequest::Ws(request.clone())).unwrap();
        let text = runtime.block_on(async {
            let conn_id = request.conn_id;
            receiver.send(TunnelRequest::Ws(request)).await.unwrap();
            let text = tunnel.lock().await.text().await;
            receiver.close_ws(conn_id).await;
            text
        });
        prop_assert_eq!(text, sent);
    });
}

async fn event(events: &mut tokio::sync::mpsc::Receiver<WsEvent>) -> TunnelWsResponse {
    match soon("an event", events.recv()).await {
        Some(WsEvent::Response(response)) => response,
        other => panic!("no response: {other:?}"),
    }
}

fn ws_request(conn_id: u64, request_id: u64) -> TunnelRequest {
    TunnelRequest::Ws(TunnelWsRequest { conn_id, request_id, body: json!(1), connection_id: None, profile: None })
}

#[tokio::test]
async fn a_receiver_gets_answers_and_pushes_for_its_own_clients() {
    let mut tunnel = started();
    let peers = tunnel.peers().await;
    let (receiver, mut events) = P2PTunnelReceiver::new(Arc::new(peers.client.clone()));
    receiver.send(ws_request(5, 50)).await.unwrap();
    assert_eq!(tunnel.ws().await.conn_id, 5);
    receiver.open_ws(6, None).await.unwrap();
    // What the second session says under the same number is another client to the loop.
    let (other, mut other_events) = P2PTunnelReceiver::new(Arc::new(peers.client.clone()));
    other.send(ws_request(5, 50)).await.unwrap();
    let of_other = tunnel.ws().await;
    assert!(of_other.conn_id != 5 && of_other.request_id != 50);

    let reply = json!({"request_id": 50, "body": "re"});
    tunnel.sender.send_message(50, 1, reply.to_string()).unwrap();
    let response = event(&mut events).await;
    assert_eq!((response.request_id, response.body, response.to_connection_ids), (50, json!("re"), None));
    tunnel.handle.send(&of_other.conn_id.to_string(), "2").await.unwrap();
    assert_eq!(event(&mut other_events).await.to_connection_ids, Some(vec![5]));
    tunnel.handle.send_all("3").await.unwrap();
    let mut told =
        [event(&mut events).await, event(&mut events).await].map(|response| response.to_connection_ids.unwrap());
    told.sort_unstable();
    assert_eq!(told, [[5], [6]]);
    assert_eq!(event(&mut other_events).await.to_connection_ids, Some(vec![5]));

    receiver.close_ws(6).await;
    // A message behind it, so that the loop knows.
    receiver.send(ws_request(5, 51)).await.unwrap();
    tunnel.ws().await;
    tunnel.handle.send_all("4").await.unwrap();
    assert_eq!(event(&mut events).await.to_connection_ids, Some(vec![5]));
    tunnel.handle.close();
    match soon("an event", events.recv()).await {
        Some(WsEvent::Lost(clients)) => assert_eq!(clients, [5]),
        other => panic!("{other:?}"),
    }
}

/// A service as it is behind a sidecar host: it knows nothing of tunnels.
struct Plain;

#[async_trait]
impl Handler for Plain {
    async fn http(&self, _: tunnel_core::Request) -> Result<tunnel_core::Response, tunnel_core::Failure> {
        unreachable!()
    }

    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, tunnel_core::Failure> {
        assert_eq!(open.headers.get("sec-websocket-protocol"), Some(&HeaderValue::from_static("moosicbox-tunnel")));
        let greeting = WsMessage::Text(format!("{:?}", open.uri.to_string()).into());
        let (sender, receiver) = futures::channel::mpsc::channel(8);
        let sink =
            sender.clone().sink_map_err(|_| tunnel_core::Failure::new(tunnel_core::FailureKind::Aborted, "gone"));
        sender.clone().try_send(greeting).unwrap();
        let session = WsSession { sink: Box::pin(sink), stream: Box::pin(receiver.map(Ok)) };
        Ok(WsUpgrade::Accepted { headers: HeaderMap::new(), session, via: None })
    }
}

#[tokio::test]
async fn a_service_that_knows_no_tunnel_gets_bodies_on_a_websocket_for_each_client() {
    let peers = crate::support::Peers::start(Arc::new(Plain)).await;
    let client: Arc<dyn Transport> = Arc::new(peers.client.clone());
    let (receiver, mut events) = P2PTunnelReceiver::new(client);
    receiver.open_ws(5, Some("a b")).await.unwrap();
    let greeting = event(&mut events).await;
    assert_eq!(greeting.body, json!("/ws?moosicboxProfile=a%20b"));
    assert_eq!((greeting.request_id, greeting.to_connection_ids), (0, Some(vec![5])));
    receiver.send(ws_request(5, 50)).await.unwrap();
    let echo = event(&mut events).await;
    assert_eq!((echo.body, echo.to_connection_ids), (json!(1), Some(vec![5])));
}

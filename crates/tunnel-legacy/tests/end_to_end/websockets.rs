//! WebSockets through the whole tunnel.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{SinkExt, StreamExt, channel::mpsc};
use tokio::{sync::Notify, time::timeout};
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Request, Response, Transport, WsMessage, WsOpen, WsSession, WsUpgrade,
};

use crate::support::{PATIENCE, Tunnel, behaviours, ok};

/// A service whose WebSockets send back what they hear, with the target in front; `"long"` is answered at length.
struct Echo {
    closed: Arc<Notify>,
}

#[async_trait]
impl Handler for Echo {
    async fn http(&self, _: Request) -> Result<Response, Failure> {
        Ok(ok(Body::empty()))
    }

    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        let (sink, stream) = mpsc::channel::<WsMessage>(16);
        let sink = sink.sink_map_err(|_| Failure::new(FailureKind::ServiceFailed, "gone"));
        let closed = Arc::clone(&self.closed);
        let stream = stream.map(move |message| {
            Ok(match message {
                WsMessage::Text(text) if *text == b"\"long\""[..] => {
                    WsMessage::Text(format!("\"{}\"", "x".repeat(200_000)).into())
                }
                WsMessage::Text(text) => {
                    let text = std::str::from_utf8(&text).unwrap();
                    WsMessage::Text(format!("{{\"echo\":{text},\"target\":\"{}\"}}", open.uri).into())
                }
                WsMessage::Close(close) => {
                    closed.notify_one();
                    WsMessage::Close(close)
                }
                other => other,
            })
        });
        let session = WsSession { sink: Box::pin(sink), stream: Box::pin(stream) };
        Ok(WsUpgrade::Accepted { headers: http::HeaderMap::new(), session, via: None })
    }
}

async fn open(tunnel: &Tunnel, query: &str) -> WsSession {
    let uri = format!("/ws{query}").parse().unwrap();
    match tunnel.client.open_ws(WsOpen { id: 1, uri, headers: http::HeaderMap::new() }).await.unwrap() {
        WsUpgrade::Accepted { session, .. } => session,
        WsUpgrade::Rejected(response) => panic!("{response:?}"),
    }
}

async fn ask(session: &mut WsSession, text: &str) -> String {
    session.sink.send(WsMessage::Text(text.to_owned().into())).await.unwrap();
    loop {
        match timeout(PATIENCE, session.stream.next()).await.expect("no answer").unwrap().unwrap() {
            WsMessage::Text(text) => return String::from_utf8(text.to_vec()).unwrap(),
            WsMessage::Ping(_) | WsMessage::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn each_client_talks_to_the_service_alone() {
    for behaviour in behaviours() {
        let tunnel = Tunnel::new(behaviour, Echo { closed: Arc::default() }).await;
        let mut first = open(&tunnel, "?moosicboxProfile=p").await;
        let mut second = open(&tunnel, "").await;
        for number in 0..20 {
            let asked = ask(&mut first, &format!("{{\"n\":{number}}}")).await;
            assert_eq!(asked, format!("{{\"echo\":{{\"n\":{number}}},\"target\":\"/ws?moosicboxProfile=p\"}}"));
            assert_eq!(ask(&mut second, "2").await, "{\"echo\":2,\"target\":\"/ws\"}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_closed_at_the_service() {
    let closed = Arc::new(Notify::new());
    let tunnel = Tunnel::new(behaviours()[0], Echo { closed: Arc::clone(&closed) }).await;
    let mut session = open(&tunnel, "").await;
    ask(&mut session, "1").await;
    drop(session);
    timeout(PATIENCE, closed.notified()).await.expect("the service was not told");
}

#[tokio::test]
async fn a_long_message_arrives_where_it_can_and_never_ends_the_tunnel() {
    for (behaviour, arrives) in behaviours().into_iter().zip([true, false]) {
        let tunnel = Tunnel::new(behaviour, Echo { closed: Arc::default() }).await;
        let before = tunnel.host.state();
        let mut session = open(&tunnel, "").await;
        if arrives {
            assert_eq!(ask(&mut session, "\"long\"").await.len(), 200_002);
        } else {
            session.sink.send(WsMessage::Text("\"long\"".into())).await.unwrap();
        }
        assert_eq!(ask(&mut session, "1").await, "{\"echo\":1,\"target\":\"/ws\"}");
        assert_eq!(tunnel.host.state(), before, "the same connection");
    }
}

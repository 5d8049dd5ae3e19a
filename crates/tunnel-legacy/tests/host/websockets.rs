//! WebSocket clients.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tunnel_core::{FailureKind, WsClose, WsMessage};

use crate::support::{End, Peer, Server, websockets};

fn says(conn_id: u64, body: &Value) -> String {
    json!({"type": "WS", "conn_id": conn_id, "request_id": 1, "body": body, "profile": "m x"}).to_string()
}

fn text(text: &str) -> WsMessage {
    WsMessage::Text(text.to_owned().into())
}

async fn reply(end: &mut End) -> Value {
    serde_json::from_str(&end.text().await).unwrap()
}

fn closes_with(message: &WsMessage, code: u16) {
    assert!(matches!(message, WsMessage::Close(Some(WsClose { code: found, .. })) if *found == code), "{message:?}");
}

#[tokio::test(start_paused = true)]
async fn each_client_has_a_websocket_of_its_own() {
    let (handler, mut peers) = websockets();
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    end.say(&says(u64::MAX, &json!({"b": 1, "a": "é"}))).await;
    end.say(&says(2, &json!("text"))).await;
    let mut first = peers.recv().await.unwrap();
    let mut second = peers.recv().await.unwrap();
    assert_eq!(first.target, "/ws?moosicboxProfile=m%20x");
    assert_eq!(first.hear().await, text(r#"{"a":"é","b":1}"#));
    assert_eq!(second.hear().await, text("\"text\""));
    first.say(r#"{"hello":1}"#).await;
    let expected = json!({"request_id": 0, "body": {"hello": 1}, "to_connection_ids": [u64::MAX]});
    assert_eq!(reply(&mut end).await, expected);
    second.say("[2]").await;
    assert_eq!(reply(&mut end).await, json!({"request_id": 0, "body": [2], "to_connection_ids": [2]}));
    end.say(&says(2, &json!(3))).await;
    assert_eq!(second.hear().await, text("3"));
    assert!(peers.try_recv().is_err(), "the second message opens nothing");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_left_is_closed() {
    let (handler, mut peers) = websockets();
    let (mut server, _host) = Server::with_host(true, handler, |_| {});
    let mut end = server.host().await;
    end.say(&says(1, &json!(1))).await;
    let mut peer = peers.recv().await.unwrap();
    assert_eq!(peer.hear().await, text("1"));
    end.say(r#"{"type":"WS_CLOSED","conn_id":1}"#).await;
    closes_with(&peer.hear().await, 1001);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_closes_is_opened_again_by_the_next_message() {
    let (handler, mut peers) = websockets();
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    end.say(&says(1, &json!(1))).await;
    drop(peers.recv().await.unwrap());
    sleep(Duration::from_secs(1)).await;
    end.say(&says(1, &json!(2))).await;
    let mut peer = peers.recv().await.unwrap();
    assert_eq!(peer.hear().await, text("2"));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_json_ends_the_websocket_of_that_client_only() {
    let (handler, mut peers) = websockets();
    let (mut server, _host) = Server::with_host(true, handler, |_| {});
    let mut end = server.host().await;
    end.say(&says(9, &json!(0))).await;
    let mut other = peers.recv().await.unwrap();
    other.hear().await;
    for message in [text("not json"), WsMessage::Binary("{}".into())] {
        end.say(&says(1, &json!(1))).await;
        let mut peer: Peer = peers.recv().await.unwrap();
        peer.hear().await;
        futures::SinkExt::send(&mut peer.says, Ok(message)).await.unwrap();
        closes_with(&peer.hear().await, 1003);
        sleep(Duration::from_secs(5)).await;
    }
    other.say("1").await;
    assert_eq!(reply(&mut end).await["to_connection_ids"], json!([9]));
}

#[tokio::test(start_paused = true)]
async fn a_message_too_long_for_the_published_server_is_dropped_and_the_tunnel_lives() {
    let long = format!("\"{}\"", "x".repeat(65_536));
    for extended in [false, true] {
        let (handler, mut peers) = websockets();
        let (mut server, _host) = Server::with_host(extended, handler, |_| {});
        let mut end = server.host().await;
        end.say(&says(1, &json!(1))).await;
        let mut peer = peers.recv().await.unwrap();
        peer.say(&long).await;
        peer.say("\"short\"").await;
        if extended {
            assert_eq!(reply(&mut end).await["body"].as_str().unwrap().len(), 65_536);
        }
        assert_eq!(reply(&mut end).await["body"], "short");
    }
}

#[tokio::test(start_paused = true)]
async fn the_most_silent_client_makes_room() {
    let (handler, mut peers) = websockets();
    let (mut server, _host) = Server::with_host(false, handler, |config| config.max_websockets = 2);
    let mut end = server.host().await;
    let mut open = Vec::new();
    for conn_id in [1, 2] {
        end.say(&says(conn_id, &json!(conn_id))).await;
        let mut peer = peers.recv().await.unwrap();
        peer.hear().await;
        open.push(peer);
    }
    end.say(&says(1, &json!("again"))).await;
    open[0].hear().await;
    end.say(&says(3, &json!(3))).await;
    peers.recv().await.unwrap().hear().await;
    closes_with(&open[1].hear().await, 1001);
    end.say(&says(1, &json!("still"))).await;
    assert_eq!(open[0].hear().await, text("\"still\""));
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_message_either_way_is_dropped_after_twenty_minutes() {
    let (handler, mut peers) = websockets();
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    end.say(&says(1, &json!(1))).await;
    let mut peer = peers.recv().await.unwrap();
    peer.hear().await;
    // A listener that says nothing lives as long as it is told something.
    for _ in 0..3 {
        assert_eq!(end.hear_within(Duration::from_mins(19)).await, None);
        peer.say("1").await;
        end.text().await;
    }
    let start = tokio::time::Instant::now();
    let (closed, _) = tokio::join!(peer.hear(), end.hear_within(Duration::from_mins(30)));
    closes_with(&closed, 1001);
    assert!(start.elapsed() >= Duration::from_mins(20));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_take_messages_is_cut_before_they_pile_up() {
    let (handler, mut peers) = websockets();
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    for _ in 0..200 {
        end.say(&says(1, &json!("x".repeat(1000)))).await;
    }
    let mut peer = peers.recv().await.unwrap();
    let (heard, _) = tokio::join!(
        async {
            let mut heard = 0;
            while let Some(WsMessage::Text(_)) = futures::StreamExt::next(&mut peer.heard).await {
                heard += 1;
            }
            heard
        },
        end.hear_within(Duration::from_secs(1))
    );
    assert!((64..200).contains(&heard), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_wants_its_answers_read_before_it_takes_more_is_served() {
    let (handler, mut peers) = websockets();
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    for number in 0..40 {
        end.say(&says(1, &json!(number))).await;
    }
    let mut peer = peers.recv().await.unwrap();
    // Every message is answered three times, and only then is the next one taken.
    let answering = async {
        while let WsMessage::Text(heard) = peer.hear().await {
            for _ in 0..3 {
                peer.say(std::str::from_utf8(&heard).unwrap()).await;
            }
        }
    };
    let hearing = async {
        let start = Instant::now();
        for number in 0..40 {
            for _ in 0..3 {
                assert_eq!(reply(&mut end).await["body"], json!(number));
            }
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    };
    tokio::select! {
        () = answering => panic!("the WebSocket has ended"),
        () = hearing => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_without_websockets_harms_nobody() {
    let (mut server, _host) = Server::with_host(false, crate::support::echo(), |_| {});
    let mut end = server.host().await;
    end.say(&says(1, &json!(1))).await;
    assert_eq!(end.hear_within(Duration::from_mins(1)).await, None);
    end.ask(1, "a").await;
    assert_eq!(end.response(1).await.1, b"a");
    assert_eq!(FailureKind::ServiceUnreachable.status(), 502);
}

#[tokio::test(start_paused = true)]
async fn losing_the_tunnel_closes_its_clients() {
    let (handler, mut peers) = websockets();
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    end.say(&says(1, &json!(1))).await;
    let mut peer = peers.recv().await.unwrap();
    peer.hear().await;
    drop(end);
    while futures::StreamExt::next(&mut peer.heard).await.is_some() {}
}

//! WebSockets of apps.

use std::pin::pin;

use http::StatusCode;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message};
use tunnel_core::packet::encode;
use tunnel_legacy::server::{Behaviour, Defect, Limits};

use crate::support::{Account, Host, Server, first};

async fn start(behaviour: Behaviour) -> (Server, Account, Host) {
    let server = Server::start(behaviour, Limits::default()).await;
    let account = server.account("alice").await;
    let host = server.host(&account).await;
    (server, account, host)
}

/// Lets an app say something, and returns its connection id and the request id.
async fn asked(app: &mut Host, host: &mut Host) -> (u64, u64) {
    app.say("{}").await;
    let request = host.json().await;
    (request["conn_id"].as_u64().unwrap(), request["request_id"].as_u64().unwrap())
}

#[tokio::test]
async fn a_handshake_needs_a_client_id_and_its_signature() {
    let server = Server::mended().await;
    let (account, stranger) = (server.account("a").await, server.account("b").await);
    for (query, status, text) in [
        (String::new(), 400, "Query deserialize error: missing field `clientId`"),
        ("?clientId=a".to_owned(), 401, "Unauthorized"),
        (format!("?clientId=a&signature={}", stranger.signature), 401, "Unauthorized"),
        (format!("?clientId=a&clientId=b&signature={}", stranger.signature), 400, "duplicate field"),
        (format!("?clientId=a&signature={}&sender=1", account.signature), 400, "`true` or `false`"),
    ] {
        let refused = server.ws(&format!("/ws{query}"), false).await.unwrap_err();
        let tungstenite::Error::Http(response) = refused else { panic!("{refused}") };
        assert_eq!(response.status().as_u16(), status, "{query}");
        let body = String::from_utf8(response.into_body().unwrap_or_default()).unwrap();
        assert!(body.contains(text), "{query}: {body}");
    }
    let plain = server.ask("GET", &account.ws(), &[], "").await;
    assert_eq!(plain.status, StatusCode::BAD_REQUEST);
    let faithful = Server::faithful().await;
    let account = faithful.account("a").await;
    let _victim = faithful.account("b").await;
    let twice = format!("/ws?clientId=a&clientId=b&signature={}&sender=true", account.signature);
    assert!(faithful.ws(&twice, false).await.is_err());
}

#[tokio::test]
async fn messages_of_apps_reach_the_host_and_its_answers_come_back() {
    let (server, account, mut host) = start(Behaviour::mended()).await;
    let target = format!("{}&moosicboxProfile=p", account.ws());
    let mut app = Host { socket: server.ws(&target, false).await.unwrap() };
    app.say(r#"{"type":"GET_CONNECTION_ID","b":1}"#).await;
    let text = host.text().await;
    let request: Value = serde_json::from_str(&text).unwrap();
    let (conn_id, request_id) = (request["conn_id"].as_u64().unwrap(), request["request_id"].as_u64().unwrap());
    assert_eq!(
        text,
        format!(
            r#"{{"type":"WS","conn_id":{conn_id},"request_id":{request_id},"body":{{"b":1,"type":"GET_CONNECTION_ID"}},"profile":"p"}}"#
        )
    );
    // An answer can be repeated, lists do not matter, text keeps its quotes.
    host.say(json!({"request_id": request_id, "body": {"n": 1}}).to_string()).await;
    host.say(json!({"request_id": request_id, "body": "x", "to_connection_ids": [1]}).to_string()).await;
    assert_eq!(app.text().await, r#"{"n":1}"#);
    assert_eq!(app.text().await, r#""x""#);
    // Answers to nobody are dropped.
    host.say(json!({"request_id": request_id ^ 1, "body": 1}).to_string()).await;
    host.say(json!({"request_id": request_id, "body": 2}).to_string()).await;
    assert_eq!(app.text().await, "2");
}

#[tokio::test]
async fn what_is_not_json_is_dropped_and_the_connection_stays() {
    let (server, account, mut host) = start(Behaviour::mended()).await;
    let mut app = server.app(&account).await;
    app.say("not JSON").await;
    app.send("binary").await;
    asked(&mut app, &mut host).await;
    assert_eq!(server.statistics.snapshot().malformed_messages, 2);
}

#[tokio::test]
async fn a_message_without_a_host_is_lost() {
    let (server, account, host) = start(Behaviour::mended()).await;
    let mut app = server.app(&account).await;
    drop(host);
    server.until(|counted| counted.hosts == 0).await;
    app.say(r#""lost""#).await;
    // A pong shows that the message has been read.
    futures::SinkExt::send(&mut app.socket, Message::Ping("now".into())).await.unwrap();
    loop {
        let message = futures::StreamExt::next(&mut app.socket).await.unwrap().unwrap();
        if message == Message::Pong("now".into()) {
            break;
        }
    }
    let mut host = server.host(&account).await;
    app.say(r#""found""#).await;
    assert_eq!(host.json().await["body"], "found");
}

#[tokio::test]
async fn pushes_go_to_all_to_some_or_to_all_but_some() {
    let (server, account, mut host) = start(Behaviour::mended()).await;
    let (mut one, mut two) = (server.app(&account).await, server.app(&account).await);
    let ((first, _), (second, _)) = (asked(&mut one, &mut host).await, asked(&mut two, &mut host).await);
    for push in [
        json!({"request_id": 0, "body": "all"}),
        json!({"request_id": 0, "body": "one", "to_connection_ids": [first, 5], "exclude_connection_ids": [first]}),
        json!({"request_id": 0, "body": "nobody", "to_connection_ids": []}),
        json!({"request_id": 0, "body": "two", "exclude_connection_ids": [first]}),
        json!({"request_id": 0, "body": "end", "to_connection_ids": [second, first]}),
    ] {
        host.say(push.to_string()).await;
    }
    for (app, expected) in
        [(&mut one, ["\"all\"", "\"one\"", "\"end\""]), (&mut two, ["\"all\"", "\"two\"", "\"end\""])]
    {
        for text in expected {
            assert_eq!(app.text().await, text);
        }
    }
}

#[tokio::test]
async fn pushes_cross_to_other_tenants_only_at_the_published_server() {
    for (behaviour, crosses) in
        [(Behaviour::mended(), false), (Behaviour::mended().with(Defect::BroadcastsCrossTenants), true)]
    {
        let (server, account, mut host) = start(behaviour).await;
        let other = server.account("bob").await;
        let mut other_host = server.host(&other).await;
        let (mut app, mut foreign) = (server.app(&account).await, server.app(&other).await);
        let (_, _) = asked(&mut app, &mut host).await;
        let (foreign_id, foreign_request) = asked(&mut foreign, &mut other_host).await;
        host.say(json!({"request_id": 0, "body": 1}).to_string()).await;
        host.say(json!({"request_id": 0, "body": 2, "to_connection_ids": [foreign_id]}).to_string()).await;
        host.say(json!({"request_id": foreign_request, "body": 3}).to_string()).await;
        host.say(json!({"request_id": 0, "body": "end"}).to_string()).await;
        for text in ["1", "\"end\""] {
            assert_eq!(app.text().await, text);
        }
        other_host.say(json!({"request_id": 0, "body": "own"}).to_string()).await;
        let expected = if crosses { vec!["1", "2", "3", "\"end\"", "\"own\""] } else { vec!["\"own\""] };
        for text in expected {
            assert_eq!(foreign.text().await, text);
        }
    }
}

#[tokio::test]
async fn an_app_forges_responses_only_at_the_published_server() {
    for (behaviour, forges) in
        [(Behaviour::mended(), false), (Behaviour::mended().with(Defect::AnySocketAnswers), true)]
    {
        let (server, account, mut host) = start(behaviour).await;
        let other = server.account("bob").await;
        let (mut app, mut other_host) = (server.app(&other).await, server.host(&other).await);
        let (target, headers) = (account.target("/x"), [account.bearer()]);
        let mut asking = pin!(server.ask("GET", &target, &headers, ""));
        let (id, _) = server.reaches(&mut host, asking.as_mut()).await;
        app.send(encode(&first(id, 200, &[], "forged", true)).unwrap()).await;
        if !forges {
            // Nor does another host.
            other_host.answer(id, 200, "forged").await;
            server.until(|counted| counted.stray_packets == 1 && counted.malformed_messages == 1).await;
            host.answer(id, 200, "honest").await;
        }
        assert_eq!(asking.await.text(), if forges { "forged" } else { "honest" });
    }
}

#[tokio::test]
async fn long_messages_close_the_connection_only_at_the_published_server() {
    let long = format!("\"{}\"", "x".repeat(1_000_000));
    let (server, account, mut host) = start(Behaviour::mended()).await;
    let mut app = server.app(&account).await;
    let (_, request_id) = asked(&mut app, &mut host).await;
    host.say(format!(r#"{{"request_id":{request_id},"body":{long}}}"#)).await;
    assert_eq!(app.text().await, long);
    let question = format!("\"{}\"", "x".repeat(200_000));
    app.say(question.clone()).await;
    assert_eq!(host.json().await["body"].to_string(), question);
    app.say(long).await;
    assert_eq!(app.end().await, Some(1009));
    // A packet has a limit of its own.
    host.send(vec![0; 65_537]).await;
    assert_eq!(host.end().await, Some(1009));

    let (server, account, mut host) = start(Behaviour::mended().with(Defect::MessagesLimitedTo64KiB)).await;
    let mut app = server.app(&account).await;
    let (_, request_id) = asked(&mut app, &mut host).await;
    let frame = format!(r#"{{"request_id":{request_id},"body":"#);
    let fits = "x".repeat(65_536 - frame.len() - 3);
    host.say(format!("{frame}\"{fits}\"}}")).await;
    assert_eq!(app.text().await.len(), fits.len() + 2);
    host.say(format!("{frame}\"{fits}x\"}}")).await;
    assert_eq!(host.end().await, Some(1009));
}

#[tokio::test]
async fn a_host_that_asked_for_it_hears_of_apps_that_leave() {
    let server = Server::mended().await;
    let account = server.account("alice").await;
    let mut host = server.host_with(&account, true).await;
    let mut app = server.app(&account).await;
    let (conn_id, request_id) = asked(&mut app, &mut host).await;
    drop(app);
    assert_eq!(host.json().await, json!({"type": "WS_CLOSED", "conn_id": conn_id}));
    // The answer that was on its way is for nobody.
    host.say(json!({"request_id": request_id, "body": 1}).to_string()).await;
    server.until(|counted| counted.ws_clients == 0).await;
}

#[tokio::test]
async fn an_app_that_does_not_read_is_dropped_and_the_host_goes_on() {
    let limits = Limits { queue_bytes_max: 1_000_000, ..Limits::default() };
    let server = Server::start(Behaviour::mended(), limits).await;
    let account = server.account("alice").await;
    let mut host = server.host(&account).await;
    let (stuck, mut reading) = (server.app(&account).await, server.app(&account).await);
    let push = json!({"request_id": 0, "body": "x".repeat(500_000)}).to_string();
    let rounds = 32;
    for _ in 0..rounds {
        host.say(push.clone()).await;
        assert_eq!(reading.text().await.len(), 500_002);
    }
    server.until(|counted| counted.ws_clients == 1).await;
    drop(stuck);
}

#[tokio::test]
async fn too_many_apps_are_told_so() {
    let limits = Limits { ws_per_client_max: 2, ..Limits::default() };
    let server = Server::start(Behaviour::mended(), limits).await;
    let (account, other) = (server.account("alice").await, server.account("bob").await);
    let (_one, two) = (server.app(&account).await, server.app(&account).await);
    let refused = server.ws(&account.ws(), false).await.unwrap_err();
    let tungstenite::Error::Http(response) = refused else { panic!("{refused}") };
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let _another_tenant = server.app(&other).await;
    drop(two);
    server.until(|counted| counted.ws_clients == 2).await;
    server.app(&account).await;
}

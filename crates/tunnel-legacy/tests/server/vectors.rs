//! The golden vectors of `spec/vectors`, through the server.

use std::{pin::pin, time::Duration};

use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tunnel_legacy::server::{Behaviour, Limits};

use crate::support::{Server, first, next};

fn vectors(text: &str, list: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(text).unwrap();
    all[list].as_array().unwrap().clone()
}

/// Every packet as the answer to a request: what the published crate reads is what the app gets, and what it cannot read
/// fails that one response.
#[tokio::test]
async fn packets_are_read_as_by_the_published_crate() {
    let server = Server::mended().await;
    let account = server.account("alice").await;
    let mut host = server.host(&account).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let mut answered = 0;
    for vector in vectors(include_str!("../../../../spec/vectors/tunnel_response_binary.json"), "vectors") {
        let name = vector["name"].as_str().unwrap();
        let mut bytes = data_encoding::HEXLOWER.decode(vector["hex"].as_str().unwrap().as_bytes()).unwrap();
        let fields = &vector["ok"];
        if bytes.len() < 8 || fields.is_object() && fields["packet_id"] != 1 {
            // No response can begin with it, so that only the connection must survive.
            host.send(bytes).await;
            continue;
        }
        let mut asking = pin!(server.send("GET", &target, &headers, ""));
        let (id, _) = server.reaches(&mut host, asking.as_mut()).await;
        bytes[..8].copy_from_slice(&id.to_be_bytes());
        host.send(bytes).await;
        if fields["last"] == false {
            host.packet(next(id, 2, "", true)).await;
        }
        let (response, _connection) = asking.await;
        let status = response.status();
        if fields.is_null() {
            assert_eq!(status, StatusCode::BAD_GATEWAY, "{name}");
            assert_eq!(host.json().await, json!({"type": "ABORT", "request_id": id}), "{name}");
        } else if let Some(sent) = fields["status"].as_u64().filter(|sent| (200..1000).contains(sent)) {
            assert_eq!(u64::from(status.as_u16()), sent, "{name}");
            for (header, value) in fields["headers"].as_object().unwrap() {
                assert_eq!(response.headers()[header.as_str()], value.as_str().unwrap(), "{name}");
            }
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(data_encoding::HEXLOWER.encode(&body), fields["body_hex"].as_str().unwrap(), "{name}");
        } else {
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{name}");
        }
        answered += 1;
    }
    assert!(answered > 20, "{answered}");
}

/// Every order of arrival. Where the published stream ends in error, is cut or stays open, the app sees a cut.
#[tokio::test]
async fn packets_are_put_in_order_as_by_the_published_stream() {
    let limits = Limits { head_timeout: Duration::from_millis(300), ..Limits::default() };
    let server = Server::start(Behaviour::mended(), limits).await;
    let account = server.account("alice").await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    for vector in vectors(include_str!("../../../../spec/vectors/tunnel_stream.json"), "vectors") {
        let name = vector["name"].as_str().unwrap();
        if !vector["cancel_before_poll"].is_null() {
            // Cancelling is leaving: see `lifetime`.
            continue;
        }
        let mut host = server.host(&account).await;
        let mut asking = pin!(server.send("GET", &target, &headers, ""));
        let (id, _) = server.reaches(&mut host, asking.as_mut()).await;
        for arrival in vector["arrivals"].as_array().unwrap() {
            let arrival = arrival.as_str().unwrap();
            let (packet, last) = arrival.strip_suffix('L').map_or((arrival, false), |packet| (packet, true));
            host.packet(match packet {
                "1" => first(id, 200, &[], "<1>", last),
                packet => next(id, packet.parse().unwrap(), format!("<{packet}>"), last),
            })
            .await;
        }
        if vector["channel_closed_after"] == true {
            host.socket.close(None).await.unwrap();
        }
        let polls: Vec<&str> = vector["polls"].as_array().unwrap().iter().map(|poll| poll.as_str().unwrap()).collect();
        let pieces = polls.iter().filter_map(|poll| poll.strip_prefix("Ok(")?.strip_suffix(')'));
        let mut expected: String = pieces.collect();
        let arrivals = vector["arrivals"].to_string();
        let mut complete = !polls.contains(&"Pending") && arrivals.contains('L') && !name.starts_with("gap");
        match name {
            // Ours ignores a second packet 1, so that no last packet comes.
            "1 then 1L" => (expected, complete) = ("<1>".to_owned(), false),
            "1,2,1L" => (expected, complete) = ("<1><2>".to_owned(), false),
            _ => {}
        }
        if !complete {
            drop(host);
        }
        let (response, _connection) = asking.await;
        if expected.is_empty() {
            assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "{name}");
            continue;
        }
        let mut body = response.into_body();
        let mut read = String::new();
        let whole = loop {
            match body.frame().await {
                Some(Ok(frame)) => read.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap()),
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        assert_eq!((read, whole), (expected, complete), "{name}");
    }
}

/// Every text of a host that the published server takes is taken, and no other.
#[tokio::test]
async fn replies_are_read_as_by_the_published_crate() {
    let server = Server::mended().await;
    let account = server.account("alice").await;
    let mut host = server.host(&account).await;
    let mut app = server.app(&account).await;
    for vector in vectors(include_str!("../../../../spec/vectors/tunnel_ws_response.json"), "accept") {
        let mut text = vector["text"].as_str().unwrap().to_owned();
        let before = server.statistics.snapshot().malformed_messages;
        if vector["error"].is_string() {
            host.say(text).await;
            server.until(|counted| counted.malformed_messages == before + 1).await;
            continue;
        }
        let read: Value = serde_json::from_str(vector["ok"].as_str().unwrap()).unwrap();
        if read["request_id"] == 7 {
            app.say("1").await;
            let id = host.json().await["request_id"].as_u64().unwrap();
            text = text.replace("\"request_id\":7", &format!("\"request_id\":{id}"));
        }
        host.say(text).await;
        assert_eq!(app.json().await, read["body"]);
    }
}

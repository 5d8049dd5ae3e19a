//! Hosts and apps that do what they should not.

use std::pin::pin;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite;
use tunnel_core::packet::encode;
use tunnel_legacy::server::{Behaviour, Limits};

use crate::support::{Account, Host, Server, first, next};

async fn start(flow: bool) -> (Server, Account, Host) {
    let server = Server::mended().await;
    let account = server.account("alice").await;
    let host = server.host_with(&account, flow).await;
    (server, account, host)
}

#[tokio::test]
async fn garbage_from_a_host_harms_nobody() {
    let (server, account, mut host) = start(true).await;
    let mut random = fastrand::Rng::with_seed(11);
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let mut asking = pin!(server.ask("GET", &target, &headers, ""));
    let (id, _) = server.reaches(&mut host, asking.as_mut()).await;
    let texts = [
        "",
        "{",
        "null",
        "[]",
        "5",
        r#"{"request_id":0}"#,
        r#"{"request_id":-1,"body":1}"#,
        r#"{"type":"RESET"}"#,
        r#"{"type":"RESET","request_id":1,"kind":"no such kind","message":""}"#,
        r#"{"type":"HTTP","request_id":1}"#,
        r#"{"request_id":0,"body":1,"to_connection_ids":["1"]}"#,
        r#"{"type":"WINDOW","request_id":1,"packets":9}"#,
    ];
    for text in texts {
        host.say(text).await;
    }
    for length in 0..200 {
        let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
        host.send(bytes).await;
    }
    // Packet 1 of everybody, cut everywhere.
    let whole = encode(&first(random.u64(..), 200, &[("a", "b")], "body", true)).unwrap();
    for length in 0..whole.len() {
        host.send(whole.slice(..length)).await;
    }
    host.answer(id, 200, "unharmed").await;
    assert_eq!(asking.await.text(), "unharmed");
}

#[tokio::test]
async fn packets_that_never_fit_together_end_their_response() {
    for flow in [false, true] {
        let (server, account, mut host) = start(flow).await;
        let (target, headers) = (account.target("/x"), [account.bearer()]);
        let mut asking = pin!(server.ask("GET", &target, &headers, ""));
        let (id, _) = server.reaches(&mut host, asking.as_mut()).await;
        // No packet 1 among them.
        for packet in 2..400 {
            host.packet(next(id, packet, vec![1; 60_000], packet % 7 == 0)).await;
        }
        let answer = asking.await;
        let expected = if flow { StatusCode::BAD_GATEWAY } else { StatusCode::PAYLOAD_TOO_LARGE };
        assert_eq!(answer.status, expected, "{}", answer.text());
        assert_eq!(host.json().await, json!({"type": "ABORT", "request_id": id}));
        server.until(|counted| counted.buffered_bytes == 0).await;
    }
}

#[tokio::test]
async fn empty_packets_are_no_way_around_the_limits() {
    let (server, account, mut host) = start(false).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let mut asking = pin!(server.ask("GET", &target, &headers, ""));
    let (id, _) = server.reaches(&mut host, asking.as_mut()).await;
    // 256 may wait for one before them.
    for packet in 3..3 + 257 {
        host.packet(next(id, packet, "", false)).await;
    }
    assert_eq!(asking.await.status, StatusCode::PAYLOAD_TOO_LARGE);
    // In order they cost nothing.
    let mut asking = pin!(server.ask("GET", &target, &headers, ""));
    assert_eq!(host.json().await["type"], "ABORT");
    let (id, _) = server.reaches(&mut host, asking.as_mut()).await;
    host.packet(first(id, 200, &[], "", false)).await;
    for packet in 2..5000 {
        host.packet(next(id, packet, "", packet == 4999)).await;
    }
    assert_eq!(asking.await.text(), "");
}

#[tokio::test]
async fn small_pieces_are_counted_with_what_they_cost() {
    let limits = Limits { stall_timeout: std::time::Duration::from_millis(100), ..Limits::default() };
    let bytes_max = limits.response_bytes_max;
    let server = Server::start(Behaviour::mended(), limits).await;
    let account = server.account("alice").await;
    let mut host = server.host(&account).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    // An app that has asked and does not read at all.
    let mut raw = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let ask = format!("GET {target} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\n\r\n", headers[0].1);
    raw.write_all(ask.as_bytes()).await.unwrap();
    let (id, _) = host.request().await;
    host.packet(first(id, 200, &[], "", false)).await;
    let large = Bytes::from(vec![1; 60_000]);
    for packet in 2..200 {
        host.packet(next(id, packet, large.clone(), false)).await;
    }
    for packet in 200..20_000 {
        host.packet(next(id, packet, "x", false)).await;
        assert!(server.statistics.buffered_bytes() <= bytes_max);
    }
    assert_eq!(host.json().await["type"], "ABORT");
    server.until(|counted| counted.buffered_bytes == 0).await;
    let mut rest = Vec::new();
    let _ = raw.read_to_end(&mut rest).await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "the end must not look complete");
}

#[tokio::test]
async fn a_repeated_head_that_has_no_room_is_waited_for_like_any_packet() {
    let limits = Limits { stall_timeout: std::time::Duration::from_millis(100), ..Limits::default() };
    let (server, room) = (Server::start(Behaviour::mended(), limits.clone()).await, limits.response_bytes_max);
    let account = server.account("alice").await;
    let mut host = server.host(&account).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let ((response, _connection), id) = tokio::join!(server.send("GET", &target, &headers, ""), async {
        let (id, _) = host.request().await;
        host.packet(first(id, 200, &[], "", false)).await;
        id
    });
    // The reader takes nothing: fill up to a little less than the room.
    let mut packet = 1;
    while server.statistics.buffered_bytes() < room - 70_000 {
        packet += 1;
        host.packet(next(id, packet, vec![1; 60_000], false)).await;
        futures::SinkExt::send(&mut host.socket, tungstenite::Message::Ping("x".into())).await.unwrap();
        host.pong().await;
    }
    let value = "v".repeat(60_000);
    for _ in 0..3 {
        host.packet(first(id, 200, &[("long", &value)], "", false)).await;
        packet += 1;
        host.packet(next(id, packet, vec![1; 9_000], false)).await;
    }
    assert_eq!(host.json().await, json!({"type": "ABORT", "request_id": id}));
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn duplicates_and_packets_after_the_last_change_nothing() {
    let (server, account, mut host) = start(true).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let ((response, _connection), ()) = tokio::join!(server.send("GET", &target, &headers, ""), async {
        let (id, _) = host.request().await;
        host.packet(next(id, 0, "zero", true)).await;
        host.packet(next(id, 3, "c", true)).await;
        for _ in 0..3 {
            host.packet(first(id, 200, &[], "a", false)).await;
            host.packet(next(id, 3, "other", true)).await;
        }
        host.packet(next(id, 2, "b", false)).await;
        host.packet(next(id, 2, "b", false)).await;
        host.packet(next(id, 4, "d", true)).await;
    });
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "abc");
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up() {
    let limits = Limits { body_read_timeout: std::time::Duration::from_millis(100), ..Limits::default() };
    let server = Server::start(Behaviour::mended(), limits).await;
    let account = server.account("alice").await;
    let _host = server.host(&account).await;
    let mut raw = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let ask = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\nauthorization: {}\r\ncontent-length: 10\r\n\r\n",
        account.target("/x"),
        account.bearer().1
    );
    raw.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    raw.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("HTTP/1.1 408 "), "{answer}");
    assert_eq!(server.statistics.snapshot().requests, 0);
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let server = Server::mended().await;
    for garbage in ["\x16\x03\x01\x02\0\x01\0", "GET /\r\n\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n"] {
        let mut raw = tokio::net::TcpStream::connect(server.addr).await.unwrap();
        raw.write_all(garbage.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = raw.read_to_string(&mut answer).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert_eq!(server.ask("GET", "/health", &[], "").await.status, StatusCode::OK);
}

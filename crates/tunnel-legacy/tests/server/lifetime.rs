//! Who leaves when, and what the others are told.

use std::{pin::pin, time::Duration};

use futures::FutureExt;
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::json;
use tunnel_core::packet::encode;
use tunnel_legacy::server::{Behaviour, Defect, Limits};

use crate::support::{Account, Host, Server, first, next};

async fn start(behaviour: Behaviour, limits: Limits) -> (Server, Account, Host) {
    let server = Server::start(behaviour, limits).await;
    let account = server.account("alice").await;
    let host = server.host(&account).await;
    (server, account, host)
}

#[tokio::test]
async fn an_app_that_leaves_before_the_head_aborts_at_once() {
    let (server, account, mut host) = start(Behaviour::mended(), Limits::default()).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let id = {
        let mut asking = pin!(server.send("GET", &target, &headers, ""));
        server.reaches(&mut host, asking.as_mut()).await.0
    };
    assert_eq!(host.json().await, json!({"type": "ABORT", "request_id": id}));
    // What was on its way is ignored.
    host.answer(id, 200, "late").await;
    server.until(|counted| counted.stray_packets == 1 && counted.in_flight == 0).await;
    assert_eq!(server.statistics.snapshot().aborts, 1);
}

#[tokio::test]
async fn an_app_that_leaves_within_the_body_aborts_at_once() {
    let (server, account, mut host) = start(Behaviour::mended(), Limits::default()).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let ((response, connection), id) = tokio::join!(server.send("GET", &target, &headers, ""), async {
        let (id, _) = host.request().await;
        host.packet(first(id, 200, &[], "a", false)).await;
        id
    });
    drop((response, connection));
    assert_eq!(host.json().await, json!({"type": "ABORT", "request_id": id}));
    server.until(|counted| counted.buffered_bytes == 0 && counted.in_flight == 0).await;
}

#[tokio::test]
async fn the_published_server_aborts_with_the_second_packet_more() {
    let (server, account, mut host) = start(Behaviour::mended().with(Defect::LateAborts), Limits::default()).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let ((response, connection), id) = tokio::join!(server.send("GET", &target, &headers, ""), async {
        let (id, _) = host.request().await;
        host.packet(first(id, 200, &[], "a", false)).await;
        id
    });
    drop((response, connection));
    server.until(|counted| counted.in_flight == 0).await;
    host.packet(next(id, 2, "b", false)).await;
    server.until(|counted| counted.stray_packets == 1).await;
    assert_eq!(server.statistics.snapshot().aborts, 0);
    host.packet(next(id, 3, "c", false)).await;
    assert_eq!(host.json().await, json!({"type": "ABORT", "request_id": id}));
    // Once only.
    host.packet(next(id, 4, "d", true)).await;
    server.until(|counted| counted.stray_packets == 3).await;
    assert_eq!(server.statistics.snapshot().aborts, 1);
}

#[tokio::test]
async fn a_packet_after_the_last_provokes_one_abort_at_the_published_server_only() {
    for (behaviour, aborts) in [(Behaviour::mended(), 0), (Behaviour::mended().with(Defect::LateAborts), 1)] {
        let (server, account, mut host) = start(behaviour, Limits::default()).await;
        let (target, headers) = (account.target("/x"), [account.bearer()]);
        let (_, id) = tokio::join!(server.ask("GET", &target, &headers, ""), async {
            let (id, _) = host.request().await;
            host.answer(id, 200, "whole").await;
            id
        });
        server.until(|counted| counted.in_flight == 0).await;
        for packet in [1, 2, 2] {
            host.packet(match packet {
                1 => first(id, 200, &[], "whole", true),
                packet => next(id, packet, "more", true),
            })
            .await;
        }
        server.until(|counted| counted.stray_packets == 3).await;
        assert_eq!(server.statistics.snapshot().aborts, aborts);
    }
}

#[tokio::test]
async fn a_host_that_never_answers_is_given_up() {
    let limits = Limits { head_timeout: Duration::from_millis(50), ..Limits::default() };
    let (server, account, mut host) = start(Behaviour::mended(), limits).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let (answer, id) = tokio::join!(server.ask("GET", &target, &headers, ""), async { host.request().await.0 });
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(host.json().await, json!({"type": "ABORT", "request_id": id}));
}

#[tokio::test]
async fn a_body_that_stands_still_or_has_a_gap_is_cut() {
    let short = Duration::from_millis(50);
    for (limits, later) in [
        (Limits { idle_timeout: short, ..Limits::default() }, None),
        (Limits { head_timeout: short, ..Limits::default() }, Some(3)),
    ] {
        let (server, account, mut host) = start(Behaviour::mended(), limits).await;
        let (target, headers) = (account.target("/x"), [account.bearer()]);
        let ((response, _connection), id) = tokio::join!(server.send("GET", &target, &headers, ""), async {
            let (id, _) = host.request().await;
            host.packet(first(id, 200, &[], "a", false)).await;
            if let Some(packet) = later {
                host.packet(next(id, packet, "c", true)).await;
            }
            id
        });
        let mut body = response.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
        assert!(body.frame().await.unwrap().is_err());
        assert_eq!(host.json().await, json!({"type": "ABORT", "request_id": id}));
    }
}

#[tokio::test]
async fn requests_end_with_their_host() {
    let (server, account, mut host) = start(Behaviour::mended(), Limits::default()).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let ((response, _connection), ()) = tokio::join!(server.send("GET", &target, &headers, ""), async {
        let (id, _) = host.request().await;
        host.packet(first(id, 200, &[], "a", false)).await;
    });
    let mut waiting = pin!(server.ask("GET", &target, &headers, ""));
    server.reaches(&mut host, waiting.as_mut()).await;
    drop(host);
    let answer = waiting.await;
    assert_eq!((answer.status, answer.text()), (StatusCode::BAD_GATEWAY, "the host has disconnected"));
    assert_eq!(answer.header("x-tunnel-reason"), Some("connection-lost"));
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
    assert!(body.frame().await.unwrap().is_err());
    let answer = server.ask("GET", &target, &headers, "").await;
    assert_eq!(answer.status, StatusCode::FAILED_DEPENDENCY);
    server.until(|counted| counted.hosts == 0 && counted.in_flight == 0).await;
}

#[tokio::test]
async fn at_the_published_server_requests_wait_for_a_host_that_comes_back() {
    let (server, account, mut host) = start(Behaviour::faithful(), Limits::default()).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let mut waiting = pin!(server.ask("GET", &target, &headers, ""));
    let (id, _) = server.reaches(&mut host, waiting.as_mut()).await;
    host.packet(first(id, 200, &[], "part1 ", false)).await;
    drop(host);
    server.until(|counted| counted.hosts == 0).await;
    let other = server.ask("GET", &target, &headers, "").await;
    assert_eq!(other.status, StatusCode::FAILED_DEPENDENCY);
    assert!(waiting.as_mut().now_or_never().is_none());
    let mut host = server.host(&account).await;
    host.packet(next(id, 2, "part2", true)).await;
    assert_eq!(waiting.await.text(), "part1 part2");
}

#[tokio::test]
async fn the_newest_host_wins_and_the_old_one_is_told() {
    let (server, account, mut old) = start(Behaviour::mended(), Limits::default()).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let mut waiting = pin!(server.ask("GET", &target, &headers, ""));
    server.reaches(&mut old, waiting.as_mut()).await;
    let mut new = server.host(&account).await;
    assert_eq!(old.end().await, Some(4001));
    assert_eq!(waiting.await.status, StatusCode::BAD_GATEWAY);
    let mut asking = pin!(server.ask("GET", &target, &headers, ""));
    let (id, _) = server.reaches(&mut new, asking.as_mut()).await;
    server.until(|counted| counted.hosts == 1).await;
    new.answer(id, 200, "new").await;
    assert_eq!(asking.await.text(), "new");
}

#[tokio::test]
async fn at_the_published_server_the_old_host_stays_for_nothing() {
    let (server, account, mut old) = start(Behaviour::mended().with(Defect::OldHostStays), Limits::default()).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let mut asked_before = pin!(server.ask("GET", &target, &headers, ""));
    let (id, _) = server.reaches(&mut old, asked_before.as_mut()).await;
    let new = server.host(&account).await;
    assert_eq!(server.statistics.snapshot().hosts, 2);
    drop(new);
    server.until(|counted| counted.hosts == 1).await;
    assert_eq!(server.ask("GET", &target, &headers, "").await.status, StatusCode::FAILED_DEPENDENCY);
    old.answer(id, 200, "still here").await;
    assert_eq!(asked_before.await.text(), "still here");
}

#[tokio::test]
async fn a_malformed_packet_costs_one_response() {
    let (server, account, mut host) = start(Behaviour::mended(), Limits::default()).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let mut other = pin!(server.ask("GET", &target, &headers, ""));
    let (other_id, _) = server.reaches(&mut host, other.as_mut()).await;
    let mut asking = pin!(server.ask("GET", &target, &headers, ""));
    let (id, _) = server.reaches(&mut host, asking.as_mut()).await;
    let mut cut = encode(&first(id, 200, &[("a", "b")], "", true)).unwrap();
    cut.truncate(20);
    for malformed in [cut, bytes::Bytes::from_static(b"seven b"), bytes::Bytes::new()] {
        host.send(malformed).await;
    }
    let answer = asking.await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(answer.text().contains("malformed packet"), "{}", answer.text());
    assert_eq!(host.json().await, json!({"type": "ABORT", "request_id": id}));
    host.say("not JSON").await;
    host.answer(other_id, 200, "fine").await;
    assert_eq!(other.await.text(), "fine");
    assert_eq!(server.statistics.snapshot().malformed_messages, 4);
}

#[tokio::test]
async fn at_the_published_server_a_malformed_packet_kills_the_session_and_later_requests_hang() {
    let (server, account, mut host) = start(Behaviour::faithful(), Limits::default()).await;
    host.send("short").await;
    assert_eq!(host.end().await, None);
    server.until(|counted| counted.hosts == 0).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let mut asking = pin!(server.ask("GET", &target, &headers, ""));
    tokio::select! {
        biased;
        answer = asking.as_mut() => panic!("{answer:?}"),
        () = server.until(|counted| counted.in_flight == 1) => {}
    }
    let mut host = server.host(&account).await;
    let mut later = pin!(server.ask("GET", &target, &headers, ""));
    let (id, _) = server.reaches(&mut host, later.as_mut()).await;
    host.answer(id, 200, "back").await;
    assert_eq!(later.await.text(), "back");
    assert!(asking.now_or_never().is_none());
}

#[tokio::test]
async fn a_silent_peer_is_dropped_and_pings_are_sent() {
    use tokio_tungstenite::tungstenite::Message;

    let limits = Limits {
        ping_interval: Duration::from_millis(20),
        silence_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let (server, account, mut host) = start(Behaviour::mended(), limits).await;
    // Reading answers the pings.
    let mut pings = 0;
    while pings < 20 {
        let message = futures::StreamExt::next(&mut host.socket).await.unwrap().unwrap();
        assert!(matches!(message, Message::Ping(_)), "{message:?}");
        pings += 1;
    }
    // Not reading answers none.
    server.until(|counted| counted.hosts == 0).await;
    let answer = server.ask("GET", &account.target("/x"), &[account.bearer()], "").await;
    assert_eq!(answer.status, StatusCode::FAILED_DEPENDENCY);
}

#[tokio::test]
async fn a_server_that_stops_finishes_its_requests_and_closes_its_sockets() {
    let (server, account, mut host) = start(Behaviour::mended(), Limits::default()).await;
    let mut app = server.app(&account).await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    {
        let mut asking = pin!(server.ask("GET", &target, &headers, ""));
        let (id, _) = server.reaches(&mut host, asking.as_mut()).await;
        server.begin_stop();
        host.answer(id, 200, "done").await;
        assert_eq!(asking.await.text(), "done");
        assert_eq!((host.end().await, app.end().await), (Some(1012), Some(1012)));
    }
    server.stop().await;
}

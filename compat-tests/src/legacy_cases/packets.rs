//! A host that sends the tunnel server packets as no host should.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;
use tunnel_core::{
    Failure, FailureKind, Response, SendError,
    moosicbox_tunnel::{TunnelHttpRequest, TunnelResponse},
    packet,
};

use crate::{
    backend::{
        ClientSettings, RunningClient,
        legacy::{LegacyBackend, LegacyRunningClient, Server},
        world::{Machine, World},
    },
    body::{arrives, body_error, bytes, pattern_piece, text},
    patience::{A_WHILE, soon, until},
    request::get,
    script::{ScriptedHost, packet},
};

/// A tunnel server, a client, and a host in the hands of the case.
struct Stage<W: World> {
    world: W,
    server: Server<W>,
    client: LegacyRunningClient<W>,
    host: ScriptedHost<W>,
}

impl<W: World> Stage<W> {
    async fn start(world: W, flow: bool) -> Self {
        let backend = LegacyBackend::new(world.clone());
        let server = backend.server().await.clone();
        let account = server.register("home").await;
        let host = ScriptedHost::connect(&world, server.address(), "home", &account.signature, flow).await;
        let client = LegacyRunningClient::start(&world, server.address(), &account, ClientSettings::default());
        soon("connecting", client.connected()).await.expect("the client connects");
        Self { world, server, client, host }
    }

    /// Sends a GET; the host has it then.
    async fn ask(&mut self) -> (TunnelHttpRequest, JoinSet<Result<Response, SendError>>) {
        let transport = self.client.transport();
        let mut answer = JoinSet::new();
        answer.spawn(async move { transport.send(get("/")).await });
        (self.host.request().await, answer)
    }

    /// The way still works for others.
    async fn works(&mut self) {
        let (request, mut answer) = self.ask().await;
        self.host.send(&packet(request.request_id, 1, true, "ok")).await;
        assert_eq!(text(head(&mut answer).await.expect("a response").body).await.unwrap(), "ok");
    }
}

async fn head(answer: &mut JoinSet<Result<Response, SendError>>) -> Result<Response, SendError> {
    soon("a head or an error", answer.join_next()).await.expect("one request").expect("no panic")
}

/// As a host with several threads sends them.
pub async fn out_of_order_they_arrive_in_order<W: World>(world: W) {
    let mut stage = Stage::start(world, true).await;
    for order in [[1, 4, 3, 2], [4, 3, 2, 1], [2, 1, 4, 3], [3, 1, 2, 4]] {
        let (request, mut answer) = stage.ask().await;
        for id in order {
            let piece = pattern_piece(id as usize * 1000, 1000);
            stage.host.send(&packet(request.request_id, id, id == 4, piece)).await;
        }
        let body = bytes(head(&mut answer).await.unwrap().body).await.unwrap();
        assert!(body == pattern_piece(1000, 4000), "{order:?}");
    }
}

/// Also the first, the last, and those after the last.
pub async fn repeated_ones_arrive_once<W: World>(world: W) {
    let mut stage = Stage::start(world, true).await;
    let (request, mut answer) = stage.ask().await;
    let id = request.request_id;
    for number in [1, 1, 2, 1, 2, 3, 3, 2, 1] {
        stage.host.send(&packet(id, number, number == 3, number.to_string())).await;
    }
    stage.host.send(&packet(id, 4, true, "late")).await;
    stage.host.send(&packet(id, 0, false, "zero")).await;
    assert_eq!(text(head(&mut answer).await.unwrap().body).await.unwrap(), "123");
    stage.works().await;
}

/// Half a body must not look like a whole one.
async fn leaves_after<W: World>(world: W, packets: &[(u32, bool)]) -> Failure {
    let mut stage = Stage::start(world, true).await;
    let (request, mut answer) = stage.ask().await;
    for &(number, last) in packets {
        stage.host.send(&packet(request.request_id, number, last, "begin")).await;
    }
    let mut response = head(&mut answer).await.unwrap();
    arrives(&mut response.body, "begin").await;
    stage.host.machine.crash();
    body_error(response.body).await
}

/// The published tunnel server leaves the app waiting for ever.
pub async fn without_the_last_one_the_body_is_an_error_when_the_host_leaves<W: World>(world: W) {
    assert_eq!(leaves_after(world, &[(1, false)]).await.kind(), FailureKind::ConnectionLost);
}

/// The last one is there, and one before it is not.
pub async fn with_a_gap_the_body_is_an_error_when_the_host_leaves<W: World>(world: W) {
    assert_eq!(leaves_after(world, &[(1, false), (3, true)]).await.kind(), FailureKind::ConnectionLost);
}

/// It may have done what it was asked.
pub async fn before_the_head_a_host_that_leaves_is_an_error<W: World>(world: W) {
    let mut stage = Stage::start(world, true).await;
    let (_, mut answer) = stage.ask().await;
    stage.host.machine.crash();
    match head(&mut answer).await {
        Ok(response) => assert!(response.status.is_server_error(), "{}", response.status),
        Err(error) => assert!(error.may_have_been_delivered(), "{error}"),
    }
}

/// Nor is one whose bytes are not what it says.
pub async fn one_that_is_cut_is_no_end_of_the_body<W: World>(world: W) {
    let mut stage = Stage::start(world, true).await;
    let (request, mut answer) = stage.ask().await;
    let id = request.request_id;
    stage.host.send(&packet(id, 1, false, "begin")).await;
    let mut response = head(&mut answer).await.unwrap();
    arrives(&mut response.body, "begin").await;
    let last = packet::encode(&packet(id, 2, true, "end")).unwrap();
    stage.host.binary(last.slice(..12)).await;
    // The server may take the host for broken, or wait for a better packet; it never makes an end of it.
    let (other, mut other_answer) = stage.ask_if_possible().await;
    if let Some(other) = other {
        stage.host.send(&packet(other.request_id, 1, true, "ok")).await;
        drop(head(&mut other_answer).await);
    }
    stage.host.machine.crash();
    body_error(response.body).await;
}

impl<W: World> Stage<W> {
    /// As [`ask`](Self::ask), if the server still talks to the host.
    async fn ask_if_possible(&mut self) -> (Option<TunnelHttpRequest>, JoinSet<Result<Response, SendError>>) {
        let transport = self.client.transport();
        let mut answer = JoinSet::new();
        answer.spawn(async move { transport.send(get("/")).await });
        let request = tokio::time::timeout(A_WHILE, self.host.request()).await.ok();
        (request, answer)
    }
}

/// Late ones, invented ones.
pub async fn those_of_nobody_harm_nobody<W: World>(world: W) {
    let mut stage = Stage::start(world, true).await;
    for number in 0..100 {
        stage.host.send(&packet(number, 1, false, "nobody asked")).await;
        stage.host.send(&packet(u64::MAX, 7, true, "nobody asked")).await;
    }
    stage.works().await;
    let statistics = stage.server.statistics();
    until("they are counted", || statistics.snapshot().stray_packets == 200).await;
    assert_eq!(statistics.buffered_bytes(), 0);
}

/// Whoever guesses a number does not get to answer for another home.
pub async fn those_of_another_host_are_not_taken<W: World>(world: W) {
    let mut stage = Stage::start(world, true).await;
    let (server, other) = (stage.server.address(), stage.server.register("other").await);
    let mut stranger = ScriptedHost::connect(&stage.world, server, "other", &other.signature, true).await;
    let (request, mut answer) = stage.ask().await;
    stranger.send(&packet(request.request_id, 1, true, "forged")).await;
    until("it is seen", || stage.server.statistics().snapshot().stray_packets == 1).await;
    stage.host.send(&packet(request.request_id, 1, true, "true")).await;
    assert_eq!(text(head(&mut answer).await.unwrap().body).await.unwrap(), "true");
}

/// A host with flow control that does not keep to it loses that response, and no other.
pub async fn more_than_the_window_end_the_response<W: World>(world: W) {
    let mut stage = Stage::start(world, true).await;
    let (request, mut answer) = stage.ask().await;
    for number in 1..=40 {
        stage.host.send(&packet(request.request_id, number, false, vec![7; 60_000])).await;
    }
    let response = head(&mut answer).await.unwrap();
    body_error(response.body).await;
    stage.works().await;
}

/// Before the head and after it.
pub async fn a_reset_is_the_status_of_its_kind_or_cuts_the_body<W: World>(world: W) {
    let mut stage = Stage::start(world, true).await;
    let reset = |id: u64, kind: FailureKind| {
        json!({"type": "RESET", "request_id": id, "kind": kind.name(), "message": "made to fail"}).to_string()
    };
    for kind in FailureKind::ALL {
        let (request, mut answer) = stage.ask().await;
        stage.host.write_text(&reset(request.request_id, kind)).await;
        let error = head(&mut answer).await.unwrap_err();
        assert_eq!(error.failure().kind(), kind);
        assert!(error.failure().message().contains("made to fail"), "{error}");
    }
    let (request, mut answer) = stage.ask().await;
    stage.host.send(&packet(request.request_id, 1, false, "begin")).await;
    let mut response = head(&mut answer).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    arrives(&mut response.body, "begin").await;
    stage.host.write_text(&reset(request.request_id, FailureKind::ServiceFailed)).await;
    body_error(response.body).await;
    stage.works().await;
}

/// The published tunnel server panics over some of them, and others then wait for ever.
pub async fn texts_and_bytes_that_mean_nothing_harm_nobody<W: World>(world: W) {
    for flow in [false, true] {
        let mut stage = Stage::start(world.clone(), flow).await;
        for text in [
            "",
            "{",
            "null",
            "[]",
            "{}",
            r#"{"type":"WINDOW"}"#,
            r#"{"type":"RESET"}"#,
            r#"{"request_id":-1}"#,
            "TUNNEL_RESPONSE:x",
        ] {
            stage.host.write_text(text).await;
        }
        let whole = packet::encode(&packet(7, 1, true, "whole")).unwrap();
        for length in 0..whole.len() {
            stage.host.binary(whole.slice(..length)).await;
        }
        let mut status = TunnelResponse { status: Some(99), ..packet(8, 1, true, "no status") };
        stage.host.send(&status).await;
        status.status = Some(200);
        status.headers = Some(BTreeMap::from([("a b".to_owned(), "\n".to_owned())]));
        stage.host.send(&status).await;
        stage.host.binary(Bytes::from_static(&[0xff; 100])).await;
        let (request, mut answer) = stage.ask().await;
        status.request_id = request.request_id;
        stage.host.send(&status).await;
        match head(&mut answer).await {
            Ok(response) => assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR),
            Err(error) => panic!("the server must say what was wrong: {error}"),
        }
        stage.works().await;
    }
}

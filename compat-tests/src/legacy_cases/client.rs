//! A client whose tunnel server does not answer as it should.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::StatusCode;
use tokio_tungstenite::tungstenite::Message;
use tunnel_core::{Body, Failure, FailureKind, Health, SendError};

use super::at::{client, server};
use crate::{
    backend::{
        ClientSettings, RunningClient,
        world::{Machine, World},
    },
    body::{arrives, body_error, text},
    pair::{accepted, handshake},
    patience::soon,
    request::{get, post},
    script::{Answer, ScriptedServer},
};

/// Long enough for an answer, short enough to wait for.
fn settings() -> ClientSettings {
    ClientSettings {
        head_timeout: Duration::from_secs(1),
        body_idle_timeout: Duration::from_secs(1),
        ..ClientSettings::default()
    }
}

/// What a GET comes to when every request gets this answer.
async fn error<W: World>(world: &W, answer: impl Fn() -> Answer<W> + Send + Sync + 'static) -> SendError {
    let server = server(world, answer).await;
    let client = client(world, server.address(), settings());
    soon("a failure", client.transport().send(get("/"))).await.unwrap_err()
}

/// The error of a body that begins like this.
async fn body<W: World>(world: &W, answer: impl Fn() -> Answer<W> + Send + Sync + 'static) -> Failure {
    let server = server(world, answer).await;
    let client = client(world, server.address(), settings());
    let mut response = soon("a head", client.transport().send(get("/"))).await.unwrap();
    arrives(&mut response.body, "begin").await;
    body_error(response.body).await
}

/// Nothing was sent.
pub async fn a_server_that_is_down_is_unreachable_and_the_request_comes_back<W: World>(world: W) {
    // Its address is one at which somebody was a moment ago.
    let machine = world.machine("down");
    drop(machine.listen().await.expect("a free port"));
    let client = client(&world, machine.address(), settings());
    let transport = client.transport();
    for request in [get("/"), post("/", Body::full("{}"))] {
        let error = soon("a failure", transport.send(request)).await.unwrap_err();
        assert_eq!(error.failure().kind(), FailureKind::Unreachable, "{error}");
        assert!(!error.may_have_been_delivered());
        assert!(error.into_request().is_some());
    }
    assert!(matches!(transport.health(), Health::Down(_)));
    assert!(soon("a failure", transport.probe()).await.is_err());
}

/// Nobody knows what it did before.
pub async fn a_server_that_resets_may_have_taken_the_request<W: World>(world: W) {
    let error = error(&world, || Answer::Reset).await;
    assert_eq!(error.failure().kind(), FailureKind::ConnectionLost, "{error}");
    assert!(error.may_have_been_delivered());
}

/// The published one does so for ever.
pub async fn a_server_that_hangs_before_the_head_is_a_timeout<W: World>(world: W) {
    for begin in ["", "HTTP/1.1 200 OK\r\ncontent-"] {
        let error = error(&world, move || Answer::hang(begin)).await;
        assert_eq!(error.failure().kind(), FailureKind::Timeout, "{error}");
        assert!(error.may_have_been_delivered());
    }
}

/// With a length, without one, and in the middle of a chunk.
pub async fn a_server_that_hangs_in_the_middle_of_a_body_is_a_timeout<W: World>(world: W) {
    for head in ["content-length: 100\r\n\r\nbegin", "transfer-encoding: chunked\r\n\r\n5\r\nbegin\r\n"] {
        let failure = body(&world, move || Answer::hang(format!("HTTP/1.1 200 OK\r\n{head}"))).await;
        assert_eq!(failure.kind(), FailureKind::Timeout, "{failure}");
    }
}

/// A web server of somebody else, or no web server at all.
pub async fn garbage_is_no_answer<W: World>(world: W) {
    for garbage in
        ["SSH-2.0-OpenSSH_9.2\r\n", "\u{0}\u{1}\u{2}\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\n: x\r\n\r\n"]
    {
        let error = error(&world, move || Answer::close(garbage)).await;
        assert!(error.failure().kind().status().is_server_error(), "{garbage:?}: {error}");
        assert!(error.may_have_been_delivered());
    }
}

/// Nor one that never stops: what is kept of it is bounded.
pub async fn a_head_without_an_end_is_an_error<W: World>(world: W) {
    let endless = Bytes::from(format!("HTTP/1.1 200 OK\r\n{}", "x-a: b\r\n".repeat(1 << 17)));
    let error = error(&world, move || Answer::close(endless.clone())).await;
    assert!(error.may_have_been_delivered(), "{error}");
    let cut = error_of_cut_head(&world).await;
    assert_eq!(cut.failure().kind(), FailureKind::ConnectionLost, "{cut}");
}

async fn error_of_cut_head<W: World>(world: &W) -> SendError {
    error(world, || Answer::close("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n")).await
}

/// Never a short body that looks whole.
pub async fn a_body_that_breaks_off_is_an_error<W: World>(world: W) {
    for head in [
        "content-length: 100\r\n\r\nbegin",
        "transfer-encoding: chunked\r\n\r\n5\r\nbegin\r\n",
        "transfer-encoding: chunked\r\n\r\n50\r\nbegin",
        "transfer-encoding: chunked\r\n\r\n5\r\nbegin\r\n0\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nbegin\r\nzz\r\n",
    ] {
        let failure = body(&world, move || Answer::close(format!("HTTP/1.1 200 OK\r\n{head}"))).await;
        assert_eq!(failure.kind(), FailureKind::ConnectionLost, "{head:?}: {failure}");
    }
}

/// An answer of the tunnel server itself, in its words.
async fn refusal<W: World>(world: &W, status: u16, words: &'static str, kind: FailureKind) {
    let answer = move || {
        let length = words.len();
        let head =
            format!("HTTP/1.1 {status} X\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{words}");
        Answer::close(head)
    };
    let server = server(world, answer).await;
    let client = client(world, server.address(), settings());
    let transport = client.transport();
    let error = soon("a failure", transport.send(post("/", Body::full("{}")))).await.unwrap_err();
    assert_eq!(error.failure().kind(), kind, "{error}");
    assert!(!error.may_have_been_delivered());
    assert!(error.into_request().is_some());
    let failure = soon("a failure", transport.open_ws(handshake("/ws"))).await.unwrap_err();
    assert_eq!(failure.kind(), kind, "{failure}");
    assert!(matches!(transport.health(), Health::Down(_)));
}

/// It is told which token, and where to set it.
pub async fn a_refused_token_is_unauthorized_and_the_request_comes_back<W: World>(world: W) {
    refusal(&world, 401, "Unauthorized", FailureKind::Unauthorized).await;
}

/// The home server was never asked.
pub async fn a_host_that_is_not_there_is_unreachable_and_the_request_comes_back<W: World>(world: W) {
    refusal(&world, 424, "Client with ID is not connected", FailureKind::Unreachable).await;
}

/// A service that says 401 or 424 by itself says so with other words, or in another form.
pub async fn the_services_own_words_are_an_answer<W: World>(world: W) {
    for (status, kind, words) in [
        (401, "text/plain", "Unauthorized!"),
        (401, "text/html", "Unauthorized"),
        (401, "text/plain", ""),
        (424, "text/plain", "Client with ID is not connected, or so"),
        (424, "application/json", "{}"),
        (503, "text/plain", "Unauthorized"),
    ] {
        let answer = move || {
            let length = words.len();
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{words}");
            Answer::close(head)
        };
        let server = server(&world, answer).await;
        let client = client(&world, server.address(), settings());
        let response = soon("a response", client.transport().send(get("/"))).await.unwrap();
        assert_eq!(response.status, StatusCode::from_u16(status).unwrap());
        assert_eq!(text(response.body).await.unwrap(), words);
    }
}

/// In any of the ways in which a server can fail to answer.
pub async fn a_websocket_that_is_not_answered_is_an_error<W: World>(world: W) {
    let answers: [fn() -> Answer<W>; 5] = [
        || Answer::Reset,
        || Answer::hang(""),
        || Answer::close("garbage\r\n\r\n"),
        || Answer::close("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"),
        || {
            let wrong =
                "HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: wrong\r\n\r\n";
            Answer::close(wrong)
        },
    ];
    for answer in answers {
        let server = server(&world, answer).await;
        let client = client(&world, server.address(), settings());
        let failure = soon("a failure", client.transport().open_ws(handshake("/ws"))).await.unwrap_err();
        assert!(failure.kind().status().is_server_error(), "{failure}");
    }
}

/// Its end without a close is no orderly end.
pub async fn a_websocket_that_breaks_off_is_an_error<W: World>(world: W) {
    let server = ScriptedServer::start(&world, |_, _| {
        Answer::websocket(false, |mut socket| async move {
            futures::SinkExt::send(&mut socket, Message::text("{\"last\":1}")).await.ok();
        })
    })
    .await;
    let client = client(&world, server.address(), settings());
    let mut session = accepted(soon("the upgrade", client.transport().open_ws(handshake("/ws"))).await).1;
    assert!(soon("the message", session.stream.next()).await.unwrap().is_ok());
    assert!(soon("the error", session.stream.next()).await.unwrap().is_err());
    assert!(soon("the end", session.stream.next()).await.is_none());
}

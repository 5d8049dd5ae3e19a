//! Tunnel servers that go and come back, and what that means for those connected to them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::StatusCode;
use tokio::time::sleep;
use tunnel_core::{Response, Transport};

use crate::{
    backend::{
        Backend, ClientSettings, HostSettings, RunningClient, RunningHost,
        legacy::{LegacyBackend, Server},
        world::World,
    },
    body::{body_error, endless, piece, pieces, silence, text},
    pair::Pair,
    patience::{A_WHILE, soon},
    request::{get, path},
    service::{Guard, Once, Service, ok},
};

/// Asks until the answer is this.
async fn answers_again(transport: &Arc<dyn Transport>, expected: &str) {
    soon("the answer", async {
        loop {
            if let Ok(response) = transport.send(get("/")).await
                && response.status == StatusCode::OK
                && text(response.body).await.is_ok_and(|body| body == expected)
            {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// The host connects again by itself, and the client needs nothing.
async fn found_again<W: World>(world: W, ends: impl AsyncFnOnce(&Server<W>)) {
    let backend = LegacyBackend::new(world);
    let pair = Pair::start(&backend, Service::hello()).await;
    answers_again(&pair.transport, "ok").await;
    let server = backend.server().await;
    ends(server).await;
    assert!(pair.send(get("/")).await.is_err());
    // Long enough for the host to try in vain.
    sleep(A_WHILE).await;
    server.start().await;
    answers_again(&pair.transport, "ok").await;
}

/// Power was cut.
pub async fn a_tunnel_server_that_was_killed_is_found_again<W: World>(world: W) {
    found_again::<W>(world, async |server| server.kill()).await;
}

/// An update.
pub async fn a_tunnel_server_that_was_stopped_is_found_again<W: World>(world: W) {
    found_again::<W>(world, async |server| server.stop().await).await;
}

/// On both sides: the app gets an error, and the handler no longer works for nobody.
pub async fn what_is_in_flight_fails_when_the_tunnel_server_dies<W: World>(world: W) {
    let ((head_guard, head_gone), (body_guard, body_gone)) = (Guard::new(), Guard::new());
    let guards = (Once::new(head_guard), Once::new(body_guard));
    let service = Service::http(move |request| {
        let of_head = (path(&request) == "head").then(|| guards.0.take());
        let of_body = (path(&request) == "body").then(|| guards.1.take());
        async move {
            if let Some(_kept) = of_head {
                std::future::pending::<()>().await;
            }
            let begin = stream::iter([Ok(Bytes::from_static(b"begin"))]);
            let guard = of_body.expect("one or the other");
            Ok(Response::new(StatusCode::OK, pieces(begin.chain(silence(guard)))))
        }
    });
    let backend = LegacyBackend::new(world);
    let pair = Pair::start(&backend, service).await;
    let mut response = pair.answer(get("/body")).await;
    piece(&mut response.body).await;
    let dying = async {
        sleep(A_WHILE).await;
        backend.server().await.kill();
    };
    let (error, ()) = tokio::join!(pair.send(get("/head")), dying);
    assert!(error.unwrap_err().may_have_been_delivered());
    body_error(response.body).await;
    soon("the end of the handler's future", head_gone).await.unwrap();
    soon("the end of the handler's body", body_gone).await.unwrap();
}

/// A home server that was started twice, or whose old connection still looks alive.
pub async fn a_host_that_takes_over_gets_the_requests<W: World>(world: W) {
    let backend = LegacyBackend::new(world);
    let settings = HostSettings { client_id: Some("home".to_owned()), ..HostSettings::default() };
    let says = |words: &'static str| Arc::new(Service::http(move |_| async move { Ok(ok(words)) }));
    let first = backend.host(says("first"), settings.clone()).await;
    let client = backend.client(&first, ClientSettings::default()).await;
    answers_again(&client.transport(), "first").await;
    // Its process is gone, and nobody has told the server, which sees a second connection.
    let second = backend.host(says("second"), settings).await;
    let dead = first.kill().await;
    answers_again(&client.transport(), "second").await;
    let _third = backend.revive(dead, says("third")).await;
    answers_again(&client.transport(), "third").await;
    drop(second);
}

/// The app leaves; through the tunnel server the handler hears of it, before the head and in the middle of a body.
pub async fn an_abort_reaches_the_handler_through_both<W: World>(world: W) {
    let ((head_guard, head_gone), (body_guard, body_gone)) = (Guard::new(), Guard::new());
    let guards = (Once::new(head_guard), Once::new(body_guard));
    let service = Service::http(move |request| {
        let of_head = (path(&request) == "head").then(|| guards.0.take());
        let of_body = (path(&request) == "body").then(|| guards.1.take());
        async move {
            if let Some(_kept) = of_head {
                std::future::pending::<()>().await;
            }
            let guard = of_body.expect("one or the other");
            Ok(Response::new(StatusCode::OK, pieces(endless(10_000, Arc::default(), Some(guard)))))
        }
    });
    let backend = LegacyBackend::new(world);
    let pair = Pair::start(&backend, service).await;
    tokio::select! {
        biased;
        _ = pair.send(get("/head")) => panic!("no response is expected"),
        () = sleep(A_WHILE) => {}
    }
    soon("the end of the handler's future", head_gone).await.unwrap();
    let mut response = pair.answer(get("/body")).await;
    piece(&mut response.body).await;
    drop(response);
    soon("the end of the handler's body", body_gone).await.unwrap();
}

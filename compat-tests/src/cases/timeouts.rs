//! Every wait ends.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::time::sleep;
use tunnel_core::{FailureKind, Response};

use crate::{
    backend::{Backend, ClientSettings, HostSettings, RunningClient},
    body::{body_error, by_hand, digest, pattern, piece, pieces, silence, text},
    pair::{Pair, connected, handshake},
    patience::soon,
    request::{get, path, post},
    service::{Guard, Once, Service, ok},
};

/// Longer than a round trip on any network.
const SHORT: Duration = Duration::from_secs(1);

/// Nobody knows what the service did; and it is told that nobody waits any more.
pub async fn no_head_in_time_may_have_been_delivered<B: Backend>(backend: B) {
    let (guard, gone) = Guard::new();
    let guard = Once::new(guard);
    let service = Service::http(move |request| {
        let guard = (path(&request) == "slow").then(|| guard.take());
        async move {
            if let Some(_kept) = guard {
                std::future::pending::<()>().await;
            }
            Ok(ok("ok"))
        }
    });
    let settings = ClientSettings { head_timeout: SHORT, ..ClientSettings::default() };
    let pair = Pair::with(&backend, service, HostSettings::default(), settings).await;
    let error = pair.send(get("/slow")).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::Timeout);
    assert!(error.may_have_been_delivered());
    assert!(error.into_request().is_none());
    soon("the end of the handler's future", gone).await.unwrap();
    // On a busy machine, a quick answer may be late as well, so another client asks.
    let other = connected(&backend, &pair.host, ClientSettings::default()).await.transport();
    let answer = soon("a response", other.send(get("/quick"))).await;
    assert_eq!(text(answer.unwrap().body).await.unwrap(), "ok");
}

/// A WebSocket that is not answered is given up, too.
pub async fn a_handshake_without_an_answer_is_a_timeout<B: Backend>(backend: B) {
    let (guard, gone) = Guard::new();
    let guard = Once::new(guard);
    let service = Service::ws(move |_| {
        let guard = guard.take();
        async move {
            let _kept = guard;
            std::future::pending().await
        }
    });
    let settings = ClientSettings { head_timeout: SHORT, ..ClientSettings::default() };
    let pair = Pair::with(&backend, service, HostSettings::default(), settings).await;
    assert_eq!(pair.open_ws(handshake("/ws")).await.unwrap_err().kind(), FailureKind::Timeout);
    soon("the end of the handler's future", gone).await.unwrap();
}

/// The reader is not left alone with half a body.
pub async fn a_body_that_stands_still_is_a_timeout<B: Backend>(backend: B) {
    for bytes in [10, 400_000] {
        let (guard, gone) = Guard::new();
        let guard = Once::new(guard);
        let service = Service::http(move |_| {
            let body = pieces(pattern(bytes, 10_000).chain(silence(guard.take())));
            async { Ok(Response::new(StatusCode::OK, body)) }
        });
        let settings = ClientSettings { body_idle_timeout: SHORT, ..ClientSettings::default() };
        let pair = Pair::with(&backend, service, HostSettings::default(), settings).await;
        let response = pair.answer(get("/")).await;
        assert_eq!(body_error(response.body).await.kind(), FailureKind::Timeout);
        soon("the end of the handler's body", gone).await.unwrap();
    }
}

/// The service is not left alone with half an upload.
pub async fn an_upload_that_stands_still_is_a_timeout_of_the_handlers_body<B: Backend>(backend: B) {
    let service = Service::http(|request| async move { Ok(ok(body_error(request.body).await.kind().name())) });
    let settings = HostSettings { body_idle_timeout: SHORT, ..HostSettings::default() };
    let pair = Pair::with(&backend, service, settings, ClientSettings::default()).await;
    let (sender, upload) = by_hand();
    sender.send(Ok(Bytes::from_static(b"begin"))).await.unwrap();
    let response = pair.answer(post("/", upload)).await;
    assert_eq!(text(response.body).await.unwrap(), "timeout");
}

/// The limit is for the next byte, not for the whole body.
pub async fn a_slow_body_that_moves_is_no_timeout<B: Backend>(backend: B) {
    let service = Service::http(|_| async {
        let ticks = stream::iter(0..12).then(|_| async {
            sleep(Duration::from_millis(250)).await;
            Ok(Bytes::from_static(b"tick"))
        });
        Ok(Response::new(StatusCode::OK, pieces(ticks)))
    });
    let settings = ClientSettings { body_idle_timeout: Duration::from_secs(2), ..ClientSettings::default() };
    let pair = Pair::with(&backend, service, HostSettings::default(), settings).await;
    let response = pair.answer(get("/")).await;
    assert_eq!(digest(response.body).await.unwrap().bytes, 48);
}

/// The limit is for the sender, not for the reader: a paused song goes on later.
pub async fn a_reader_that_pauses_is_no_timeout<B: Backend>(backend: B) {
    let service = Service::http(|_| async { Ok(Response::new(StatusCode::OK, pieces(pattern(3_000_000, 50_000)))) });
    let settings = ClientSettings { body_idle_timeout: Duration::from_secs(3), ..ClientSettings::default() };
    let pair = Pair::with(&backend, service, HostSettings::default(), settings).await;
    let mut response = pair.answer(get("/")).await;
    let first = piece(&mut response.body).await.len();
    sleep(Duration::from_millis(3300)).await;
    let rest = soon("the rest", response.body.collect()).await.unwrap().to_bytes();
    assert_eq!(first + rest.len(), 3_000_000);
}

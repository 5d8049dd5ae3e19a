//! Whoever gives up is heard at the other end.

mod support;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use support::{Guard, Pair, Service, body_error, endless, get, ok, once, pattern, pieces, request, soon, take, text};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};
use tunnel_core::{Failure, FailureKind, Response, Transport};

/// The promise is one round trip; the rest is for busy machines.
async fn dropped(guard: oneshot::Receiver<()>) {
    timeout(Duration::from_secs(1), guard).await.expect("dropped within a second").expect("the guard tells");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_request_drops_the_handlers_future() {
    let ((guard, gone), (started, begun)) = (Guard::new(), oneshot::channel());
    let parts = once((guard, started));
    let pair = Pair::start(Service::http(move |_| {
        let (guard, started) = take(&parts);
        async move {
            let _kept = guard;
            started.send(()).ok();
            std::future::pending().await
        }
    }))
    .await;
    let client = pair.client.clone();
    let sending = tokio::select! {
        _ = client.send(get("/")) => panic!("no response is expected"),
        begun = soon("the handler", begun) => begun,
    };
    sending.unwrap();
    dropped(gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_response_body_drops_the_handlers_body() {
    // 10 bytes stay on the main connection, 2 MiB are on the bulk connection by then.
    for bytes in [10, 2 << 20] {
        let (guard, gone) = Guard::new();
        let guard = once(guard);
        let pair = Pair::start(Service::http(move |_| {
            let guard = take(&guard);
            async move {
                let first = pattern(bytes, 10_000);
                let rest = stream::once(async move {
                    let _kept = guard;
                    std::future::pending().await
                });
                Ok(Response::new(StatusCode::OK, pieces(first.chain(rest))))
            }
        }))
        .await;
        let mut response = pair.client.send(get("/")).await.unwrap();
        let mut read = 0;
        while read < bytes {
            read += soon("data", response.body.frame()).await.unwrap().unwrap().into_data().unwrap().len();
        }
        drop(response);
        dropped(gone).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_stalled_body_drops_the_handlers_body() {
    let (guard, gone) = Guard::new();
    let guard = once(guard);
    let pair = Pair::start(Service::http(move |_| {
        let body = pieces(endless(30_000, Arc::new(AtomicU64::new(0)), Some(take(&guard))));
        async move { Ok(Response::new(StatusCode::OK, body)) }
    }))
    .await;
    let mut response = pair.client.send(get("/")).await.unwrap();
    response.body.frame().await.unwrap().unwrap();
    sleep(Duration::from_millis(200)).await;
    drop(response);
    dropped(gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aborted_upload_is_an_error_of_the_handlers_body() {
    for bytes in [10, 1 << 20] {
        let ((seen, failure), (started, begun)) = (oneshot::channel(), oneshot::channel());
        let parts = once((seen, started));
        let pair = Pair::start(Service::http(move |mut request| {
            let (seen, started) = take(&parts);
            async move {
                request.body.frame().await.unwrap().unwrap();
                started.send(()).ok();
                // The handler's future ends with the request, so the body outlives it in a stream of its own.
                let watch = stream::once(async move {
                    seen.send(body_error(request.body).await.kind()).ok();
                    Ok(Bytes::from_static(b"seen"))
                });
                Ok(Response::new(StatusCode::OK, pieces(watch)))
            }
        }))
        .await;
        let (abort, aborted) = oneshot::channel();
        let broken = stream::once(async move {
            aborted.await.ok();
            Err(Failure::new(FailureKind::Aborted, "the uploader left"))
        });
        let upload = pieces(pattern(bytes, 10_000).chain(broken));
        let response = soon("a head", pair.client.send(request(Method::POST, "/", upload))).await.unwrap();
        soon("the handler", begun).await.unwrap();
        abort.send(()).unwrap();
        assert_eq!(soon("the error", failure).await.unwrap(), FailureKind::Aborted);
        assert_eq!(soon("the response", text(response.body)).await.unwrap(), "seen");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_may_ignore_the_request_body() {
    let pair = Pair::start(Service::http(|request| async move {
        drop(request.body);
        sleep(Duration::from_millis(20)).await;
        Ok(ok("not needed"))
    }))
    .await;
    let bodies = [
        pieces(endless(1000, Arc::new(AtomicU64::new(0)), None)),
        pieces(endless(100_000, Arc::new(AtomicU64::new(0)), None)),
        pieces(pattern(20 << 20, 65_536)),
        tunnel_core::Body::full(vec![1; 60_000]),
    ];
    for body in bodies {
        let response = soon("a response", pair.client.send(request(Method::POST, "/", body))).await.unwrap();
        assert_eq!(soon("the body", text(response.body)).await.unwrap(), "not needed");
    }
}

//! Whoever gives up is heard at the other end, and by nobody else.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};
use tunnel_core::{Body, FailureKind, Response};

use crate::{
    backend::Backend,
    body::{
        arrives, body_error, by_hand, digest, endless, failing, pattern, pattern_hash, pattern_piece, piece, pieces,
        silence, text,
    },
    pair::Pair,
    patience::{A_WHILE, soon, until},
    request::{get, number, path, post},
    service::{Guard, Once, Service, ok},
};

/// The promise is one round trip; the rest is for busy machines.
async fn dropped(guard: oneshot::Receiver<()>) {
    timeout(Duration::from_secs(4), guard).await.expect("dropped within seconds").expect("the guard tells");
}

/// A service that says when it is asked, and never answers; the guard goes with its future.
fn pending(guard: Guard) -> (Service, oneshot::Receiver<()>) {
    let (started, begun) = oneshot::channel();
    let parts = Once::new((guard, started));
    let service = Service::http(move |request| {
        let (guard, started) = parts.take();
        async move {
            let _kept = (guard, request);
            started.send(()).ok();
            std::future::pending().await
        }
    });
    (service, begun)
}

/// A request that nobody waits for any more costs the service nothing.
pub async fn dropping_the_request_drops_the_handlers_future<B: Backend>(backend: B) {
    let (guard, gone) = Guard::new();
    let (service, begun) = pending(guard);
    let pair = Pair::start(&backend, service).await;
    tokio::select! {
        biased;
        _ = pair.send(get("/")) => panic!("no response is expected"),
        begun = soon("the handler", begun) => begun.unwrap(),
    }
    dropped(gone).await;
}

/// Also in the middle of its upload, and the upload ends with it.
pub async fn dropping_the_request_in_its_upload_reaches_both_ends<B: Backend>(backend: B) {
    let ((guard, gone), (source, source_gone)) = (Guard::new(), Guard::new());
    let (service, begun) = pending(guard);
    let pair = Pair::start(&backend, service).await;
    let upload = pieces(endless(30_000, Arc::default(), Some(source)));
    tokio::select! {
        biased;
        result = pair.send(post("/", upload)) => panic!("no response is expected: {result:?}"),
        begun = soon("the handler", begun) => begun.unwrap(),
    }
    dropped(gone).await;
    dropped(source_gone).await;
}

/// A small body goes one way, a large one another.
pub async fn dropping_a_response_body_drops_the_handlers_body<B: Backend>(backend: B) {
    for bytes in [10, 2 << 20] {
        let (guard, gone) = Guard::new();
        let guard = Once::new(guard);
        let service = Service::http(move |_| {
            let guard = guard.take();
            async move { Ok(Response::new(StatusCode::OK, pieces(pattern(bytes, 10_000).chain(silence(guard))))) }
        });
        let pair = Pair::start(&backend, service).await;
        let mut response = pair.answer(get("/")).await;
        let mut read = 0;
        while read < bytes {
            read += piece(&mut response.body).await.len();
        }
        drop(response);
        dropped(gone).await;
    }
}

/// An abort passes what lies unread on the way.
pub async fn dropping_a_stalled_body_drops_the_handlers_body<B: Backend>(backend: B) {
    let (guard, gone) = Guard::new();
    let guard = Once::new(guard);
    let service = Service::http(move |_| {
        let body = pieces(endless(30_000, Arc::default(), Some(guard.take())));
        async move { Ok(Response::new(StatusCode::OK, body)) }
    });
    let pair = Pair::start(&backend, service).await;
    let mut response = pair.answer(get("/")).await;
    piece(&mut response.body).await;
    sleep(A_WHILE).await;
    drop(response);
    dropped(gone).await;
}

/// A response that nobody wants any more takes its upload along.
pub async fn dropping_a_response_ends_its_upload<B: Backend>(backend: B) {
    let (source, source_gone) = Guard::new();
    let service = Service::http(|request| async move {
        // Reads for ever, so that only the client's abort ends the upload.
        Ok(Response::new(StatusCode::OK, request.body))
    });
    let pair = Pair::start(&backend, service).await;
    let mut response = pair.answer(post("/", pieces(pattern(10, 10).chain(silence(source))))).await;
    piece(&mut response.body).await;
    drop(response);
    dropped(source_gone).await;
}

/// An upload that its maker breaks off is an error for the service, small or large.
pub async fn an_aborted_upload_is_an_error_of_the_handlers_body<B: Backend>(backend: B) {
    for bytes in [10, 1 << 20] {
        let ((seen, failure), (started, begun)) = (oneshot::channel(), oneshot::channel());
        let parts = Once::new((seen, started));
        let service = Service::http(move |mut request| {
            let (seen, started) = parts.take();
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
        });
        let pair = Pair::start(&backend, service).await;
        let (abort, aborted) = oneshot::channel::<()>();
        let broken = stream::once(async move {
            aborted.await.ok();
        })
        .flat_map(|()| failing(FailureKind::Aborted));
        let response = pair.answer(post("/", pieces(pattern(bytes, 10_000).chain(broken)))).await;
        soon("the handler", begun).await.unwrap();
        abort.send(()).unwrap();
        assert_eq!(soon("the error", failure).await.unwrap(), FailureKind::Aborted);
        assert_eq!(text(response.body).await.unwrap(), "seen");
    }
}

/// That is how a service says no to an upload before it has read it.
pub async fn a_handler_may_ignore_the_request_body<B: Backend>(backend: B) {
    let service = Service::http(|request| async move {
        drop(request.body);
        sleep(Duration::from_millis(20)).await;
        Ok(ok("not needed"))
    });
    let pair = Pair::start(&backend, service).await;
    let bodies = [
        pieces(endless(1000, Arc::default(), None)),
        pieces(endless(100_000, Arc::default(), None)),
        pieces(pattern(20 << 20, 65_536)),
        Body::full(vec![1; 60_000]),
        Body::full(vec![1; 1 << 20]),
    ];
    for body in bodies {
        let response = pair.answer(post("/", body)).await;
        assert_eq!(text(response.body).await.unwrap(), "not needed");
    }
}

/// A body that its service gives up in the middle ends on both sides: nobody reads on, nobody writes on.
pub async fn a_service_that_gives_up_a_body_is_heard<B: Backend>(backend: B) {
    let (sender, body) = by_hand();
    let body = Once::new(body);
    let service = Service::http(move |_| {
        let body = body.take();
        async { Ok(Response::new(StatusCode::OK, body)) }
    });
    let pair = Pair::start(&backend, service).await;
    let mut response = pair.answer(get("/")).await;
    sender.send(Ok(Bytes::from_static(b"begin"))).await.unwrap();
    arrives(&mut response.body, "begin").await;
    let failure = tunnel_core::Failure::new(FailureKind::ServiceFailed, "enough");
    sender.send(Err(failure)).await.unwrap();
    assert_eq!(body_error(response.body).await.kind(), FailureKind::ServiceFailed);
    soon("the end of the source", sender.closed()).await;
}

/// After the abort has arrived, the service's body is not asked for another piece.
pub async fn nothing_is_pulled_after_an_abort<B: Backend>(backend: B) {
    let (pulled, (guard, gone)) = (Arc::new(AtomicU64::new(0)), Guard::new());
    let (counter, guard) = (Arc::clone(&pulled), Once::new(guard));
    let service = Service::http(move |_| {
        let body = pieces(endless(1000, Arc::clone(&counter), Some(guard.take())));
        async move { Ok(Response::new(StatusCode::OK, body)) }
    });
    let pair = Pair::start(&backend, service).await;
    let mut response = pair.answer(get("/")).await;
    for _ in 0..20 {
        piece(&mut response.body).await;
    }
    drop(response);
    dropped(gone).await;
    let before = pulled.load(Relaxed);
    sleep(A_WHILE).await;
    assert_eq!(pulled.load(Relaxed), before);
}

/// What the handler gets after the client has left is an error, never one more piece or an end.
pub async fn nothing_is_delivered_after_an_abort<B: Backend>(backend: B) {
    let ((seen, failure), (started, begun)) = (oneshot::channel(), oneshot::channel());
    let parts = Once::new((seen, started));
    let readers = Arc::new(Mutex::new(JoinSet::new()));
    let service = Service::http(move |mut request| {
        let ((seen, started), readers) = (parts.take(), Arc::clone(&readers));
        async move {
            let first = request.body.frame().await.expect("a piece")?.into_data().unwrap();
            // What is dropped with the client's request is this future, not what it has set going.
            readers.lock().unwrap().spawn(async move {
                let mut bytes = first.len();
                let failure = loop {
                    match request.body.frame().await {
                        Some(Ok(frame)) => bytes += frame.into_data().unwrap().len(),
                        Some(Err(failure)) => break Some(failure.kind()),
                        None => break None,
                    }
                };
                seen.send((bytes, failure)).ok();
            });
            started.send(()).ok();
            std::future::pending().await
        }
    });
    let pair = Pair::start(&backend, service).await;
    let (sender, upload) = by_hand();
    sender.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
    tokio::select! {
        biased;
        result = pair.send(post("/", upload)) => panic!("no response is expected: {result:?}"),
        begun = soon("the handler", begun) => begun.unwrap(),
    }
    sender.send(Ok(Bytes::from_static(b"second"))).await.ok();
    let (bytes, failure) = soon("the end of the upload", failure).await.unwrap();
    assert_eq!(bytes, "first".len());
    assert!(failure.is_some(), "the upload ended well");
}

/// Repeating what somebody gave up would do it twice.
pub async fn an_aborted_request_is_not_repeated<B: Backend>(backend: B) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let service = Service::http(move |request| {
        let counter = Arc::clone(&counter);
        async move {
            if path(&request) == "ok" {
                return Ok(ok("ok"));
            }
            counter.fetch_add(1, Relaxed);
            std::future::pending().await
        }
    });
    let pair = Pair::start(&backend, service).await;
    for count in 1..=3 {
        tokio::select! {
            biased;
            _ = pair.send(get("/")) => panic!("no response is expected"),
            () = until("the handler", || asked.load(Relaxed) == count) => {}
        }
    }
    sleep(A_WHILE).await;
    assert_eq!(text(pair.answer(get("/ok")).await.body).await.unwrap(), "ok");
    assert_eq!(asked.load(Relaxed), 3);
}

/// Forty exchanges at once, of which every second is given up at some point.
pub async fn an_abort_disturbs_no_other_exchange<B: Backend>(backend: B) {
    let service = Service::http(|request| async move {
        let bytes = number(&request) * 20_000;
        sleep(Duration::from_millis(bytes as u64 % 7)).await;
        Ok(Response::new(StatusCode::OK, pieces(pattern(bytes, 7000))))
    });
    let pair = Pair::start(&backend, service).await;
    let mut exchanges = JoinSet::new();
    for number in 1..=40_usize {
        let transport = Arc::clone(&pair.transport);
        exchanges.spawn(async move {
            let sending = transport.send(get(&format!("/{number}")));
            if number.is_multiple_of(4) {
                timeout(Duration::from_millis(1), sending).await.ok();
                return;
            }
            let mut response = soon("a response", sending).await.expect("a response");
            if number.is_multiple_of(2) {
                piece(&mut response.body).await;
                return;
            }
            let read = digest(response.body).await.expect("a whole body");
            assert_eq!((read.bytes, read.hash), (number * 20_000, pattern_hash(number * 20_000)));
        });
    }
    while let Some(done) = soon("all exchanges", exchanges.join_next()).await {
        done.expect("no exchange is disturbed");
    }
}

/// A hundred requests that are given up leave no place taken.
pub async fn aborted_requests_give_their_places_back<B: Backend>(backend: B) {
    let service = Service::http(|request| async move {
        if path(&request) == "ok" {
            return Ok(ok("ok"));
        }
        Ok(Response::new(StatusCode::OK, pieces(pattern_endless())))
    });
    let settings = crate::backend::ClientSettings { max_requests: 4, ..Default::default() };
    let pair = Pair::with(&backend, service, crate::backend::HostSettings::default(), settings).await;
    for _ in 0..100 {
        drop(pair.answer(get("/")).await);
    }
    assert_eq!(text(pair.answer(get("/ok")).await.body).await.unwrap(), "ok");
}

fn pattern_endless() -> impl futures::Stream<Item = Result<Bytes, tunnel_core::Failure>> + Send + 'static {
    stream::repeat_with(|| Ok(pattern_piece(0, 1000)))
}

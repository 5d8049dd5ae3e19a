//! Many requests at once, and more than are allowed.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::future::join_all;
use http::StatusCode;
use tokio::{sync::Notify, time::sleep};
use tunnel_core::{FailureKind, Response};

use crate::{
    backend::{Backend, ClientSettings, HostSettings},
    body::{digest, pattern, pattern_hash, pattern_piece, pieces, text},
    pair::Pair,
    patience::{soon, until, waits},
    request::{get, number, path, post},
    service::{Service, ok},
};

/// All of them are in the handler at the same time.
pub async fn a_thousand_requests_are_in_flight_at_once<B: Backend>(backend: B) {
    const REQUESTS: usize = 1000;
    let inside = Arc::new((AtomicUsize::new(0), Notify::new()));
    let gate = Arc::clone(&inside);
    let service = Service::http(move |_| {
        let gate = Arc::clone(&gate);
        async move {
            let (count, all_inside) = &*gate;
            let waiting = all_inside.notified();
            if count.fetch_add(1, Relaxed) + 1 == REQUESTS {
                all_inside.notify_waiters();
            } else {
                waiting.await;
            }
            Ok(ok("ok"))
        }
    });
    let pair = Pair::start(&backend, service).await;
    let all = join_all((0..REQUESTS).map(|_| async { text(pair.answer(get("/")).await.body).await }));
    assert!(soon("all", all).await.into_iter().all(|body| body.as_deref() == Ok("ok")));
    assert_eq!(inside.0.load(Relaxed), REQUESTS);
}

/// Each answer belongs to its request, whatever the order, the size and the way it takes.
pub async fn answers_are_not_mixed_up<B: Backend>(backend: B) {
    let service = Service::http(|request| async move {
        let number = number(&request);
        let upload = digest(request.body).await?;
        // Later requests are answered earlier, more or less.
        sleep(Duration::from_millis((number as u64 * 37) % 50)).await;
        let mut response = Response::new(StatusCode::OK, pieces(pattern(answer_bytes(number), 4096)));
        response.headers.insert("x-number", http::HeaderValue::from(number));
        response.headers.insert("x-upload", http::HeaderValue::from(upload.bytes));
        Ok(response)
    });
    let pair = Pair::start(&backend, service).await;
    let exchange = async |number: usize| {
        let upload = tunnel_core::Body::full(pattern_piece(0, number * 100));
        let response = pair.answer(post(&format!("/{number}"), upload)).await;
        assert_eq!(response.headers["x-number"], number.to_string());
        assert_eq!(response.headers["x-upload"], (number * 100).to_string());
        let read = digest(response.body).await.unwrap();
        assert_eq!((read.bytes, read.hash), (answer_bytes(number), pattern_hash(answer_bytes(number))), "{number}");
    };
    join_all((0..100).map(exchange)).await;
}

/// Small ones and, seldom, one that is large enough to take another way.
const fn answer_bytes(number: usize) -> usize {
    if number.is_multiple_of(20) { 300_000 } else { number * 10 }
}

/// The quick one does not stand in line behind the slow one.
pub async fn slow_answers_do_not_hold_back_quick_ones<B: Backend>(backend: B) {
    let service = Service::http(|request| async move {
        if path(&request) == "slow" {
            std::future::pending::<()>().await;
        }
        Ok(ok("quick"))
    });
    let pair = Pair::start(&backend, service).await;
    let mut slow: Vec<_> = (0..20).map(|_| Box::pin(pair.transport.send(get("/slow")))).collect();
    for sending in &mut slow {
        assert!(futures::poll!(sending.as_mut()).is_pending());
    }
    for _ in 0..20 {
        assert_eq!(text(pair.answer(get("/quick")).await.body).await.unwrap(), "quick");
    }
}

/// What has been answered has happened before what is sent after it.
pub async fn requests_after_an_answer_are_handled_after_it<B: Backend>(backend: B) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let handled = Arc::clone(&log);
    let service = Service::http(move |request| {
        handled.lock().unwrap().push(number(&request));
        async { Ok(ok("ok")) }
    });
    let pair = Pair::start(&backend, service).await;
    for number in 0..200 {
        drop(pair.answer(get(&format!("/{number}"))).await);
    }
    assert_eq!(*log.lock().unwrap(), (0..200).collect::<Vec<_>>());
}

/// It was never sent, so it comes back whole.
pub async fn a_request_without_a_place_is_overloaded_and_comes_back<B: Backend>(backend: B) {
    let settings = ClientSettings {
        max_requests: 4,
        queue_timeout: Duration::from_millis(100),
        head_timeout: Duration::from_secs(2),
        ..ClientSettings::default()
    };
    let service = Service::http(|_| std::future::pending());
    let pair = Pair::with(&backend, service, HostSettings::default(), settings).await;
    let errors = join_all((0..10).map(|_| pair.send(get("/")))).await;
    let errors: Vec<_> = errors.into_iter().map(Result::unwrap_err).collect();
    let (overloaded, sent): (Vec<_>, Vec<_>) =
        errors.into_iter().partition(|error| error.failure().kind() == FailureKind::Overloaded);
    assert_eq!((overloaded.len(), sent.len()), (6, 4));
    assert!(sent.iter().all(|error| error.failure().kind() == FailureKind::Timeout));
    for error in overloaded {
        assert!(!error.may_have_been_delivered());
        assert!(error.into_request().is_some());
    }
}

/// Waiting in line is not failing.
pub async fn a_waiting_request_gets_the_place_that_becomes_free<B: Backend>(backend: B) {
    let settings = ClientSettings { max_requests: 1, ..ClientSettings::default() };
    let release = Arc::new(Notify::new());
    let gate = Arc::clone(&release);
    let service = Service::http(move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            Ok(ok("ok"))
        }
    });
    let pair = Pair::with(&backend, service, HostSettings::default(), settings).await;
    let mut first = Box::pin(pair.send(get("/")));
    assert!(waits(&mut first).await);
    let mut second = Box::pin(pair.send(get("/")));
    assert!(futures::poll!(second.as_mut()).is_pending());
    release.notify_one();
    // The place is free once the response has been read.
    assert_eq!(text(first.await.unwrap().body).await.unwrap(), "ok");
    release.notify_one();
    assert_eq!(text(second.await.unwrap().body).await.unwrap(), "ok");
}

/// A response is in flight until its body has ended: until then its place is taken.
pub async fn a_body_under_way_keeps_its_place<B: Backend>(backend: B) {
    let settings =
        ClientSettings { max_requests: 1, queue_timeout: Duration::from_millis(200), ..ClientSettings::default() };
    let service = Service::http(|request| async move {
        let body = if path(&request) == "long" { pieces(futures::stream::pending()) } else { pieces(pattern(10, 10)) };
        Ok(Response::new(StatusCode::OK, body))
    });
    let pair = Pair::with(&backend, service, HostSettings::default(), settings).await;
    let long = pair.answer(get("/long")).await;
    assert_eq!(pair.send(get("/")).await.unwrap_err().failure().kind(), FailureKind::Overloaded);
    drop(long);
    let response = soon("the free place", async {
        loop {
            if let Ok(response) = pair.transport.send(get("/")).await {
                return response;
            }
        }
    });
    assert_eq!(digest(response.await.body).await.unwrap().bytes, 10);
}

/// The client learns it from the host.
pub async fn the_hosts_lower_limit_makes_requests_wait_and_not_fail<B: Backend>(backend: B) {
    let inside = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let count = Arc::clone(&inside);
    let service = Service::http(move |_| {
        let count = Arc::clone(&count);
        async move {
            let now = count.0.fetch_add(1, Relaxed) + 1;
            count.1.fetch_max(now, Relaxed);
            tokio::task::yield_now().await;
            count.0.fetch_sub(1, Relaxed);
            Ok(ok("ok"))
        }
    });
    let host = HostSettings { max_requests: 4, ..HostSettings::default() };
    let client = ClientSettings { queue_timeout: Duration::from_hours(1), ..ClientSettings::default() };
    let pair = Pair::with(&backend, service, host, client).await;
    let all = join_all((0..1000).map(|_| async { text(pair.transport.send(get("/")).await.unwrap().body).await }));
    assert!(all.await.into_iter().all(|body| body.as_deref() == Ok("ok")));
    until("the last one", || inside.0.load(Relaxed) == 0).await;
    assert!(inside.1.load(Relaxed) <= 4, "{} at once", inside.1.load(Relaxed));
}

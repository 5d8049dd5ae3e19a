//! Many requests at once, and more than are allowed.

mod support;

use std::time::Duration;

use futures::future::join_all;
use support::{Pair, Service, get, ok, soon, text};
use tokio::time::sleep;
use tunnel_core::{FailureKind, Transport};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_in_flight_all_complete() {
    let pair = Pair::start(Service::http(|_| async {
        sleep(Duration::from_millis(300)).await;
        Ok(ok("ok"))
    }))
    .await;
    let all = join_all((0..1000).map(|_| async { text(pair.client.send(get("/")).await.unwrap().body).await }));
    assert!(soon("all", all).await.into_iter().all(|body| body.as_deref() == Ok("ok")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_a_place_is_overloaded_and_comes_back() {
    let service = Service::http(|_| std::future::pending());
    let pair = Pair::with(
        service,
        |_| {},
        |config| {
            config.max_requests = 4;
            config.queue_timeout = Duration::from_millis(50);
            config.head_timeout = Duration::from_secs(1);
        },
    )
    .await;
    let errors = soon("all", join_all((0..10).map(|_| pair.client.send(get("/"))))).await;
    let errors: Vec<_> = errors.into_iter().map(Result::unwrap_err).collect();
    let overloaded: Vec<_> =
        errors.into_iter().filter(|error| error.failure().kind() == FailureKind::Overloaded).collect();
    assert_eq!(overloaded.len(), 6);
    assert!(overloaded.into_iter().all(|error| error.into_request().is_some()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hosts_lower_limit_makes_requests_wait_and_not_fail() {
    let pair = Pair::with(Service::hello(), |config| config.max_requests = 4, |_| {}).await;
    let all = join_all((0..2000).map(|_| async { text(pair.client.send(get("/")).await.unwrap().body).await }));
    assert!(soon("all", all).await.into_iter().all(|body| body.as_deref() == Ok("ok")));
}

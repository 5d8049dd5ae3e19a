//! Comparing the transports.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::time::{Instant, sleep};
use tunnel_core::{Body, FailureKind, Response, Transport};
use tunnel_router::{Mode, RouterConfig, ShadowCounts};

use super::{
    ask,
    fake::{self, Act, Fake, Piece, get, pieces, request},
    over, pair,
};

fn all() -> RouterConfig {
    RouterConfig { shadow_percent: 100.0, ..RouterConfig::default() }
}

fn answers(fake: &Fake, body: &'static str) {
    fake.on(move |_| {
        let pieces = [Piece::Data(Bytes::from_static(body.as_bytes()))];
        Act::Respond(Response::new(StatusCode::OK, fake::pieces(pieces)))
    });
}

async fn counts(router: &tunnel_router::Router) -> ShadowCounts {
    sleep(Duration::from_secs(40)).await;
    router.status().counts.shadow
}

#[tokio::test(start_paused = true)]
async fn equal_answers_match_and_others_are_told() {
    let (p2p, legacy, router) = pair(all()).await;
    answers(&p2p, "same");
    answers(&legacy, "same");
    assert_eq!(ask(&router, get("/a?secret=1")).await.transport, "p2p");
    let expected = ShadowCounts { matched: 1, bytes: 4, ..ShadowCounts::default() };
    assert_eq!(counts(&router).await, expected);
    assert_eq!(legacy.seen()[0].target, "/a?secret=1");

    answers(&legacy, "not");
    ask(&router, get("/a?secret=1")).await;
    assert_eq!(counts(&router).await.mismatched, 1);
    let mismatch = &router.mismatches()[0];
    assert_eq!((mismatch.path.as_str(), mismatch.transport), ("/a", "p2p"));
    assert_eq!(mismatch.differences, ["body of 4 and 3 bytes"]);
}

#[tokio::test(start_paused = true)]
async fn answers_in_memory_and_without_a_body_are_compared_too() {
    let (p2p, legacy, router) = pair(all()).await;
    ask(&router, get("/a")).await;
    assert_eq!(counts(&router).await.mismatched, 1, "the fakes answer with their names");
    for fake in [&p2p, &legacy] {
        fake.on(|_| Act::Respond(Response::new(StatusCode::NO_CONTENT, Body::empty())));
    }
    ask(&router, request(1, Method::HEAD, "/a", Body::empty())).await;
    assert_eq!(counts(&router).await.matched, 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_or_failing_other_transport_is_never_felt() {
    let (p2p, legacy, router) = pair(all()).await;
    answers(&p2p, "fast");
    legacy.on(|_| Act::Hang);
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(&ask(&router, get("/a")).await.body[..], b"fast");
    }
    assert_eq!(begun.elapsed().as_millis(), 0);
    assert!(legacy.seen().len() <= 2, "two at once");
    sleep(Duration::from_mins(5)).await;
    let shadow = router.status().counts.shadow;
    assert!(shadow.failed >= 16 && shadow.skipped >= 80, "{shadow:?}");
    assert_eq!(shadow.failed + shadow.skipped, 100);
    assert_eq!(router.status().p2p.unwrap().state.name(), "healthy");
}

#[tokio::test(start_paused = true)]
async fn only_safe_requests_with_the_right_to_both_transports_are_repeated() {
    let (p2p, legacy, router) = pair(all()).await;
    answers(&p2p, "x");
    answers(&legacy, "x");
    ask(&router, request(1, Method::POST, "/a", Body::empty())).await;
    ask(&router, request(1, Method::GET, "/a", Body::full("with a body"))).await;
    router.set_mode(Some(Mode::P2pOnly));
    ask(&router, get("/a")).await;
    sleep(Duration::from_secs(1)).await;
    assert!(legacy.seen().is_empty());
    let asked = p2p.seen().len();
    router.set_mode(Some(Mode::Legacy));
    ask(&router, get("/a")).await;
    router.kill_switch(true);
    ask(&router, get("/a")).await;
    assert_eq!(counts(&router).await, ShadowCounts::default());
    assert_eq!(p2p.seen().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn clients_outside_the_rollout_give_evidence_about_p2p() {
    let (p2p, legacy, router) = pair(RouterConfig { rollout_percent: 0.0, ..all() }).await;
    answers(&p2p, "x");
    answers(&legacy, "x");
    assert_eq!(ask(&router, get("/a")).await.reason, "rollout");
    assert_eq!(counts(&router).await.matched, 1);
    assert_eq!(p2p.seen().len(), 1);
    p2p.is(fake::down());
    ask(&router, get("/a")).await;
    assert_eq!(counts(&router).await.skipped, 1, "p2p is down");
}

#[tokio::test(start_paused = true)]
async fn long_coded_and_abandoned_answers_are_skipped() {
    let config = RouterConfig { shadow_bytes_max: 10, ..all() };
    let (p2p, legacy) = (Fake::p2p(), Fake::legacy());
    let router = over(&p2p, &legacy, config).await;
    answers(&p2p, "longer than ten");
    ask(&router, get("/a")).await;
    p2p.on(|_| {
        let mut response = Response::new(StatusCode::OK, Body::full("zip"));
        response.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        Act::Respond(response)
    });
    ask(&router, get("/a")).await;
    p2p.on(|_| Act::Respond(Response::new(StatusCode::OK, pieces([Piece::Silence]))));
    drop(router.send(get("/a")).await.unwrap());
    p2p.on(|_| Act::Respond(Response::new(StatusCode::OK, pieces([Piece::Fail(FailureKind::ServiceFailed)]))));
    ask(&router, get("/a")).await;
    assert_eq!(counts(&router).await, ShadowCounts { skipped: 4, ..ShadowCounts::default() });
    assert!(legacy.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_budget_holds() {
    let (p2p, legacy, router) = pair(RouterConfig { shadow_bytes_per_minute: 10, ..all() }).await;
    answers(&p2p, "four");
    answers(&legacy, "four");
    for _ in 0..4 {
        ask(&router, get("/a")).await;
        sleep(Duration::from_secs(1)).await;
    }
    let shadow = router.status().counts.shadow;
    assert_eq!((shadow.matched, shadow.skipped, shadow.bytes), (2, 2, 8));
}

//! Slow answers of p2p.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::Instant;
use tunnel_core::{Body, FailureKind, Response};
use tunnel_router::RouterConfig;

use super::{
    ask,
    fake::{self, Act, get, post},
    pair,
};

fn late(millis: u64, act: Act) -> Act {
    Act::Late(Duration::from_millis(millis), Box::new(act))
}

#[tokio::test(start_paused = true)]
async fn a_slow_get_is_also_sent_over_legacy_and_the_first_head_wins() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| Act::Hang);
    let begun = Instant::now();
    let got = ask(&router, get("/a")).await;
    assert_eq!((got.transport, got.reason), ("legacy", "hedged"));
    assert_eq!(begun.elapsed().as_millis(), 1000, "nothing is known yet: the longest wait");
    assert_eq!(p2p.with(|state| state.dropped), 1, "the other one is aborted");
    assert_eq!(legacy.seen().len(), 1);
    let counts = router.status().counts;
    assert_eq!((counts.hedges_started, counts.hedges_won), (1, 1));
    assert!(router.decisions()[0].hedged);
}

#[tokio::test(start_paused = true)]
async fn p2p_wins_if_it_answers_first() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| late(1500, Act::Respond(fake::text("p2p"))));
    legacy.on(|_| late(1000, Act::Respond(fake::text("legacy"))));
    let got = ask(&router, get("/a")).await;
    assert_eq!((got.transport, got.reason), ("p2p", "p2p-healthy"));
    assert_eq!(legacy.with(|state| state.dropped), 1);
    let counts = router.status().counts;
    assert_eq!((counts.hedges_started, counts.hedges_won), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn starts_after_the_95th_percentile_but_not_before_the_shortest_wait() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| late(300, Act::Respond(fake::text("p2p"))));
    for _ in 0..20 {
        ask(&router, post("{}")).await;
    }
    p2p.on(|_| Act::Hang);
    let begun = Instant::now();
    assert_eq!(ask(&router, get("/a")).await.reason, "hedged");
    assert_eq!(begun.elapsed().as_millis(), 300);

    p2p.on(|_| Act::Respond(fake::text("p2p")));
    for _ in 0..64 {
        ask(&router, post("{}")).await;
    }
    p2p.on(|_| Act::Hang);
    let begun = Instant::now();
    assert_eq!(ask(&router, get("/a")).await.reason, "hedged");
    assert_eq!(begun.elapsed().as_millis(), 100);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_safe_is_never_hedged() {
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let (p2p, legacy, router) = pair(RouterConfig::default()).await;
        p2p.on(|_| late(5000, Act::Respond(fake::text("p2p"))));
        assert_eq!(ask(&router, fake::request(1, method, "/a", Body::empty())).await.transport, "p2p");
        assert!(legacy.seen().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn is_not_hedged_if_legacy_cannot_or_may_not() {
    let slow = |_: &fake::Seen| late(3000, Act::Respond(fake::text("p2p")));
    let off = RouterConfig { hedge: false, ..RouterConfig::default() };
    let (p2p, legacy, router) = pair(off).await;
    p2p.on(slow);
    assert_eq!(ask(&router, get("/a")).await.transport, "p2p");
    router.reload(RouterConfig::default()).unwrap();
    legacy.is(fake::down());
    assert_eq!(ask(&router, get("/a")).await.transport, "p2p");
    legacy.is(fake::healthy()).with(|state| state.refuses = Some(fake::failure(FailureKind::Unsupported)));
    assert_eq!(ask(&router, get("/a")).await.transport, "p2p");
    assert!(legacy.seen().is_empty());
    assert_eq!(router.status().counts.hedges_started, 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_tunnel_server_does_not_win_against_p2p() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| late(3000, Act::Respond(fake::text("p2p"))));
    legacy.on(|_| Act::Respond(Response::new(StatusCode::BAD_GATEWAY, Body::empty())));
    assert_eq!(&ask(&router, get("/a")).await.body[..], b"p2p");
    p2p.on(|_| late(3000, Act::Undelivered(FailureKind::Unreachable)));
    let response = tunnel_core::Transport::send(&router, get("/a")).await.unwrap();
    assert_eq!(response.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test(start_paused = true)]
async fn either_may_fail_while_both_run() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| late(1500, Act::Unknown(FailureKind::ConnectionLost)));
    legacy.on(|_| late(2000, Act::Respond(fake::text("legacy"))));
    assert_eq!(ask(&router, get("/a")).await.reason, "p2p-failed");
    p2p.on(|_| late(3000, Act::Respond(fake::text("p2p"))));
    legacy.on(|_| Act::Unknown(FailureKind::Timeout));
    assert_eq!(ask(&router, get("/a")).await.reason, "p2p-healthy");
    p2p.on(|_| late(3000, Act::Unknown(FailureKind::ConnectionLost)));
    let error = tunnel_core::Transport::send(&router, get("/a")).await.unwrap_err();
    assert!(error.failure().message().contains("neither"), "{error}");
    assert_eq!((legacy.seen().len(), p2p.seen().len()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_p2p_that_never_answers_is_down_although_legacy_always_helps() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| Act::Hang).with(|state| state.probe = None);
    assert_eq!(ask(&router, get("/a")).await.reason, "hedged");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ask(&router, get("/a")).await.reason, "p2p-down");
}

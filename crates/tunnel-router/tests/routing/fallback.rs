//! What happens when a transport fails before the head.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::time::Instant;
use tunnel_core::{Body, FailureKind, Health, Transport};
use tunnel_router::{Outcome, RouterConfig};

use super::{
    ask,
    fake::{self, Act, Piece, get, pieces, post, request, sized},
    pair,
};

#[tokio::test(start_paused = true)]
async fn a_post_that_was_not_delivered_goes_over_legacy() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| Act::Undelivered(FailureKind::Unreachable));
    let got = ask(&router, post("{\"a\":1}")).await;
    assert_eq!((got.transport, got.reason), ("legacy", "p2p-failed"));
    assert_eq!(legacy.seen()[0].body, "{\"a\":1}");
    assert_eq!(router.status().counts.fallbacks, 1);
}

#[tokio::test(start_paused = true)]
async fn a_short_streamed_body_is_kept_for_legacy() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| Act::Undelivered(FailureKind::ConnectionLost));
    let data = |text: &'static str| Piece::Data(Bytes::from_static(text.as_bytes()));
    let body = sized(6, [data("abc"), Piece::Pause(Duration::from_millis(10)), data("def")]);
    let got = ask(&router, request(1, Method::PUT, "/a", body)).await;
    assert_eq!(got.reason, "p2p-failed");
    assert_eq!(legacy.seen()[0].body, "abcdef");
}

#[tokio::test(start_paused = true)]
async fn a_post_that_may_have_been_delivered_is_not_repeated() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| Act::Unknown(FailureKind::ConnectionLost));
    let error = router.send(post("{}")).await.unwrap_err();
    assert!(error.may_have_been_delivered());
    assert!(error.failure().message().contains("unknown"), "{error}");
    assert!(legacy.seen().is_empty());
    assert_eq!(router.decisions()[0].outcome, Outcome::Unknown(FailureKind::ConnectionLost));
}

#[tokio::test(start_paused = true)]
async fn a_get_that_may_have_been_delivered_is_repeated_over_legacy() {
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
        p2p.on(|_| Act::Unknown(FailureKind::ConnectionLost));
        assert_eq!(ask(&router, request(1, method, "/a", Body::empty())).await.reason, "p2p-failed");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_service_does_is_no_reason_to_change_the_transport() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    for kind in [FailureKind::ServiceUnreachable, FailureKind::ServiceTimeout, FailureKind::BadRequest] {
        for _ in 0..4 {
            p2p.on(move |_| Act::Undelivered(kind));
            assert_eq!(router.send(get("/a")).await.unwrap_err().failure().kind(), kind);
        }
    }
    assert!(legacy.seen().is_empty());
    assert_eq!(router.status().p2p.unwrap().state.name(), "healthy");
}

#[tokio::test(start_paused = true)]
async fn three_failures_in_a_row_take_p2p_down_and_two_good_probes_bring_it_back() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| Act::Undelivered(FailureKind::Unreachable)).probes(Err(FailureKind::Timeout));
    for _ in 0..2 {
        assert_eq!(ask(&router, post("{}")).await.reason, "p2p-failed");
        assert_eq!(router.status().p2p.unwrap().state.name(), "suspect");
    }
    assert_eq!(ask(&router, post("{}")).await.reason, "p2p-failed");
    assert_eq!(router.status().p2p.unwrap().state.name(), "down");
    assert_eq!(ask(&router, post("{}")).await.reason, "p2p-down");
    assert_eq!(p2p.seen().len(), 3);
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(ask(&router, post("{}")).await.reason, "p2p-down");
    p2p.on(|_| Act::Respond(fake::text("back"))).probes(Ok(()));
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(ask(&router, post("{}")).await.reason, "p2p-healthy");
    assert!(router.status().counts.probes_succeeded >= 2);
    assert_eq!(router.status().counts.switches, 3);
}

#[tokio::test(start_paused = true)]
async fn both_down_is_one_failure_with_both_reasons() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    legacy.on(|_| Act::Undelivered(FailureKind::Timeout));
    p2p.on(|_| Act::Undelivered(FailureKind::ConnectionLost));
    let error = router.send(post("{}")).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::Timeout);
    let message = error.failure().message().to_owned();
    assert!(message.contains("scripted timeout") && message.contains("scripted connection-lost"), "{message}");
    assert!(error.into_request().is_some(), "neither has delivered it");

    p2p.is(fake::down());
    let error = router.send(get("/a")).await.unwrap_err();
    assert!(error.failure().message().contains("no way to the peer"), "{error}");
    assert_eq!(p2p.seen().len(), 1, "p2p that is down is not tried");
}

#[tokio::test(start_paused = true)]
async fn what_legacy_cannot_carry_goes_over_p2p_unless_that_is_down() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    legacy.with(|state| state.refuses = Some(fake::failure(FailureKind::Unsupported)));
    p2p.is(Health::Probing);
    assert_eq!(ask(&router, get("/a")).await.reason, "not-carried");
    p2p.is(fake::down());
    let error = router.send(get("/a")).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::Unsupported);
    let message = error.failure().message();
    assert!(message.contains("scripted unsupported") && message.contains("no way to the peer"), "{message}");
    assert!(legacy.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_body_too_long_for_legacy_goes_over_p2p_or_is_refused() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    let long = || pieces((0..3).map(|_| Piece::Data(Bytes::from(vec![7; 400]))));
    let post = |body| request(1, Method::POST, "/a", body);
    p2p.is(Health::Probing);
    assert_eq!(ask(&router, post(long())).await.reason, "not-carried");
    assert_eq!(p2p.seen()[0].body, vec![7; 1200], "not a byte of it is lost");
    p2p.is(fake::down());
    let error = router.send(post(long())).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::TooLarge);
    let declared = sized(1001, [Piece::Silence]);
    assert_eq!(router.send(post(declared)).await.unwrap_err().failure().kind(), FailureKind::TooLarge);
    assert!(legacy.seen().is_empty());
    p2p.is(fake::down());
    let short = pieces([Piece::Data(Bytes::from_static(b"short"))]);
    assert_eq!(ask(&router, post(short)).await.transport, "legacy");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_is_the_callers_failure() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    let error = router.send(request(1, Method::POST, "/a", sized(9, [Piece::Fail(FailureKind::Aborted)]))).await;
    assert_eq!(error.unwrap_err().failure().kind(), FailureKind::Aborted);
    let begun = Instant::now();
    let error = router.send(request(1, Method::POST, "/a", sized(9, [Piece::Silence]))).await;
    assert_eq!(error.unwrap_err().failure().kind(), FailureKind::Timeout);
    assert_eq!(begun.elapsed().as_secs(), 30);
    assert!(p2p.seen().is_empty() && legacy.seen().is_empty());
    assert_eq!(router.status().p2p.unwrap().state.name(), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_silent_p2p_is_noticed_within_the_stall_timeout() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    legacy.with(|state| state.refuses = None);
    p2p.on(|_| Act::Hang).with(|state| state.probe = None);
    let begun = Instant::now();
    let error = router.send(post("{}")).await.unwrap_err();
    assert!(error.may_have_been_delivered());
    assert_eq!(begun.elapsed().as_millis(), 4500);
    assert_eq!(router.status().p2p.unwrap().cause.name(), "stalled");
    assert_eq!(ask(&router, post("{}")).await.reason, "p2p-down");
}

#[tokio::test(start_paused = true)]
async fn a_slow_service_is_not_taken_for_a_dead_p2p() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| Act::Late(Duration::from_secs(70), Box::new(Act::Respond(fake::text("done")))));
    let got = ask(&router, post("{}")).await;
    assert_eq!((got.transport, &got.body[..]), ("p2p", &b"done"[..]));
    let probes = p2p.with(|state| state.probes);
    assert!((3..=5).contains(&probes), "{probes} probes: each good one doubles the wait");
}

#[tokio::test(start_paused = true)]
async fn a_legacy_that_fails_gives_way_to_p2p_that_may_work() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    p2p.is(Health::Probing);
    legacy.on(|_| Act::Undelivered(FailureKind::Unreachable));
    assert_eq!(ask(&router, post("{}")).await.reason, "legacy-failed");
    legacy.on(|_| Act::Unknown(FailureKind::Timeout));
    assert!(router.send(post("{}")).await.unwrap_err().may_have_been_delivered());
    assert_eq!(ask(&router, get("/a")).await.reason, "legacy-failed");
    assert_eq!(p2p.seen().len(), 2);
}

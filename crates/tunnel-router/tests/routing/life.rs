//! Requests over time: uploads, recoveries, many at once, and those that are given up.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};
use tunnel_core::{Body, FailureKind, Response, Transport};
use tunnel_router::{Outcome, Router, RouterConfig};

use super::{
    ask,
    fake::{self, Act, Fake, Piece, Seen, get, pieces, post, request},
    file::content,
    pair,
};

#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_progress() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    p2p.with(|state| state.probe = None);
    let piece = |_| [Piece::Pause(Duration::from_secs(2)), Piece::Data(Bytes::from_static(b"x"))];
    let body = pieces((0..30).flat_map(piece));
    let got = ask(&router, request(1, Method::PUT, "/a", body)).await;
    assert_eq!(got.transport, "p2p");
    assert_eq!(p2p.with(|state| state.probes), 0, "nobody had a reason to probe");
    assert_eq!(router.status().counts.bytes_sent.p2p, 30);
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_recovers_is_used_again_within_seconds() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    p2p.is(fake::down());
    assert_eq!(ask(&router, get("/a")).await.reason, "p2p-down");
    sleep(Duration::from_mins(10)).await;
    p2p.is(fake::healthy());
    sleep(Duration::from_secs(2)).await;
    assert_eq!(ask(&router, get("/a")).await.reason, "p2p-healthy");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_network_is_probed_at_once() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| Act::Hang).with(|state| state.probe = None);
    router.send(post("{}")).await.unwrap_err();
    sleep(Duration::from_mins(10)).await;
    p2p.probes(Ok(())).on(|_| Act::Respond(fake::text("back")));
    sleep(Duration::from_secs(3)).await;
    let next = router.status().p2p.unwrap().next_probe_ms;
    router.network_changed();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(ask(&router, post("{}")).await.reason, "p2p-healthy", "else in {next:?} ms");
}

#[tokio::test(start_paused = true)]
async fn a_far_peer_is_not_taken_for_a_dead_one() {
    for rtt in [600, 1200] {
        let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
        let rtt = Duration::from_millis(rtt);
        // A probe that was lost once takes a second and a round trip more.
        let lost = rtt * 2 + Duration::from_millis(100);
        p2p.with(|state| (state.rtt, state.probe) = (Some(rtt), Some((lost, Ok(())))));
        p2p.on(|_| Act::Late(Duration::from_secs(20), Box::new(Act::Respond(fake::text("done")))));
        assert_eq!(ask(&router, post("{}")).await.transport, "p2p");
        assert!(p2p.with(|state| state.probes) > 0);
        assert_eq!(router.status().p2p.unwrap().state.name(), "healthy");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_stands_in_a_queue_behind_a_body_that_moves_proves_nothing() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    let moving = |_| [Piece::Pause(Duration::from_millis(500)), Piece::Data(Bytes::from_static(b"x"))];
    p2p.with(|state| state.probe = None);
    p2p.on(move |seen| match seen.method {
        Method::GET => Act::Respond(Response::new(StatusCode::OK, pieces((0..60).flat_map(moving)))),
        _ => Act::Late(Duration::from_secs(20), Box::new(Act::Respond(fake::text("done")))),
    });
    let (body, answer) = tokio::join!(ask(&router, get("/a")), ask(&router, post("{}")));
    assert_eq!((body.transport, body.body.len(), answer.transport), ("p2p", 60, "p2p"));
    assert_eq!(router.status().p2p.unwrap().state.name(), "healthy");
}

#[tokio::test(start_paused = true)]
async fn what_went_with_a_lost_connection_goes_over_the_next_one_if_that_is_harmless() {
    let p2p = Fake::p2p();
    let router = Router::start(Some(p2p.arc()), None, RouterConfig::default()).unwrap();
    let once = |act: fn(FailureKind) -> Act, kind| {
        let mut first = true;
        move |_: &Seen| if std::mem::take(&mut first) { act(kind) } else { Act::Respond(fake::text("again")) }
    };
    p2p.on(once(Act::Unknown, FailureKind::ConnectionLost));
    assert_eq!(&ask(&router, get("/a")).await.body[..], b"again");
    p2p.on(once(Act::Undelivered, FailureKind::ConnectionLost));
    assert_eq!(&ask(&router, post("{}")).await.body[..], b"again");
    p2p.on(once(Act::Unknown, FailureKind::ConnectionLost));
    assert!(router.send(post("{}")).await.unwrap_err().may_have_been_delivered());
    p2p.on(once(Act::Undelivered, FailureKind::Unreachable));
    assert!(!router.send(get("/a")).await.unwrap_err().may_have_been_delivered());
    assert_eq!(p2p.seen().len(), 6);
    p2p.on(|_| Act::Unknown(FailureKind::ConnectionLost));
    assert!(router.send(get("/a")).await.unwrap_err().may_have_been_delivered());
    assert_eq!(p2p.seen().len(), 8, "once");
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_share_one_probe() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| Act::Respond(Response::new(StatusCode::OK, pieces([Piece::Silence]))));
    let mut bodies = Vec::new();
    for _ in 0..500 {
        bodies.push(router.send(post("{}")).await.unwrap().body);
    }
    let waiting = futures::future::join_all(bodies.iter_mut().map(BodyExt::frame));
    tokio::time::timeout(Duration::from_secs(4), waiting).await.unwrap_err();
    assert_eq!(p2p.with(|state| state.probes), 1);
    p2p.with(|state| state.probe = None);
    let ends = futures::future::join_all(bodies.iter_mut().map(BodyExt::frame)).await;
    assert!(ends.into_iter().all(|end| end.unwrap().unwrap_err().kind() == FailureKind::Timeout));
    assert_eq!(p2p.with(|state| state.probes), 2);
    assert_eq!(router.status().counts.switches, 2);
    assert_eq!(router.status().counts.cut.p2p, 500);
}

#[tokio::test(start_paused = true)]
async fn what_the_caller_gives_up_is_told_apart_from_what_fails() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| {
        Act::Respond(Response::new(StatusCode::OK, pieces([Piece::Data(Bytes::from_static(b"x")), Piece::Silence])))
    });
    let mut body = router.send(get("/body")).await.unwrap().body;
    body.frame().await.unwrap().unwrap();
    drop(body);
    p2p.on(|_| Act::Hang);
    tokio::time::timeout(Duration::from_millis(10), router.send(post("{}"))).await.unwrap_err();
    let decisions = router.decisions();
    let [head, body] = &decisions[..] else { panic!("{decisions:?}") };
    assert_eq!((head.outcome, head.status), (Outcome::Abandoned, None));
    assert_eq!((body.outcome, body.status), (Outcome::Abandoned, Some(200)));
    let counts = router.status().counts;
    assert_eq!((counts.abandoned, counts.cut.p2p, counts.failed), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_last_256_decisions_are_kept_without_queries() {
    let (_p2p, _legacy, router) = pair(RouterConfig::default()).await;
    for id in 0..300 {
        ask(&router, request(id, Method::GET, "/secret?token=1", Body::empty())).await;
    }
    let decisions = router.decisions();
    assert_eq!(decisions.len(), 256);
    assert_eq!((decisions[0].id, decisions[255].id), (299, 44));
    assert_eq!(decisions[0].path, "/secret");
    let json = serde_json::to_string(&decisions[0]).unwrap();
    assert!(json.contains(r#""reason":"p2p-healthy""#) && json.contains(r#""outcome":"complete""#), "{json}");
    serde_json::to_string(&router.status()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn bodies_are_passed_on_without_a_copy() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    let content = content(1, 64 << 10);
    let sent = content.clone();
    p2p.on(move |_| Act::Respond(Response::new(StatusCode::OK, pieces([Piece::Data(sent.clone())]))));
    let mut body = router.send(get("/a")).await.unwrap().body;
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(frame.as_ptr(), content.as_ptr());
    let upload = content.clone();
    p2p.on(|_| Act::Respond(fake::text("taken")));
    ask(&router, request(1, Method::POST, "/a", Body::full(upload))).await;
    assert_eq!(p2p.seen().last().unwrap().body.as_ptr(), content.as_ptr());
}

#[tokio::test(start_paused = true)]
async fn the_router_ends_with_its_last_clone_and_bodies_outlive_it() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| {
        let late = [Piece::Pause(Duration::from_mins(1)), Piece::Data(Bytes::from_static(b"late"))];
        Act::Respond(Response::new(StatusCode::OK, pieces(late)))
    });
    let response = router.send(get("/a")).await.unwrap();
    let begun = Instant::now();
    drop(router);
    assert_eq!(&fake::read(response).await.body[..], b"late");
    assert_eq!(begun.elapsed().as_secs(), 60);
}

//! Responses that break off in the middle.

use std::time::Duration;

use http::{HeaderValue, Method, header};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tunnel_core::{Body, FailureKind, Request, RequestHead, Transport};
use tunnel_router::{Mode, Outcome, RouterConfig};

use super::{
    ask,
    fake::{self, Act, Fake, get, request},
    file::{Break, File, content},
    over, pair,
};

const LOST: FailureKind = FailureKind::ConnectionLost;

fn serve(fake: &Fake, file: &File, breaks: Break) {
    let file = file.clone();
    fake.on(move |seen| file.answer(seen, breaks));
}

/// Breaks off once, and then no more.
fn serve_once_broken(fake: &Fake, file: &File, breaks: Break) {
    let (file, mut breaks) = (file.clone(), Some(breaks));
    fake.on(move |seen| file.answer(seen, breaks.take().unwrap_or(Break::Never)));
}

fn with_range(range: &'static str) -> Request {
    let mut request = get("/file");
    if let RequestHead::Http(parts) = &mut request.head {
        parts.headers.insert(header::RANGE, HeaderValue::from_static(range));
    }
    request
}

#[tokio::test(start_paused = true)]
async fn a_response_continues_over_legacy() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    let file = File::new(content(1, 1000));
    serve(&p2p, &file, Break::At(333, LOST));
    serve(&legacy, &file, Break::Never);
    let got = ask(&router, get("/file")).await;
    assert_eq!((got.body, got.error), (file.content.clone(), None));
    assert_eq!((got.transport, got.reason), ("p2p", "p2p-healthy"), "as it began");
    let asked = &legacy.seen()[0];
    assert_eq!(asked.headers[header::RANGE], "bytes=333-");
    assert_eq!(asked.headers[header::IF_RANGE], "\"v1\"");
    let counts = router.status().counts;
    assert_eq!((counts.failovers_tried.p2p, counts.failovers_succeeded.p2p), (1, 1));
    assert_eq!((counts.bytes_received.p2p, counts.bytes_received.legacy), (333, 667));
    assert_eq!(router.decisions()[0].failovers, 1);
    assert_eq!(router.decisions()[0].outcome, Outcome::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_response_continues_over_p2p() {
    let (p2p, legacy) = (Fake::p2p(), Fake::legacy());
    p2p.is(fake::down());
    let router = over(&p2p, &legacy, RouterConfig::default()).await;
    let file = File::new(content(1, 1000));
    serve(&p2p, &file, Break::Never);
    serve(&legacy, &file, Break::At(10, FailureKind::Timeout));
    let response = router.send(get("/file")).await.unwrap();
    p2p.is(fake::healthy());
    let got = fake::read(response).await;
    assert_eq!((got.transport, got.body, got.error), ("legacy", file.content.clone(), None));
    assert_eq!(router.status().counts.failovers_succeeded.legacy, 1);
    assert_eq!(p2p.seen()[0].headers[header::RANGE], "bytes=10-");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_began_under_the_kill_switch_continues_over_p2p_once_that_is_off() {
    for is_off in [true, false] {
        let (p2p, legacy, router) = pair(RouterConfig::default()).await;
        let file = File::new(content(1, 1000));
        serve(&p2p, &file, Break::Never);
        serve(&legacy, &file, Break::At(10, LOST));
        router.kill_switch(true);
        let response = router.send(get("/file")).await.unwrap();
        router.kill_switch(!is_off);
        let got = fake::read(response).await;
        assert_eq!((got.transport, got.reason), ("legacy", "kill-switch"), "as it began");
        assert_eq!((got.body == file.content, got.error.is_none()), (is_off, is_off));
        assert_eq!(p2p.seen().len(), usize::from(is_off));
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_with_a_range_continues_at_its_own_place() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    let mut file = File::new(content(1, 1000));
    serve(&p2p, &file, Break::At(50, LOST));
    serve(&legacy, &file, Break::Never);
    let got = ask(&router, with_range("bytes=100-299")).await;
    assert_eq!((got.body, got.error), (file.content.slice(100..300), None));
    assert_eq!(legacy.seen()[0].headers[header::RANGE], "bytes=150-299");

    file.has_ranges = false;
    serve(&legacy, &file, Break::Never);
    let got = ask(&router, with_range("bytes=100-299")).await;
    assert_eq!((got.body, got.error), (file.content.slice(100..300), None), "a 200 is skipped forward");
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_never_spliced() {
    for has_ranges in [true, false] {
        let (p2p, legacy, router) = pair(RouterConfig::default()).await;
        let file = File::new(content(1, 1000));
        let changed = File { content: content(2, 1000), etag: Some("\"v2\""), has_ranges, ..file.clone() };
        serve(&p2p, &file, Break::At(500, LOST));
        serve(&legacy, &changed, Break::Never);
        let got = ask(&router, get("/file")).await;
        assert_eq!(got.body, file.content.slice(..500));
        let error = got.error.unwrap();
        assert_eq!(error.kind(), LOST);
        assert!(error.message().contains("changed"), "{error}");
        assert_eq!(router.decisions()[0].outcome, Outcome::Cut(LOST));
        let counts = router.status().counts;
        assert_eq!((counts.failovers_tried.p2p, counts.failovers_succeeded.p2p, counts.cut.p2p), (1, 0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_validator_the_body_is_cut_unless_the_operator_takes_the_risk() {
    let file = File { etag: None, ..File::new(content(1, 1000)) };
    let risky = RouterConfig { splice_without_validator: true, ..RouterConfig::default() };
    for (config, continues) in [(RouterConfig::default(), false), (risky, true)] {
        let (p2p, legacy, router) = pair(config).await;
        serve(&p2p, &file, Break::At(500, LOST));
        serve(&legacy, &file, Break::Never);
        let got = ask(&router, get("/file")).await;
        assert_eq!(got.error.is_none(), continues);
        assert_eq!(got.body.len(), if continues { 1000 } else { 500 });
        assert_eq!(legacy.seen().len(), usize::from(continues));
    }
}

#[tokio::test(start_paused = true)]
async fn legacy_is_asked_without_if_range_if_it_drops_that() {
    let (p2p, legacy) = (Fake::p2p(), Fake::legacy());
    legacy.with(|state| state.drops_if_range = true);
    let router = over(&p2p, &legacy, RouterConfig::default()).await;
    let file = File::new(content(1, 1000));
    serve(&p2p, &file, Break::At(1, LOST));
    serve(&legacy, &file, Break::Never);
    assert_eq!(ask(&router, get("/file")).await.body, file.content);
    assert!(!legacy.seen()[0].headers.contains_key(header::IF_RANGE));
    let changed = File { content: content(2, 1000), etag: Some("\"v2\""), ..file.clone() };
    serve(&legacy, &changed, Break::Never);
    assert!(ask(&router, get("/file")).await.error.is_some(), "the answer is compared all the same");
}

#[tokio::test(start_paused = true)]
async fn only_what_the_network_did_and_only_a_get_continues() {
    let file = File::new(content(1, 1000));
    for kind in [FailureKind::ServiceFailed, FailureKind::Aborted, FailureKind::Protocol, FailureKind::Internal] {
        let (p2p, legacy, router) = pair(RouterConfig::default()).await;
        serve(&p2p, &file, Break::At(500, kind));
        assert_eq!(ask(&router, get("/file")).await.error.unwrap().kind(), kind);
        assert!(legacy.seen().is_empty());
    }
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    serve(&p2p, &file, Break::At(500, LOST));
    assert!(ask(&router, request(1, Method::POST, "/file", Body::empty())).await.error.is_some());
    router.set_mode(Some(Mode::P2pOnly));
    assert!(ask(&router, get("/file")).await.error.is_some());
    router.set_mode(None);
    router.reload(RouterConfig { failover: false, ..RouterConfig::default() }).unwrap();
    assert!(ask(&router, get("/file")).await.error.is_some());
    assert!(legacy.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_response_that_begins_again_and_again_breaks_off_in_the_end() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    let file = File::new(content(1, 1000));
    serve(&p2p, &file, Break::At(100, LOST));
    serve(&legacy, &file, Break::At(100, LOST));
    let got = ask(&router, get("/file")).await;
    assert_eq!(got.body, file.content.slice(..400));
    assert_eq!(got.error.unwrap().kind(), LOST);
    assert_eq!((p2p.seen().len(), legacy.seen().len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_body_of_which_only_the_end_was_lost_is_whole() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    serve(&p2p, &File::new(content(1, 1000)), Break::At(1000, LOST));
    let got = ask(&router, get("/file")).await;
    assert_eq!((got.body.len(), got.error), (1000, None));
    assert!(legacy.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stalled_response_continues_within_the_stall_timeout() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    let file = File::new(content(1, 1000));
    serve_once_broken(&p2p, &file, Break::SilentAt(300));
    p2p.with(|state| state.probe = None);
    let answer = file.clone();
    legacy.on(move |seen| Act::Late(Duration::from_millis(1900), Box::new(answer.answer(seen, Break::Never))));
    let mut body = router.send(get("/file")).await.unwrap().body;
    for _ in 0..3 {
        body.frame().await.unwrap().unwrap();
    }
    let last_byte = Instant::now();
    let next = body.frame().await.unwrap().unwrap();
    assert_eq!(next.data_ref().unwrap()[..], file.content[300..400]);
    assert!(last_byte.elapsed() <= Duration::from_millis(6500), "{:?}", last_byte.elapsed());
    assert_eq!(router.status().p2p.unwrap().cause.name(), "stalled");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_legacy_response_continues_over_p2p_and_waits_on_without_p2p() {
    for p2p_is_back in [true, false] {
        let (p2p, legacy) = (Fake::p2p(), Fake::legacy());
        p2p.is(fake::down());
        let router = over(&p2p, &legacy, RouterConfig::default()).await;
        let file = File::new(content(1, 1000));
        serve(&legacy, &file, Break::SilentAt(300));
        serve(&p2p, &file, Break::Never);
        legacy.with(|state| state.probe = None);
        let mut body = router.send(get("/file")).await.unwrap().body;
        for _ in 0..3 {
            body.frame().await.unwrap().unwrap();
        }
        if p2p_is_back {
            p2p.is(fake::healthy());
        }
        let last_byte = Instant::now();
        match tokio::time::timeout(Duration::from_mins(2), body.frame()).await {
            Ok(next) => assert_eq!(next.unwrap().unwrap().data_ref().unwrap()[..], file.content[300..400]),
            Err(_) => assert!(!p2p_is_back, "nothing came"),
        }
        assert_eq!(last_byte.elapsed() <= Duration::from_millis(6500), p2p_is_back, "{:?}", last_byte.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_event_stream_is_left_alone_while_probes_succeed() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    let event = |text: &'static str| fake::Piece::Data(bytes::Bytes::from_static(text.as_bytes()));
    p2p.on(move |_| {
        let steps = [event("one"), fake::Piece::Pause(Duration::from_hours(1)), event("two")];
        Act::Respond(tunnel_core::Response::new(http::StatusCode::OK, fake::pieces(steps)))
    });
    let got = ask(&router, get("/events")).await;
    assert_eq!((&got.body[..], got.error), (&b"onetwo"[..], None));
    assert_eq!(router.status().p2p.unwrap().state.name(), "healthy");
    let probes = p2p.with(|state| state.probes);
    assert!((80..100).contains(&probes), "{probes}: one in 40 s after the first minute");
}

#[tokio::test(start_paused = true)]
async fn a_dead_event_stream_is_cut_so_that_its_reader_comes_back() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| Act::Respond(tunnel_core::Response::new(http::StatusCode::OK, fake::pieces([fake::Piece::Silence]))))
        .with(|state| state.probe = None);
    let begun = Instant::now();
    let got = ask(&router, get("/events")).await;
    assert_eq!(got.error.unwrap().kind(), FailureKind::Timeout);
    assert_eq!(begun.elapsed().as_millis(), 4500);
    assert_eq!(ask(&router, get("/events")).await.reason, "p2p-down");
}

#[tokio::test(start_paused = true)]
async fn the_kill_switch_keeps_a_continuation_off_p2p() {
    let (p2p, legacy) = (Fake::p2p(), Fake::legacy());
    p2p.is(fake::down());
    let router = over(&p2p, &legacy, RouterConfig::default()).await;
    let file = File::new(content(1, 1000));
    serve(&legacy, &file, Break::At(10, LOST));
    serve(&p2p, &file, Break::Never);
    let response = router.send(get("/file")).await.unwrap();
    p2p.is(fake::healthy());
    router.kill_switch(true);
    assert!(fake::read(response).await.error.is_some());
    assert!(p2p.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_does_not_answer_ends_the_attempt() {
    let (p2p, legacy, router) = pair(RouterConfig::default()).await;
    serve(&p2p, &File::new(content(1, 1000)), Break::At(10, LOST));
    legacy.on(|_| Act::Hang);
    let begun = Instant::now();
    assert!(ask(&router, get("/file")).await.error.is_some());
    assert_eq!(begun.elapsed().as_secs(), 10);
    assert_eq!(legacy.with(|state| state.dropped), 1);
}

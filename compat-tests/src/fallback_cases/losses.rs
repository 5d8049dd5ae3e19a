//! What the tunnel server's protocol would lose of a request, while p2p is down.

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tunnel_core::{Body, FailureKind, Request, RequestHead, TransportKind::Legacy};
use tunnel_router::Reason;

use super::stage::Stage;
use crate::{
    backend::world::World,
    body::{pattern, pieces, text},
    request::{get_with, post, request},
    service::Service,
};

/// It fails in words, is not executed, and comes back if it can.
async fn is_refused<W: World>(stage: &Stage<W>, request: Request, kind: FailureKind, words: &str, comes_back: bool) {
    let before = stage.seen.all();
    let error = stage.send(request).await.unwrap_err();
    assert_eq!(error.failure().kind(), kind, "{error}");
    assert!(error.failure().message().contains(words), "{error}");
    assert!(!error.may_have_been_delivered(), "{error}");
    assert_eq!(error.into_request().is_some(), comes_back);
    assert_eq!(stage.seen.all(), before);
}

fn with_headers<const N: usize>(headers: [(HeaderName, &'static str); N]) -> HeaderMap {
    HeaderMap::from_iter(headers.map(|(name, value)| (name, HeaderValue::from_static(value))))
}

/// Every request through a tunnel server loses some, and always has.
pub async fn headers_that_may_be_lost_do_not_keep_a_request_from_falling_back<W: World>(world: W) {
    let stage = Stage::start(world, Service::echo()).await;
    stage.lose_p2p().await;
    let sent = with_headers([
        (header::USER_AGENT, "app"),
        (header::ACCEPT_LANGUAGE, "de"),
        (header::RANGE, "bytes=0-9"),
        (header::IF_NONE_MATCH, "\"v1\""),
    ]);
    let response = stage.answer(get_with("/", sent), Legacy, Reason::P2pDown).await;
    assert_eq!(response.headers[header::RANGE], "bytes=0-9");
    assert!(!response.headers.contains_key(header::ACCEPT_LANGUAGE));
}

/// Without it a changed file could be overwritten.
pub async fn what_makes_a_request_conditional_does<W: World>(world: W) {
    let stage = Stage::start(world, Service::echo()).await;
    stage.lose_p2p().await;
    for (condition, value) in
        [(header::IF_MATCH, "\"v1\""), (header::IF_UNMODIFIED_SINCE, "Sat, 01 Nov 2025 08:00:00 GMT")]
    {
        let mut put = request(Method::PUT, "/", Body::full("{}"));
        if let RequestHead::Http(parts) = &mut put.head {
            parts.headers = with_headers([(condition.clone(), value)]);
        }
        is_refused(&stage, put, FailureKind::Unsupported, condition.as_str(), true).await;
    }
}

/// The tunnel server would answer 500, or drop it.
pub async fn a_body_that_is_not_json_is_never_altered<W: World>(world: W) {
    let stage = Stage::start(world, Service::echo()).await;
    stage.lose_p2p().await;
    for body in ["not JSON", "{", "null", "\u{0}"] {
        is_refused(&stage, post("/", Body::full(body)), FailureKind::Unsupported, "body", true).await;
    }
    let streamed = pieces(stream::iter([Ok(Bytes::from_static(b"not ")), Ok(Bytes::from_static(b"JSON"))]));
    is_refused(&stage, post("/", streamed), FailureKind::Unsupported, "body", true).await;
}

/// The published tunnel server drops it without a word.
pub async fn a_body_that_is_too_long_is_never_cut<W: World>(world: W) {
    let stage = Stage::start(world, Service::echo()).await;
    stage.lose_p2p().await;
    let json = format!("\"{}\"", "x".repeat(262_143));
    is_refused(&stage, post("/", Body::full(json)), FailureKind::TooLarge, "262144 bytes", true).await;
    let streamed = pieces(pattern(1 << 20, 10_000));
    is_refused(&stage, post("/", streamed), FailureKind::TooLarge, "262144 bytes", true).await;
}

/// Doing something else is worse than doing nothing.
pub async fn a_method_that_the_tunnel_has_no_word_for_is_never_changed<W: World>(world: W) {
    let stage = Stage::start(world, Service::echo()).await;
    stage.lose_p2p().await;
    for method in ["OPTIONS", "TRACE", "PROPFIND", "get"] {
        let asked = request(Method::from_bytes(method.as_bytes()).unwrap(), "/", Body::empty());
        is_refused(&stage, asked, FailureKind::Unsupported, method, true).await;
    }
}

/// It is small, so the router takes it into memory and looks.
pub async fn a_streamed_json_body_falls_back<W: World>(world: W) {
    let stage = Stage::start(world, Service::echo()).await;
    stage.lose_p2p().await;
    let streamed = pieces(stream::iter([Ok(Bytes::from_static(b"{\"a\"")), Ok(Bytes::from_static(b":1}"))]));
    let response = stage.answer(post("/", streamed), Legacy, Reason::P2pDown).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(text(response.body).await.unwrap(), r#"{"a":1}"#);
}

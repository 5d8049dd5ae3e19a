//! A transport that fails in the middle of a response.

mod file;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use tunnel_core::{
    Body, Failure, FailureKind, Response,
    TransportKind::{self, Legacy, P2p},
};
use tunnel_router::{Outcome, Reason, State};

use self::file::{BEGIN_BYTES, FILE_BYTES, File};
use super::stage::{self, Stage};
use crate::{
    backend::world::World,
    body::{arrives, body_error, bytes, pattern_piece, pieces},
    patience::until,
    request::{get, get_with, post, request},
    service::Service,
};

const ETAG: &str = "\"v1\"";

/// Reads the beginning of the file, lets something happen, and returns the rest of the body.
async fn interrupted(mut response: Response, first: usize, happens: impl AsyncFnOnce()) -> Body {
    arrives(&mut response.body, pattern_piece(first, BEGIN_BYTES)).await;
    happens().await;
    response.body
}

/// The rest of the file, from after its beginning.
async fn continues(body: Body) {
    let rest = bytes(body).await.expect("an unbroken body");
    assert!(rest == pattern_piece(BEGIN_BYTES, FILE_BYTES - BEGIN_BYTES), "{} bytes that are not the rest", rest.len());
}

/// One unbroken body: what was lost on the way comes over the other transport.
async fn from_p2p_to_legacy<W: World>(world: W, ends: impl AsyncFnOnce(&Stage<W>)) {
    let stage = Stage::start(world, File::new(Some(ETAG)).service()).await;
    let response = stage.answer(get("/song"), P2p, Reason::P2pHealthy).await;
    assert_eq!(response.body.size_hint().exact(), Some(FILE_BYTES as u64));
    continues(interrupted(response, 0, async || ends(&stage).await).await).await;
    let counts = stage.router.status().counts;
    assert_eq!((counts.failovers_succeeded.p2p, counts.failovers_succeeded.legacy), (1, 0));
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (1, 1));
    let decision = &stage.router.decisions()[0];
    assert_eq!((decision.failovers, decision.outcome), (1, Outcome::Complete));
}

/// With a word.
pub async fn a_file_whose_p2p_is_cut_continues_over_legacy<W: World>(world: W) {
    from_p2p_to_legacy::<W>(world, async |stage| stage.host.cut_p2p().await).await;
}

/// Without one.
pub async fn a_file_whose_p2p_stalls_continues_over_legacy<W: World>(world: W) {
    from_p2p_to_legacy::<W>(world, async |stage| stage.host.stall_p2p().await).await;
}

/// The other way round: it began while p2p was away.
pub async fn a_file_whose_tunnel_server_dies_continues_over_p2p<W: World>(world: W) {
    let stage = Stage::start(world, File::new(Some(ETAG)).service()).await;
    stage.lose_p2p().await;
    let response = stage.answer(get("/song"), Legacy, Reason::P2pDown).await;
    let body = interrupted(response, 0, async || {
        stage.host.heal_p2p().await;
        stage.router.network_changed();
        stage.p2p_is_used().await;
        stage.backend.server().await.kill();
    })
    .await;
    continues(body).await;
    let counts = stage.router.status().counts;
    assert_eq!((counts.failovers_succeeded.p2p, counts.failovers_succeeded.legacy), (0, 1));
}

/// A player that has asked for a part gets that part, to its last byte and not one more.
pub async fn a_part_of_a_file_continues_within_its_range<W: World>(world: W) {
    let stage = Stage::start(world, File::new(Some(ETAG)).service()).await;
    let (first, last) = (50_000, 799_999);
    let asked = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=50000-799999"))]);
    let response = stage.answer(get_with("/song", asked), P2p, Reason::P2pHealthy).await;
    assert_eq!(response.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.headers[header::CONTENT_RANGE], "bytes 50000-799999/1000000");
    let body = interrupted(response, first, async || stage.host.cut_p2p().await).await;
    let from = first + BEGIN_BYTES;
    assert!(bytes(body).await.expect("an unbroken body") == pattern_piece(from, last + 1 - from));
}

/// What cannot be continued is cut, so that everybody sees it; it never just ends, and never goes on with other bytes.
async fn is_cut<W: World>(stage: &Stage<W>, response: Response, ends: impl AsyncFnOnce()) {
    let body = interrupted(response, 0, ends).await;
    let failure = body_error(body).await;
    assert!(!failure.message().is_empty());
    until("the decision is known", || matches!(stage.router.decisions()[0].outcome, Outcome::Cut(_))).await;
    let counts = stage.router.status().counts;
    assert_eq!((counts.failovers_succeeded.p2p, counts.failovers_succeeded.legacy), (0, 0));
}

/// The length alone does not say that it is the same file.
pub async fn a_body_without_a_validator_is_cut<W: World>(world: W) {
    let stage = Stage::start(world, File::new(None).service()).await;
    let response = stage.answer(get("/song"), P2p, Reason::P2pHealthy).await;
    is_cut(&stage, response, async || stage.host.cut_p2p().await).await;
    assert_eq!(stage.seen.all(), 1);
}

/// A weak one only says that the file means the same (RFC 9110 §8.8.1), not that its bytes are.
pub async fn a_weak_validator_is_none<W: World>(world: W) {
    let stage = Stage::start(world, File::new(Some("W/\"v1\"")).service()).await;
    let response = stage.answer(get("/song"), P2p, Reason::P2pHealthy).await;
    is_cut(&stage, response, async || stage.host.cut_p2p().await).await;
}

/// Half of the old file and half of the new one is no file.
pub async fn a_file_that_has_changed_is_never_spliced<W: World>(world: W) {
    let file = File::new(Some(ETAG));
    let stage = Stage::start(world, file.service()).await;
    let response = stage.answer(get("/song"), P2p, Reason::P2pHealthy).await;
    is_cut(&stage, response, async || {
        file.change();
        stage.host.cut_p2p().await;
    })
    .await;
    assert_eq!(stage.router.status().counts.failovers_tried.p2p, 1);
}

/// Asking again could do it again.
pub async fn a_response_to_a_post_is_cut<W: World>(world: W) {
    let stage = Stage::start(world, File::new(Some(ETAG)).service()).await;
    let response = stage.answer(post("/song", Body::full("{}")), P2p, Reason::P2pHealthy).await;
    is_cut(&stage, response, async || stage.host.cut_p2p().await).await;
    assert_eq!(stage.seen.all(), 1);
}

/// The service broke off, not the transport: over the other one it would have done the same, and p2p is not to blame.
pub async fn a_body_that_its_service_breaks_off_is_cut<W: World>(world: W) {
    let service = Service::http(|_| async {
        let begin = stream::iter([Ok(Bytes::from_static(b"begin"))]);
        let breaks = stream::iter([Err(Failure::new(FailureKind::ServiceFailed, "broken off"))]);
        let mut response = Response::new(StatusCode::OK, pieces(begin.chain(breaks)));
        response.headers.insert(header::ETAG, HeaderValue::from_static(ETAG));
        response.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("1000"));
        Ok(response)
    });
    let stage = Stage::start(world, service).await;
    let response = stage.send(get("/song")).await;
    if let Ok(response) = response {
        assert_eq!(body_error(response.body).await.kind(), FailureKind::ServiceFailed);
    }
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (1, 0));
    assert_eq!(stage.p2p_state(), State::Healthy);
}

/// There is nothing to continue over.
pub async fn with_both_down_a_body_is_cut<W: World>(world: W) {
    let stage = Stage::start(world, File::new(Some(ETAG)).service()).await;
    let response = stage.answer(get("/song"), P2p, Reason::P2pHealthy).await;
    is_cut(&stage, response, async || {
        stage.backend.server().await.kill();
        stage.host.cut_p2p().await;
    })
    .await;
}

/// A response without a body is whole once its head is there, whatever happens then.
pub async fn a_head_is_whole_as_it_is<W: World>(world: W) {
    let service = Service::http(|_| async {
        let mut response = Response::new(StatusCode::OK, Body::empty());
        response.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(FILE_BYTES));
        response.headers.insert(header::ETAG, HeaderValue::from_static(ETAG));
        Ok(response)
    });
    let stage = Stage::with(world, service, stage::config()).await;
    let kinds: [(TransportKind, Reason); 2] = [(P2p, Reason::P2pHealthy), (Legacy, Reason::P2pDown)];
    for (kind, reason) in kinds {
        let response = stage.answer(request(Method::HEAD, "/song", Body::empty()), kind, reason).await;
        assert_eq!(response.headers[header::CONTENT_LENGTH], FILE_BYTES.to_string());
        match kind {
            P2p => stage.lose_p2p().await,
            _ => stage.backend.server().await.kill(),
        }
        assert_eq!(bytes(response.body).await.unwrap(), "");
    }
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (1, 1));
}

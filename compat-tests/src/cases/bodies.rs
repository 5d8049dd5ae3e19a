//! What arrives is what was sent, or an error.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderValue, Method, StatusCode};
use http_body::Body as _;
use tunnel_core::{Body, FailureKind, Response};

use crate::{
    backend::Backend,
    body::{body_error, bytes, declared, digest, failing, pattern, pattern_hash, pattern_piece, pieces, text},
    pair::Pair,
    request::{get, number, path, post, request},
    service::{Service, ok},
};

/// Around 64 KiB and 256 KiB something changes on the way: how bodies are sent, and where.
const SIZES: [usize; 12] = [0, 1, 2, 65_535, 65_536, 65_537, 131_072, 262_143, 262_144, 262_145, 1_000_000, 10 << 20];

/// Sends the bodies that `make` makes to the echo.
async fn go_both_ways<B: Backend>(backend: B, make: impl Fn(usize) -> Body) {
    let pair = Pair::start(&backend, Service::echo()).await;
    for size in SIZES {
        let response = pair.answer(post("/", make(size))).await;
        let read = digest(response.body).await.unwrap_or_else(|failure| panic!("{size}: {failure}"));
        assert_eq!(read.bytes, size);
        assert_eq!(read.hash, pattern_hash(size), "{size}");
        assert!(read.trailers.is_empty());
    }
}

/// In one piece.
pub async fn buffered_ones_of_every_size_go_both_ways<B: Backend>(backend: B) {
    go_both_ways(backend, |size| Body::full(pattern_piece(0, size))).await;
}

/// In pieces that fit no power of two.
pub async fn ones_of_known_length_and_every_size_go_both_ways<B: Backend>(backend: B) {
    go_both_ways(backend, |size| declared(size as u64, pieces(pattern(size, 10_007)))).await;
}

/// In pieces that are larger than a frame of the usual size.
pub async fn ones_of_unknown_length_and_every_size_go_both_ways<B: Backend>(backend: B) {
    go_both_ways(backend, |size| pieces(pattern(size, 70_001))).await;
}

/// A piece of 3 MiB is cut on the way.
pub async fn a_huge_piece_arrives<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::echo()).await;
    let response = pair.answer(post("/", pieces(pattern(3 << 20, 3 << 20)))).await;
    assert_eq!(digest(response.body).await.unwrap().hash, pattern_hash(3 << 20));
}

/// More pieces than may be under way at once, and all of them go both ways.
pub async fn thousands_of_single_bytes_arrive<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::echo()).await;
    let response = pair.answer(post("/", pieces(pattern(5000, 1)))).await;
    assert_eq!(digest(response.body).await.unwrap().hash, pattern_hash(5000));
}

/// They carry nothing and end nothing.
pub async fn empty_pieces_are_harmless<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::echo()).await;
    let mixed = ["", "a", "", "", "b", ""].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
    let response = pair.answer(post("/", pieces(stream::iter(mixed)))).await;
    assert_eq!(text(response.body).await.unwrap(), "ab");
    let response = pair.answer(post("/", pieces(stream::iter([Ok(Bytes::new())])))).await;
    assert_eq!(text(response.body).await.unwrap(), "");
}

/// A player shows the length of a song before it has read it.
pub async fn a_known_length_is_known_to_the_reader<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::echo()).await;
    for size in [5, 300_000] {
        let body = declared(size as u64, pieces(pattern(size, 1000)));
        let response = pair.answer(post("/", body)).await;
        assert_eq!(response.body.size_hint().exact(), Some(size as u64));
    }
}

/// `content-length` then says how long a body would be.
pub async fn responses_without_a_body_keep_their_headers<B: Backend>(backend: B) {
    let pair = Pair::start(
        &backend,
        Service::http(|request| async move {
            let status = if path(&request) == "204" { StatusCode::NO_CONTENT } else { StatusCode::OK };
            let mut response = Response::new(status, Body::empty());
            response.headers.insert("content-length", HeaderValue::from_static("12345"));
            Ok(response)
        }),
    )
    .await;
    for (method, target, status) in [(Method::HEAD, "/", 200), (Method::DELETE, "/204", 204)] {
        let response = pair.answer(request(method, target, Body::empty())).await;
        assert_eq!(response.status, status);
        assert_eq!(response.headers["content-length"], "12345");
        assert!(response.body.is_end_stream());
        assert_eq!(bytes(response.body).await.unwrap(), "");
    }
}

/// Too short or too long, small or large.
pub async fn one_of_the_wrong_length_is_an_error<B: Backend>(backend: B) {
    let pair = Pair::start(
        &backend,
        Service::http(|request| async move {
            Ok(Response::new(StatusCode::OK, declared(number(&request) as u64, pieces(pattern(400_000, 10_000)))))
        }),
    )
    .await;
    for target in ["/1", "/399999", "/400001", "/10000000"] {
        let response = pair.answer(get(target)).await;
        assert_eq!(body_error(response.body).await.kind(), FailureKind::Protocol, "{target}");
    }
    let response = pair.answer(get("/400000")).await;
    assert_eq!(digest(response.body).await.unwrap().bytes, 400_000);
}

/// The service must not store half a file.
pub async fn an_upload_of_the_wrong_length_is_an_error_of_the_handlers_body<B: Backend>(backend: B) {
    let pair = Pair::start(
        &backend,
        Service::http(|request| async move { Ok(ok(body_error(request.body).await.kind().name())) }),
    )
    .await;
    for (length, declaration) in [(10, 11), (400_000, 400_001), (11, 10)] {
        let body = declared(declaration, pieces(pattern(length, 1000)));
        let response = pair.answer(post("/", body)).await;
        assert_eq!(text(response.body).await.unwrap(), "protocol", "{length} of {declaration}");
    }
}

/// Wherever it breaks off: at once, within the first packet, on the way, or in place of the end.
pub async fn one_that_breaks_off_is_an_error<B: Backend>(backend: B) {
    let pair = Pair::start(
        &backend,
        Service::http(|request| async move {
            let broken = pattern(number(&request), 10_000).chain(failing(FailureKind::ServiceFailed));
            Ok(Response::new(StatusCode::OK, pieces(broken)))
        }),
    )
    .await;
    for target in ["/0", "/10", "/65536", "/100000", "/262144", "/1000000"] {
        // A service may break off before its head is on the way.
        match pair.send(get(target)).await {
            Ok(response) => assert_eq!(body_error(response.body).await.kind(), FailureKind::ServiceFailed, "{target}"),
            Err(error) => assert_eq!(error.failure().kind(), FailureKind::ServiceFailed, "{target}"),
        }
    }
}

/// Even if all declared bytes are there: only the sender's end makes it whole.
pub async fn one_that_fails_in_place_of_its_end_is_an_error<B: Backend>(backend: B) {
    let pair = Pair::start(
        &backend,
        Service::http(|request| async move {
            let bytes = number(&request);
            let broken = pattern(bytes, 1000).chain(failing(FailureKind::ServiceFailed));
            Ok(Response::new(StatusCode::OK, declared(bytes as u64, pieces(broken))))
        }),
    )
    .await;
    for target in ["/1000", "/300000"] {
        match pair.send(get(target)).await {
            Ok(response) => assert_eq!(body_error(response.body).await.kind(), FailureKind::ServiceFailed, "{target}"),
            Err(error) => assert_eq!(error.failure().kind(), FailureKind::ServiceFailed, "{target}"),
        }
    }
}

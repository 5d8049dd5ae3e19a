//! Trailers go with the end of a body.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Frame;
use tunnel_core::Response;

use crate::{
    backend::Backend,
    body::{body_error, digest, frames, pattern, text},
    pair::Pair,
    request::{get, path, post},
    service::{Service, ok},
};

/// After nothing, little and much; with repeated and raw values.
pub async fn they_go_both_ways<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::echo()).await;
    for size in [0, 10, 400_000] {
        let mut trailers = HeaderMap::new();
        trailers.append("x-sum", HeaderValue::from_static("1"));
        trailers.append("x-sum", HeaderValue::from_bytes(&[0xfe]).unwrap());
        let data = pattern(size, 9_000).map(|piece| piece.map(Frame::data));
        let end = Frame::trailers(trailers.clone());
        let response = pair.answer(post("/", frames(data.chain(stream::iter([Ok(end)]))))).await;
        let read = digest(response.body).await.unwrap();
        assert_eq!((read.bytes, read.trailers), (size, trailers));
    }
}

/// Then the end is not deliverable, and a body without it is an error.
pub async fn too_many_are_an_error_of_the_body<B: Backend>(backend: B) {
    let pair = Pair::start(
        &backend,
        Service::http(|request| async move {
            if path(&request) == "ok" {
                return Ok(ok("ok"));
            }
            let mut trailers = HeaderMap::new();
            for _ in 0..1100 {
                trailers.append("x-many", HeaderValue::from_static(""));
            }
            let body = stream::iter([Ok(Frame::data(Bytes::from_static(b"data"))), Ok(Frame::trailers(trailers))]);
            Ok(Response::new(StatusCode::OK, frames(body)))
        }),
    )
    .await;
    if let Ok(response) = pair.send(get("/")).await {
        body_error(response.body).await;
    }
    assert_eq!(text(pair.answer(get("/ok")).await.body).await.unwrap(), "ok");
}

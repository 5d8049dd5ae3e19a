//! The status of a response arrives as it is.

use http::StatusCode;
use tunnel_core::{Body, Response};

use crate::{
    backend::Backend,
    body::text,
    pair::Pair,
    request::{get, number},
    service::{Service, ok},
};

/// Known and unknown ones, and none of them is taken for a failure of the tunnel.
pub async fn every_one_from_200_to_999_arrives<B: Backend>(backend: B) {
    let pair = Pair::start(
        &backend,
        Service::http(|request| async move {
            let status = StatusCode::from_u16(u16::try_from(number(&request)).unwrap()).unwrap();
            Ok(Response { status, ..ok("body") })
        }),
    )
    .await;
    let statuses = [
        200, 201, 202, 203, 206, 207, 226, 299, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410,
        413, 416, 418, 421, 425, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 511, 599, 600, 999,
    ];
    for status in statuses {
        let response = pair.answer(get(&format!("/{status}"))).await;
        assert_eq!(response.status, status);
        assert_eq!(text(response.body).await.unwrap(), "body");
    }
}

/// Whoever reads a response wants to know how it came.
pub async fn a_response_says_how_it_travelled<B: Backend>(backend: B) {
    let pair =
        Pair::start(&backend, Service::http(|_| async { Ok(Response::new(StatusCode::OK, Body::empty())) })).await;
    assert_eq!(pair.answer(get("/")).await.via, Some(backend.via()));
}

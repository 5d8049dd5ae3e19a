//! The method of a request arrives as it is.

use http::{Method, StatusCode};
use tunnel_core::Body;

use crate::{backend::Backend, body::text, pair::Pair, request::request, service::Service};

/// Nothing between the two may know only some methods.
pub async fn standard_ones_and_unknown_ones_arrive<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::echo()).await;
    let methods =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "M-SEARCH", "get", "x"];
    for name in methods {
        let method = Method::from_bytes(name.as_bytes()).unwrap();
        let response = pair.answer(request(method, "/", Body::empty())).await;
        assert_eq!(response.status, StatusCode::OK, "{name}");
        assert_eq!(response.headers["x-method"], name);
    }
}

/// A GET with a body is unusual, not wrong.
pub async fn any_of_them_may_have_a_body<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::echo()).await;
    for method in [Method::GET, Method::DELETE, Method::OPTIONS, Method::POST, Method::PUT, Method::PATCH] {
        let response = pair.answer(request(method.clone(), "/", Body::full("a body"))).await;
        assert_eq!(text(response.body).await.unwrap(), "a body", "{method}");
    }
}

/// `OPTIONS *` asks the server itself.
pub async fn options_of_the_whole_server_keeps_its_asterisk<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::echo()).await;
    let response = pair.answer(request(Method::OPTIONS, "*", Body::empty())).await;
    assert_eq!(response.headers["x-target"], "*");
}

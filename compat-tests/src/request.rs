//! Requests made to order.

use http::{HeaderMap, Method, request::Parts};
use tunnel_core::{Body, Request, RequestHead};

/// A GET.
pub fn get(target: &str) -> Request {
    request(Method::GET, target, Body::empty())
}

/// A POST.
pub fn post(target: &str, body: Body) -> Request {
    request(Method::POST, target, body)
}

/// A request without headers.
pub fn request(method: Method, target: &str, body: Body) -> Request {
    let (parts, ()) = http::Request::builder().method(method).uri(target).body(()).expect("a request").into_parts();
    Request::http(1, parts, body)
}

/// A GET with these headers.
pub fn get_with(target: &str, headers: HeaderMap) -> Request {
    let mut request = get(target);
    if let RequestHead::Http(parts) = &mut request.head {
        parts.headers = headers;
    }
    request
}

/// The head of a request born as HTTP.
pub fn parts(request: &Request) -> &Parts {
    match &request.head {
        RequestHead::Http(parts) => parts,
        RequestHead::Tunnel(_) => panic!("born as HTTP"),
    }
}

/// The path of a request, without its slash.
pub fn path(request: &Request) -> &str {
    &parts(request).uri.path()[1..]
}

/// The number that is the path of a request.
pub fn number(request: &Request) -> usize {
    path(request).parse().expect("the path is a number")
}

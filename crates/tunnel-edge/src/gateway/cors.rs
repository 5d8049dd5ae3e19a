//! Cross-origin rules of the MoosicBox tunnel server, for origins that are allowed.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use tunnel_core::{Body, Response};

use super::access::Access;

/// What scripts may read: what the tunnel server exposes (htmx), what players need for seeking, and our own.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "hx-location, hx-push-url, hx-redirect, hx-refresh, hx-replace-url, hx-reswap, hx-retarget, hx-reselect, hx-trigger, \
     hx-trigger-after-settle, hx-trigger-after-swap, accept-ranges, content-length, content-range, etag, retry-after, \
     x-tunnel-transport, x-tunnel-path, x-tunnel-path-age, x-tunnel-rtt, x-tunnel-reason, x-tunnel-outcome",
);
const VARY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
/// How long browsers remember a preflight, in seconds; as the tunnel server.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The answer to a preflight, if the request is one: any method and any header.
pub(super) fn preflight(parts: &Parts) -> Option<Response> {
    if parts.method != Method::OPTIONS || !parts.headers.contains_key(header::ORIGIN) {
        return None;
    }
    let method = parts.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let mut response = Response::new(StatusCode::OK, Body::empty());
    response.headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
    if let Some(headers) = parts.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        response.headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
    }
    if parts.headers.contains_key(REQUEST_PRIVATE_NETWORK) {
        response.headers.insert(ALLOW_PRIVATE_NETWORK, TRUE);
    }
    response.headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    Some(response)
}

/// Lets scripts of the origin read the response. What the service says about itself is replaced: two values of
/// `access-control-allow-origin` make browsers refuse both.
pub(super) fn expose(headers: &mut HeaderMap, origin: Option<&HeaderValue>, access: &Access) {
    headers.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
    if let Some(origin) = origin.filter(|origin| access.allows_origin(origin)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    // The tunnel server has said the same.
    if headers.get_all(header::VARY).iter().all(|value| value != VARY) {
        headers.append(header::VARY, VARY);
    }
}

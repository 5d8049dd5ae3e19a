//! Cross-origin rules: any origin, with credentials.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use tunnel_core::Body;

use super::{Behaviour, Defect, reply};

const METHODS_PUBLISHED: [&str; 6] = ["GET", "POST", "OPTIONS", "DELETE", "PUT", "PATCH"];
const METHODS: &str = "GET, POST, OPTIONS, DELETE, PUT, PATCH, HEAD";
const HEADERS_PUBLISHED: [&str; 12] = [
    "authorization",
    "accept",
    "content-type",
    "moosicbox-profile",
    "hx-boosted",
    "hx-current-url",
    "hx-history-restore-request",
    "hx-prompt",
    "hx-request",
    "hx-target",
    "hx-trigger-name",
    "hx-trigger",
];
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "hx-location, hx-push-url, hx-redirect, hx-refresh, hx-replace-url, hx-reswap, hx-retarget, hx-reselect, hx-trigger, \
     hx-trigger-after-settle, hx-trigger-after-swap",
);
const VARY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
/// How long browsers remember a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// The answer to a preflight, if the request is one.
pub(super) fn preflight(parts: &Parts, behaviour: Behaviour) -> Option<Response<Body>> {
    if parts.method != Method::OPTIONS || !parts.headers.contains_key(header::ORIGIN) {
        return None;
    }
    let method = parts.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let asked = parts.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let mut response = reply::empty(StatusCode::OK);
    let headers = response.headers_mut();
    if behaviour.has(Defect::CorsAsPublished) {
        if !METHODS_PUBLISHED.iter().any(|known| method == known) {
            return Some(reply::text(StatusCode::BAD_REQUEST, "Requested method is not allowed"));
        }
        let known = |name: &str| HEADERS_PUBLISHED.iter().any(|known| known.eq_ignore_ascii_case(name.trim()));
        if !asked.is_none_or(|asked| asked.to_str().is_ok_and(|names| names.split(',').all(known))) {
            return Some(reply::text(StatusCode::BAD_REQUEST, "One or more headers requested are not allowed"));
        }
        let list = |names: &[&str]| HeaderValue::try_from(names.join(", ")).ok();
        headers.extend(list(&METHODS_PUBLISHED).map(|value| (header::ACCESS_CONTROL_ALLOW_METHODS, value)));
        headers.extend(list(&HEADERS_PUBLISHED).map(|value| (header::ACCESS_CONTROL_ALLOW_HEADERS, value)));
    } else {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        if let Some(asked) = asked {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    Some(response)
}

/// Lets scripts of the origin read the response. What the service says of itself stays if there is no origin.
pub(super) fn expose(headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(header::VARY, VARY);
}

//! What the MoosicBox tunnel server answers by itself.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use serde_json::json;
use tunnel_core::{Body, Health, Response, TransportKind};
use tunnel_http::query;

use super::refusal;

/// The answer to `/health`, if the request asks for it.
pub(super) fn health(parts: &Parts, health: &Health) -> Option<Response> {
    if parts.uri.path() != "/health" || !matches!(parts.method, Method::GET | Method::HEAD) {
        return None;
    }
    let (transport, path, reason) = match health {
        Health::Healthy { path, .. } => (Some(TransportKind::P2p.name()), Some(path.name()), None),
        Health::Probing => (None, None, Some("connecting".to_owned())),
        Health::Down(failure) => (None, None, Some(failure.message().to_owned())),
    };
    let healthy = transport.is_some();
    let body = json!({
        "healthy": healthy,
        "hash": env!("CARGO_PKG_VERSION"),
        "transport": transport,
        "path": path,
        "reason": reason,
    });
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Some(Response { headers, ..Response::new(status, Body::full(body.to_string())) })
}

/// Exactly one `clientId`, and that of this gateway's host: two would let one tenant be checked and another be asked.
pub(super) fn check_client_id(parts: &Parts, configured: Option<&str>, health: &Health) -> Result<(), Box<Response>> {
    if query::count_any_case(&parts.uri, "clientId") > 1 {
        return Err(Box::new(refusal::text(StatusCode::BAD_REQUEST, "More than one clientId query param")));
    }
    let given = query::values(&parts.uri, "clientId").next();
    let Some(client_id) = given.as_deref().or(configured) else {
        return Err(Box::new(refusal::text(StatusCode::BAD_REQUEST, "Missing clientId query param")));
    };
    let announced = match health {
        Health::Healthy { client_id, .. } => client_id.as_deref(),
        Health::Probing | Health::Down(_) => None,
    };
    if [configured, announced].into_iter().flatten().any(|expected| expected != client_id) {
        return Err(Box::new(refusal::text(StatusCode::FAILED_DEPENDENCY, "Client with ID is not connected")));
    }
    Ok(())
}

//! What the MoosicBox tunnel server answers by itself.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use serde_json::json;
use tunnel_core::{Body, Health, PathKind, Response, TransportKind};
use tunnel_http::query;

use super::refusal;

/// The answer to `/health`, if the request asks for it.
pub(super) fn health(parts: &Parts, health: &Health) -> Option<Response> {
    if parts.uri.path() != "/health" || !matches!(parts.method, Method::GET | Method::HEAD) {
        return None;
    }
    let (transport, path, reason) = match health {
        Health::Healthy { path, .. } => (Some(transport(*path).name()), Some(path.name()), None),
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

/// Who carries requests that take this path.
const fn transport(path: PathKind) -> TransportKind {
    match path {
        PathKind::Server => TransportKind::Legacy,
        PathKind::Direct | PathKind::Relayed | PathKind::Unknown => TransportKind::P2p,
    }
}

/// Whether the request is about tokens, which a tunnel server answers.
pub(super) fn is_auth(parts: &Parts) -> bool {
    parts.uri.path().starts_with("/auth/")
}

/// The answer to a request about tokens that only a tunnel server can answer, when there is none. What the tunnel server
/// itself hands to the home server (reading a magic token) is left to the home server.
pub(super) fn no_tunnel_server(parts: &Parts) -> Option<Response> {
    let own = ["/auth/register-client", "/auth/signature-token", "/auth/validate-signature-token", "/auth/magic-token"];
    (parts.method == Method::POST && own.contains(&parts.uri.path())).then(|| {
        refusal::text(
            StatusCode::NOT_FOUND,
            format!(
                "There is no tunnel server behind this gateway to answer {}. Start the gateway with `--tunnel URL`.\n",
                parts.uri.path()
            ),
        )
    })
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

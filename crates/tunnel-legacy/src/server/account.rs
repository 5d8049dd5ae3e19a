//! The routes under `/auth`, and `/health`.

use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};
use serde_json::json;
use tunnel_core::{
    Body,
    moosicbox_tunnel::{TunnelEncoding, TunnelHttpRequest},
};

use super::{
    Defect, Shared,
    auth::{self, Tenant},
    connection::Connection,
    proxy,
    query::Params,
    reply::{self, Refusal},
    storage::{CLIENT_ID_CHARS_MAX, StorageError, TokenHash},
};

/// How long a signature token is good; as the published server.
const SIGNATURE_LIFETIME: Duration = Duration::from_hours(14 * 24);
const MAGIC_TOKEN: &str = "magicToken";

pub(super) fn health(shared: &Shared) -> Response<Body> {
    reply::json(&json!({"hash": shared.config.hash, "healthy": true}))
}

/// A client token for whoever knows the server's access token.
pub(super) async fn register(shared: &Shared, params: &Params, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let client_id = required(shared, params, auth::CLIENT_ID)?;
    auth::check_access_token(shared, headers)?;
    let token = fresh_token(shared)?;
    let added = shared.storage.add_client_token(client_id, &TokenHash::of(&token)).await;
    added.map_err(|error| not_added(&error))?;
    Ok(reply::json(&json!({"token": token})))
}

/// A signature token for whoever has a client token.
pub(super) async fn sign(shared: &Shared, params: &Params, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let client_id = required(shared, params, auth::CLIENT_ID)?;
    auth::check_client_token(shared, &Tenant::of(params, shared)?, headers).await?;
    let token = fresh_token(shared)?;
    let clock = &shared.config.clock;
    let (expires, now) = (clock.after(SIGNATURE_LIFETIME), clock.now());
    let added = shared.storage.add_signature_token(client_id, &TokenHash::of(&token), expires, now).await;
    added.map_err(|error| not_added(&error))?;
    Ok(reply::json(&json!({"token": token})))
}

pub(super) async fn validate_signature(shared: &Shared, params: &Params) -> Result<Response<Body>, Refusal> {
    auth::check_signature(shared, &Tenant::of(params, shared)?, params).await?;
    Ok(reply::json(&json!({"valid": true})))
}

/// Notes a magic token of the host, which then admits one who knows it.
pub(super) async fn add_magic_token(
    shared: &Shared,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let token = required(shared, params, MAGIC_TOKEN)?;
    let tenant = Tenant::of(params, shared)?;
    auth::check_client_token(shared, &tenant, headers).await?;
    let added = shared.storage.add_magic_token(&tenant.checked, &TokenHash::of(token)).await;
    added.map_err(|error| not_added(&error))?;
    Ok(reply::json(&json!({"success": true})))
}

/// Asks the host of the magic token what it admits to.
pub(super) async fn redeem_magic_token(
    shared: &Shared,
    connection: &Connection,
    params: &Params,
    profile: Option<String>,
) -> Result<Response<Body>, Refusal> {
    let token = required(shared, params, MAGIC_TOKEN)?;
    let owner = shared.storage.magic_token_client(&TokenHash::of(token), shared.config.clock.now()).await;
    let client_id = owner.map_err(|error| auth::storage_failed(&error))?.ok_or_else(auth::unauthorized)?;
    let request = TunnelHttpRequest {
        request_id: shared.next_id(),
        method: "GET".parse().map_err(|_| reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, "no such method"))?,
        path: "auth/magic-token".to_owned(),
        query: json!({MAGIC_TOKEN: token}),
        payload: None,
        headers: None,
        encoding: TunnelEncoding::Binary,
        profile,
    };
    proxy::forward(shared, connection, &client_id, request).await
}

/// A parameter that must come once: spelled exactly so, but for the client id, which the mended server takes in any
/// spelling.
fn required<'a>(shared: &Shared, params: &'a Params, name: &str) -> Result<&'a str, Refusal> {
    if !shared.config.behaviour.has(Defect::ClientIdTwice) && name == auth::CLIENT_ID && params.count_any_case(name) > 0
    {
        Tenant::of(params, shared)?;
        if let Some(value) = params.first_any_case(name) {
            return Ok(value);
        }
    }
    let wrong =
        |what: &str| reply::refusal(StatusCode::BAD_REQUEST, format!("Query deserialize error: {what} field `{name}`"));
    match params.count(name) {
        0 | 1 => params.last(name).ok_or_else(|| wrong("missing")),
        _ => Err(wrong("duplicate")),
    }
}

fn fresh_token(shared: &Shared) -> Result<String, Refusal> {
    shared.config.random.token().map_err(|error| {
        tracing::error!(%error, "no token can be made");
        reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, "no token can be made")
    })
}

fn not_added(error: &StorageError) -> Refusal {
    match error {
        StorageError::ClientIdTooLong => reply::refusal(
            StatusCode::BAD_REQUEST,
            format!("clientId has more than {CLIENT_ID_CHARS_MAX} characters: use a shorter one"),
        ),
        StorageError::Failed(_) => auth::storage_failed(error),
    }
}

//! Which request goes where, and who may ask.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body as _;
use hyper::body::Incoming;
use tunnel_core::{
    Body,
    convert::{PROFILE_HEADER, PROFILE_QUERY_KEY},
};

use super::{
    Defect, Shared, account,
    auth::{self, Tenant},
    connection::Connection,
    cors, proxy,
    query::Params,
    reply::{self, Refusal},
    request_body, ws,
};

/// Answers one request. The HTTP library drops the future, or the body, as soon as the app has gone.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    connection: &Connection,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    let waits_for_continue = parts.headers.contains_key(header::EXPECT);
    let origin = parts.headers.get(header::ORIGIN).cloned();
    let mut response = match cors::preflight(&parts, shared.config.behaviour) {
        Some(response) => response,
        None => match respond(shared, connection, parts, &mut body).await {
            Ok(response) => response,
            Err(refusal) => {
                if !body.is_end_stream() && !waits_for_continue {
                    request_body::drain(&mut body).await;
                }
                *refusal
            }
        },
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        cors::expose(response.headers_mut(), origin.as_ref());
    }
    response
}

async fn respond(
    shared: &Arc<Shared>,
    connection: &Connection,
    mut parts: Parts,
    body: &mut Incoming,
) -> Result<Response<Body>, Refusal> {
    let params = Params::new(parts.uri.query());
    match Route::of(&parts) {
        Route::Health => Ok(account::health(shared)),
        Route::Register => account::register(shared, &params, &parts.headers).await,
        Route::Sign => account::sign(shared, &params, &parts.headers).await,
        Route::ValidateSignature => account::validate_signature(shared, &params).await,
        Route::AddMagicToken => account::add_magic_token(shared, &params, &parts.headers).await,
        Route::RedeemMagicToken => {
            let profile = profile(&parts, &params);
            account::redeem_magic_token(shared, connection, &params, profile).await
        }
        Route::WebSocket => ws::open(shared, connection, &params, &mut parts).await,
        Route::File => {
            let tenant = Tenant::of(&params, shared)?;
            auth::check_signature(shared, &tenant, &params).await?;
            forward(shared, connection, tenant, &parts, body).await
        }
        Route::Any => {
            let tenant = Tenant::of(&params, shared)?;
            auth::check_client_token(shared, &tenant, &parts.headers).await?;
            forward(shared, connection, tenant, &parts, body).await
        }
        Route::None => Err(Box::new(reply::empty(StatusCode::NOT_FOUND))),
    }
}

async fn forward(
    shared: &Shared,
    connection: &Connection,
    tenant: Tenant,
    parts: &Parts,
    body: &mut Incoming,
) -> Result<Response<Body>, Refusal> {
    let client_id = tenant.asked()?;
    let drop_long = shared.config.behaviour.has(Defect::LongBodiesDropped);
    let body = request_body::read(body, drop_long, shared.config.limits.body_read_timeout).await?;
    let request = proxy::tunnelled(shared, parts, &body)?;
    proxy::forward(shared, connection, &client_id, request).await
}

/// The profile that a request names: in the query, or else in a header.
pub(super) fn profile(parts: &Parts, params: &Params) -> Option<String> {
    let header = || parts.headers.get(PROFILE_HEADER).and_then(|value| value.to_str().ok());
    params.last(PROFILE_QUERY_KEY).or_else(header).map(str::to_owned)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Health,
    Register,
    Sign,
    ValidateSignature,
    AddMagicToken,
    RedeemMagicToken,
    WebSocket,
    /// Signed requests to the host.
    File,
    /// All other requests to the host.
    Any,
    None,
}

impl Route {
    fn of(parts: &Parts) -> Self {
        let method = &parts.method;
        let post_or_head = [Method::POST, Method::HEAD].contains(method);
        let get_or_head = [Method::GET, Method::HEAD].contains(method);
        match parts.uri.path() {
            "/health" if method == Method::GET => Self::Health,
            "/ws" if method == Method::GET => Self::WebSocket,
            "/auth/register-client" if post_or_head => Self::Register,
            "/auth/signature-token" if post_or_head => Self::Sign,
            "/auth/validate-signature-token" if post_or_head => Self::ValidateSignature,
            "/auth/magic-token" if method == Method::POST => Self::AddMagicToken,
            "/auth/magic-token" if method == Method::GET => Self::RedeemMagicToken,
            "/files/track" if get_or_head || method == Method::OPTIONS => Self::File,
            path if get_or_head && is_cover(path) => Self::File,
            _ if is_forwarded(method) => Self::Any,
            _ => Self::None,
        }
    }
}

/// Whether the path is `/files/albums/{id}/{size}` or the same of artists.
fn is_cover(path: &str) -> bool {
    let rest = path.strip_prefix("/files/albums/").or_else(|| path.strip_prefix("/files/artists/"));
    let parts = rest.and_then(|rest| rest.split_once('/'));
    parts.is_some_and(|(id, size)| !id.is_empty() && !size.is_empty() && !size.contains('/'))
}

fn is_forwarded(method: &Method) -> bool {
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD].contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, path: &str) -> Route {
        Route::of(&Request::builder().method(method).uri(path).body(()).unwrap().into_parts().0)
    }

    #[test]
    fn routes_are_those_of_the_published_server() {
        assert_eq!(route("GET", "/health?clientId=a"), Route::Health);
        assert_eq!(route("POST", "/health"), Route::Any);
        assert_eq!(route("HEAD", "/auth/register-client"), Route::Register);
        assert_eq!(route("GET", "/auth/register-client"), Route::Any);
        assert_eq!(route("GET", "/files/track?x"), Route::File);
        assert_eq!(route("POST", "/files/track"), Route::Any);
        assert_eq!(route("GET", "/Files/Track"), Route::Any);
        assert_eq!(route("GET", "/files/albums/1/300x300"), Route::File);
        assert_eq!(route("HEAD", "/files/artists/a%20b/9x9"), Route::File);
        assert_eq!(route("GET", "/files/albums/1"), Route::Any);
        assert_eq!(route("GET", "/files/albums/1/2/3"), Route::Any);
        assert_eq!(route("PROPFIND", "/x"), Route::None);
        assert_eq!(route("TRACE", "/health"), Route::None);
    }
}

//! WebSockets: the handshake, and what hosts and apps have in common.

mod app;
mod host;
mod socket;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tunnel_core::Body;

use super::{
    Shared,
    auth::{self, Tenant},
    connection::Connection,
    hub::{App, Host, Hub},
    query::Params,
    reply::{self, Refusal},
    routes,
};

/// How long a connection may take to switch after the 101.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Asks for the additions of `spec/legacy.md`, and grants them.
const EXTENSIONS: HeaderName = HeaderName::from_static("x-tunnel-extensions");
const FLOW: &str = "flow";

/// A connection that becomes a WebSocket.
pub(super) struct Switched {
    upgrade: OnUpgrade,
    joined: Joined,
}

/// The place of a WebSocket in the hub, given back when dropped.
struct Joined {
    hub: Arc<Hub>,
    peer: Peer,
    /// Set for a session that dies without being signed off.
    forgotten: bool,
}

enum Peer {
    Host(Arc<Host>),
    App(Arc<App>),
}

impl Drop for Joined {
    fn drop(&mut self) {
        match &self.peer {
            Peer::Host(host) => {
                self.hub.statistics().host_left();
                if !self.forgotten {
                    host.outbox.end();
                    self.hub.host_leaves(host);
                }
            }
            Peer::App(app) => {
                app.outbox.end();
                self.hub.app_leaves(app);
            }
        }
    }
}

/// Opens a WebSocket: who has the signature may ask, as the host if the query says so.
pub(super) async fn open(
    shared: &Arc<Shared>,
    connection: &Connection,
    params: &Params,
    parts: &mut Parts,
) -> Result<Response<Body>, Refusal> {
    if params.last(auth::CLIENT_ID).is_none() && params.first_any_case(auth::CLIENT_ID).is_none() {
        return Err(query_error("missing field `clientId`"));
    }
    // Here the published server, too, takes only one.
    if params.count_any_case(auth::CLIENT_ID) > 1 {
        return Err(query_error("duplicate field `clientId`"));
    }
    let sender = match params.last("sender") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(query_error("provided string was not `true` or `false`")),
    };
    let tenant = Tenant::of(params, shared)?;
    auth::check_signature(shared, &tenant, params).await?;
    let client_id = tenant.checked;
    let (accept, upgrade) = handshake(parts)?;

    let mut response = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    let conn_id = shared.next_id();
    let peer = if sender {
        let flow = has_token(&parts.headers, &EXTENSIONS, FLOW);
        if flow {
            headers.insert(EXTENSIONS, HeaderValue::from_static(FLOW));
        }
        if let Err(error) = shared.storage.set_connection(&client_id, conn_id).await {
            return Err(auth::storage_failed(&error));
        }
        Peer::Host(shared.hub.host_joins(conn_id, client_id, flow))
    } else {
        let app = shared.hub.app_joins(conn_id, client_id, routes::profile(parts, params));
        let full = || reply::refusal(StatusCode::SERVICE_UNAVAILABLE, "too many WebSockets to this host are open");
        Peer::App(app.ok_or_else(full)?)
    };
    let joined = Joined { hub: Arc::clone(&shared.hub), peer, forgotten: false };
    connection.switch(Switched { upgrade, joined });
    Ok(response)
}

impl Switched {
    /// Carries messages until either side closes or fails. Dropping the future cuts the connection.
    pub(super) async fn run(self, shared: &Arc<Shared>) {
        let Self { upgrade, mut joined } = self;
        let conn_id = match &joined.peer {
            Peer::Host(host) => host.conn_id,
            Peer::App(app) => app.conn_id,
        };
        if let Ok(Ok(upgraded)) = timeout(SWITCH_TIMEOUT, upgrade).await {
            let io = TokioIo::new(upgraded);
            match &joined.peer {
                Peer::Host(host) => joined.forgotten = host::run(shared, Arc::clone(host), io).await,
                Peer::App(app) => app::run(shared, Arc::clone(app), io).await,
            }
        }
        let (forgotten, is_host) = (joined.forgotten, matches!(joined.peer, Peer::Host(_)));
        drop(joined);
        if is_host
            && !forgotten
            && let Err(error) = shared.storage.remove_connection(conn_id).await
        {
            tracing::warn!(%error, "a host that left is still written down as connected");
        }
    }
}

/// The server's half of the opening handshake (RFC 6455 §4.2.1).
fn handshake(parts: &mut Parts) -> Result<(HeaderValue, OnUpgrade), Refusal> {
    let asked = parts.version == Version::HTTP_11
        && has_token(&parts.headers, &header::CONNECTION, "upgrade")
        && has_token(&parts.headers, &header::UPGRADE, "websocket");
    if !asked {
        return Err(reply::refusal(StatusCode::BAD_REQUEST, "No WebSocket UPGRADE header found"));
    }
    if parts.headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut refusal = reply::refusal(StatusCode::UPGRADE_REQUIRED, "Only WebSocket version 13 is spoken here");
        refusal.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Err(refusal);
    }
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY);
    let accept = key.and_then(|key| HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok());
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    accept
        .zip(upgrade)
        .ok_or_else(|| reply::refusal(StatusCode::BAD_REQUEST, "The Sec-WebSocket-Key header is missing"))
}

fn query_error(message: &str) -> Refusal {
    reply::refusal(StatusCode::BAD_REQUEST, format!("Query deserialize error: {message}"))
}

/// Whether a comma-separated header holds this token, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

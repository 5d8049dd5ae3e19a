//! WebSockets: the handshake, and what hosts and apps have in common.

mod app;
mod host;
mod socket;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tunnel_core::Body;
use tunnel_http::{
    fields,
    handshake::{self, HandshakeError},
};

use crate::message::{EXTENSIONS_HEADER, FLOW_EXTENSION};

use super::{
    Defect, Shared,
    auth::{self, Tenant},
    connection::Connection,
    hub::{App, Host, Hub},
    query::Params,
    reply::{self, Refusal},
    routes,
};

/// How long a connection may take to switch after the 101.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(10);

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
    // Here the published server, too, takes only one.
    match params.count_any_case(auth::CLIENT_ID) {
        0 => return Err(query_error("missing field `clientId`")),
        1 => {}
        _ => return Err(query_error("duplicate field `clientId`")),
    }
    let sender = match params.last("sender") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(query_error("provided string was not `true` or `false`")),
    };
    let tenant = Tenant::of(params, shared)?;
    auth::check_signature(shared, &tenant, params).await?;
    let client_id = tenant.checked;
    let (headers, upgrade) = handshake(parts)?;

    let mut response = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    *response.headers_mut() = headers;
    let conn_id = shared.next_id();
    let peer = if sender {
        // A host is not told to wait by a server that waits for nobody.
        let endless = shared.config.behaviour.has(Defect::UnboundedBuffers);
        let flow = !endless && fields::has_token(&parts.headers, &EXTENSIONS_HEADER, FLOW_EXTENSION);
        if flow {
            response.headers_mut().insert(EXTENSIONS_HEADER, HeaderValue::from_static(FLOW_EXTENSION));
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

/// The server's half of the opening handshake: the headers of the 101, and the connection that switches.
fn handshake(parts: &mut Parts) -> Result<(HeaderMap, OnUpgrade), Refusal> {
    if !handshake::is_asked_for(parts) {
        return Err(reply::refusal(StatusCode::BAD_REQUEST, "No WebSocket UPGRADE header found"));
    }
    let headers = handshake::accept(&parts.headers).map_err(|error| match error {
        HandshakeError::Version => {
            let mut refusal = reply::refusal(StatusCode::UPGRADE_REQUIRED, error.to_string());
            refusal.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            refusal
        }
        _ => reply::refusal(StatusCode::BAD_REQUEST, error.to_string()),
    })?;
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let upgrade = upgrade.ok_or_else(|| reply::refusal(StatusCode::BAD_REQUEST, "The connection cannot switch"))?;
    Ok((headers, upgrade))
}

fn query_error(message: &str) -> Refusal {
    reply::refusal(StatusCode::BAD_REQUEST, format!("Query deserialize error: {message}"))
}

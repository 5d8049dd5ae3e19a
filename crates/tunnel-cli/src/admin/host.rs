//! What an operator may ask and tell a host.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer;

/// A running host, as its operator sees it.
pub(crate) struct HostAdmin {
    /// The service that it offers.
    pub(crate) service: String,
    /// Its client id.
    pub(crate) client_id: Option<String>,
    /// The ways to it.
    pub(crate) ways: Arc<dyn Ways>,
    /// Cancelled when the host is to finish.
    pub(crate) drain: CancellationToken,
    /// When it started.
    pub(crate) started: Instant,
}

/// The ways by which a host can be reached.
pub(crate) trait Ways: Send + Sync {
    /// Peer to peer: `peer_id`, `addresses`, `clients`, `known_peers`; `None` if it is turned off.
    fn p2p(&self) -> Option<Value>;

    /// The tunnel server: `url`, `health` (`state`, `message`); `None` if there is none.
    fn tunnel(&self) -> Option<Value>;
}

type Shared = State<Arc<HostAdmin>>;

impl HostAdmin {
    /// The routes of the endpoint.
    pub(crate) fn routes(self) -> Router {
        Router::new()
            .route("/", get(index))
            .route("/status", get(status))
            .route("/drain", post(drain))
            .with_state(Arc::new(self))
    }
}

async fn index() -> Response {
    answer(&json!({
        "host": "tunnel-p2p",
        "get": ["/status"],
        "post": { "/drain": "" },
        "post_header": format!("{}: 1", super::guard::X_TUNNEL_ADMIN),
    }))
}

async fn status(State(admin): Shared) -> Response {
    let (p2p, tunnel) = (admin.ways.p2p(), admin.ways.tunnel());
    answer(&json!({
        "role": "host",
        "version": env!("CARGO_PKG_VERSION"),
        "service": admin.service,
        "client_id": admin.client_id,
        "uptime_seconds": admin.started.elapsed().as_secs(),
        "draining": admin.drain.is_cancelled(),
        "health": health(p2p.is_some(), tunnel.as_ref()),
        "p2p": p2p,
        "tunnel": tunnel,
    }))
}

/// The peer-to-peer way needs nobody but this process; the tunnel may be away.
fn health(p2p: bool, tunnel: Option<&Value>) -> Value {
    match tunnel.map(|tunnel| &tunnel["health"]) {
        None => json!({ "state": "healthy" }),
        Some(health) if health["state"] == "healthy" => json!({ "state": "healthy" }),
        Some(health) => json!({
            "state": if p2p { "degraded" } else { "down" },
            "message": health["message"],
        }),
    }
}

async fn drain(State(admin): Shared) -> Response {
    admin.drain.cancel();
    answer(&json!({ "draining": true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_cut_off_from_its_tunnel_is_degraded_or_down() {
        let away = json!({ "health": { "state": "down", "message": "away" } });
        let there = json!({ "health": { "state": "healthy" } });
        assert_eq!(health(true, None)["state"], "healthy");
        assert_eq!(health(true, Some(&there))["state"], "healthy");
        assert_eq!(health(true, Some(&away)), json!({ "state": "degraded", "message": "away" }));
        assert_eq!(health(false, Some(&away))["state"], "down");
    }
}

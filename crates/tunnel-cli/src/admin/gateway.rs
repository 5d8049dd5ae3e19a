//! What an operator may ask and tell a gateway.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Query, State},
    http::{Method, StatusCode, Uri},
    response::Response,
    routing::{get, post},
};
use p2p_provider::iroh::IrohP2P;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tunnel_core::{Health, Transport};
use tunnel_router::{Mode, Question};

use super::{answer, refusal};
use crate::{
    peer_news,
    routing::{Reloader, Switched},
};

/// A running gateway, as its operator sees it.
pub(crate) struct GatewayAdmin {
    /// The router behind its kill switch.
    pub(crate) switched: Switched,
    /// Reads the configuration again.
    pub(crate) reloader: Arc<Reloader>,
    /// Cancelled when the gateway is to finish.
    pub(crate) drain: CancellationToken,
    /// Where apps connect.
    pub(crate) url: String,
    /// The profile's name.
    pub(crate) profile: String,
    /// When it started.
    pub(crate) started: Instant,
    /// Its peer, if it has one.
    pub(crate) peer: Option<IrohP2P>,
}

type Shared = State<Arc<GatewayAdmin>>;

impl GatewayAdmin {
    /// The routes of the endpoint.
    pub(crate) fn routes(self) -> Router {
        Router::new()
            .route("/", get(index))
            .route("/status", get(status))
            .route("/decisions", get(decisions))
            .route("/explain", get(explain))
            .route("/mode", post(mode))
            .route("/kill-switch", post(kill_switch))
            .route("/drain", post(drain))
            .route("/reload", post(reload))
            .with_state(Arc::new(self))
    }
}

async fn index() -> Response {
    answer(&json!({
        "gateway": "tunnel-p2p",
        "get": ["/status", "/decisions", "/explain?client_id=&method=&path="],
        "post": {
            "/mode": "{\"mode\": \"legacy|p2p-first|p2p-only|policy\"}",
            "/kill-switch": "{\"on\": true|false}",
            "/drain": "",
            "/reload": "",
        },
        "post_header": format!("{}: 1", super::guard::X_TUNNEL_ADMIN),
    }))
}

async fn status(State(admin): Shared) -> Response {
    let kill_switch = admin.switched.describe();
    answer(&json!({
        "role": "gateway",
        "version": env!("CARGO_PKG_VERSION"),
        "url": admin.url,
        "profile": admin.profile,
        "uptime_seconds": admin.started.elapsed().as_secs(),
        "draining": admin.drain.is_cancelled(),
        "health": health(&admin.switched.health()),
        "kill_switch": kill_switch,
        "configuration": admin.reloader.describe(),
        "network": admin.peer.as_ref().map(peer_news::describe),
        "router": admin.switched.router().status(),
    }))
}

async fn decisions(State(admin): Shared) -> Response {
    answer(&json!({ "decisions": admin.switched.router().decisions() }))
}

/// What to explain. Unknown names are errors, so that a typing error does not explain something else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    client_id: Option<String>,
    method: Option<String>,
    path: Option<String>,
}

async fn explain(
    State(admin): Shared,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let question = match asked {
        Ok(Query(asked)) => question(asked),
        Err(error) => Err(error.body_text()),
    };
    match question {
        Ok(question) => {
            admin.switched.look();
            answer(&json!(admin.switched.router().explain(&question)))
        }
        Err(message) => refusal(StatusCode::BAD_REQUEST, message),
    }
}

fn question(asked: Asked) -> Result<Question, String> {
    let path = asked.path.unwrap_or_default();
    let target: Uri = path.parse().map_err(|_| format!("path: {path:?} is not a path"))?;
    if !path.starts_with('/') {
        return Err(format!("path: {path:?} does not begin with /; write it as in path=/files/track"));
    }
    let method = asked.method.as_deref().unwrap_or("GET");
    let method: Method = method.parse().map_err(|_| format!("method: {method:?} is not a method"))?;
    // What an app leaves out it leaves out altogether.
    let client_id = asked.client_id.filter(|client_id| !client_id.is_empty());
    Ok(Question { client_id, method, target })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetMode {
    mode: String,
}

async fn mode(State(admin): Shared, body: Bytes) -> Response {
    let mode = match posted::<SetMode>(&body).map(|set| set.mode) {
        Ok(mode) if mode == "policy" => None,
        Ok(mode) => match mode.parse::<Mode>() {
            Ok(mode) => Some(mode),
            Err(error) => return refusal(StatusCode::BAD_REQUEST, format!("mode: {error}, or policy")),
        },
        Err(message) => {
            let write = "write {\"mode\": \"legacy\"}, p2p-first, p2p-only, or policy, which takes back what was set";
            return refusal(StatusCode::BAD_REQUEST, format!("{message}; {write}"));
        }
    };
    admin.switched.router().set_mode(mode);
    let name = mode.map_or("policy", Mode::name);
    tracing::warn!(mode = name, "the mode was set over the admin endpoint");
    answer(&json!({ "mode": name }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetKillSwitch {
    on: bool,
}

async fn kill_switch(State(admin): Shared, body: Bytes) -> Response {
    match posted::<SetKillSwitch>(&body) {
        Ok(set) => {
            // Off does not mean off while the file is there: the answer says what holds.
            admin.switched.set(set.on);
            answer(&admin.switched.describe())
        }
        Err(message) => refusal(StatusCode::BAD_REQUEST, message),
    }
}

async fn drain(State(admin): Shared) -> Response {
    admin.drain.cancel();
    answer(&json!({ "draining": true }))
}

async fn reload(State(admin): Shared) -> Response {
    match admin.reloader.reload() {
        Ok(reloading) => answer(&json!({
            "reloaded": true,
            "changed": reloading.changed,
            "needs_restart": reloading.needs_restart,
        })),
        Err(error) => refusal(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
    }
}

/// Reads a posted object, whatever content-type a shell puts beside it.
fn posted<T: serde::de::DeserializeOwned>(body: &Bytes) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is not what is asked for: {error}"))
}

/// What a request would use now.
pub(super) fn health(health: &Health) -> Value {
    match health {
        Health::Healthy { path, client_id } => {
            let transport = if *path == tunnel_core::PathKind::Server { "legacy" } else { "p2p" };
            json!({ "state": "healthy", "transport": transport, "path": path.name(), "client_id": client_id })
        }
        Health::Probing => json!({ "state": "connecting" }),
        Health::Down(failure) => {
            json!({ "state": "down", "reason": failure.kind().name(), "message": failure.message() })
        }
    }
}

//! The admin endpoint of `host` and `gateway`: what they know, and what an operator may change while they run.
//!
//! HTTP with JSON on a loopback address. Nothing secret is told; who may connect may change routes, so on a machine
//! with other users it stays off.

mod gateway;
mod guard;
mod host;
mod request;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{StatusCode, Uri},
    middleware,
    response::{IntoResponse, Response},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

pub(crate) use self::{
    gateway::GatewayAdmin,
    host::{HostAdmin, Ways},
    request::{AdminAddress, ask, tell},
};
use crate::error::CliError;

/// Where `status` and `explain` ask when nothing else is said.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:8018";

/// More than a dashboard and a few shells need.
const CONNECTIONS_MAX: usize = 16;
/// What is posted is a word or two.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// How long a connection may stay silent.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may last: longer than anybody needs, and no connection holds its place for ever.
const CONNECTION_TIMEOUT: Duration = Duration::from_mins(5);
/// How long accepting pauses after an error, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listening admin endpoint.
#[derive(Debug)]
pub(crate) struct AdminServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl AdminServer {
    /// Listens on a loopback address. Dropping the future binds nothing.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, CliError> {
        if !address.ip().is_loopback() {
            return Err(CliError::usage(format!("--admin {address} can be reached from other machines"))
                .next("the admin endpoint has no password: give a loopback address, such as 127.0.0.1:8018"));
        }
        let failed = |error: std::io::Error| {
            CliError::start(format!("the admin endpoint cannot listen on {address}"))
                .because(error)
                .next("choose another port with `--admin`, or leave it out")
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens, with the port that the system chose if none was given.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves these routes for ever. Dropping the future cuts everything.
    pub(crate) async fn serve(self, routes: Router) {
        let routes = guarded(routes);
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let accepted = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (permit, self.listener.accept().await)
            };
            tokio::select! {
                biased;
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                (permit, accepted) = accepted => match accepted {
                    Ok((stream, _)) => {
                        let service = TowerToHyperService::new(routes.clone());
                        let connection = http.serve_connection(TokioIo::new(stream), service);
                        connections.spawn(async move {
                            // Whoever asked has seen the end of the connection.
                            let _ = timeout(CONNECTION_TIMEOUT, connection).await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the admin endpoint cannot accept a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }
}

/// The routes behind the rules that keep web pages out.
fn guarded(routes: Router) -> Router {
    routes
        .fallback(|uri: Uri| async move { refusal(StatusCode::NOT_FOUND, format!("there is no {}", uri.path())) })
        .method_not_allowed_fallback(|| async { refusal(StatusCode::METHOD_NOT_ALLOWED, "not with this method") })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(guard::check))
}

fn answer(value: &Value) -> Response {
    axum::Json(value).into_response()
}

fn refusal(status: StatusCode, message: impl Into<String>) -> Response {
    (status, axum::Json(json!({ "error": message.into() }))).into_response()
}

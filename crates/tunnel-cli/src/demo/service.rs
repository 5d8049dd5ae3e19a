//! A small real HTTP service with everything that a tunnel could spoil.
//!
//! It stands alone: [`router`] is an axum router without a dependency on the rest of the program, [`serve`] runs it on
//! a listener. The index page (`/`) explains every endpoint.

mod content;
mod echo;
mod files;
mod streams;

use std::{
    io,
    sync::{Arc, atomic::AtomicUsize},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{Html, IntoResponse, Response},
    routing::{any, get, post},
    serve::ListenerExt,
};
use serde_json::json;
use tokio::net::TcpListener;

pub use self::content::Content;

/// Serves on `listener` until the future is dropped, or until the listener fails.
///
/// Dropping the future stops accepting; connections end with the runtime.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    let listener = listener.tap_io(|stream| {
        // Small answers must not wait for the acknowledgement of the one before.
        _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router()).await
}

/// The endpoints, with their own counters.
pub fn router() -> Router {
    Router::new()
        .route("/", get(index))
        .route("/files/{name}", get(files::file))
        .route("/api/echo", any(echo::echo))
        .route("/api/echo/{*rest}", any(echo::echo))
        .route("/upload", post(echo::upload).put(echo::upload))
        .route("/status/{code}", any(status))
        .route("/slow", get(streams::slow))
        .route("/sse", get(streams::events))
        .route("/ws", get(streams::web_socket))
        .route("/endless", get(streams::endless))
        .route("/active", get(active))
        .with_state(Streams::default())
}

/// How many endless streams are alive.
#[derive(Clone, Debug, Default)]
struct Streams(Arc<AtomicUsize>);

async fn active(State(streams): State<Streams>) -> Response {
    Json(json!({ "endless": streams.0.load(std::sync::atomic::Ordering::Relaxed) })).into_response()
}

async fn status(Path(code): Path<u16>) -> Response {
    match StatusCode::from_u16(code) {
        Ok(code) if code.as_u16() >= 200 => (code, [("x-demo-status", code.as_str().to_owned())]).into_response(),
        _ => (StatusCode::BAD_REQUEST, "a status is a number from 200 to 999\n").into_response(),
    }
}

async fn index() -> Html<&'static str> {
    Html(INDEX)
}

const INDEX: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><title>tunnel-p2p demo service</title>
<style>body{font:16px/1.5 system-ui;max-width:46em;margin:3em auto;padding:0 1em}dt{font-family:monospace;margin-top:.8em}</style>
<h1>tunnel-p2p demo service</h1>
<p>If you read this through the gateway, the page came to you over a QUIC stream.</p>
<dl>
<dt><a href="/files/10MiB.bin">/files/{size}.bin</a></dt>
<dd>That many pseudo-random bytes, always the same: <code>0</code>, <code>65537</code>, <code>10MiB</code>, <code>256MiB</code>.
ETag, Last-Modified, Range, If-Range, If-None-Match, HEAD. <code>x-content-sha256</code> on request: <code>?sha256</code>.</dd>
<dt><a href="/api/echo?a=1&amp;a=2">/api/echo</a></dt><dd>Any method: what arrived, as JSON.</dd>
<dt>/upload</dt><dd>POST or PUT: counts and hashes the body, lists its trailers.</dd>
<dt><a href="/sse?count=10">/sse?count=N</a></dt><dd>Server-sent events, one every 200 ms; without <code>count</code> for ever.</dd>
<dt>/ws</dt><dd>WebSocket echo, subprotocol <code>echo.v1</code>.</dd>
<dt><a href="/slow?ms=1000">/slow?ms=N</a></dt><dd>Answers after N ms, at most a minute.</dd>
<dt>/endless</dt><dd>Bytes until you leave.</dd>
<dt><a href="/active">/active</a></dt><dd>How many endless streams are alive.</dd>
<dt><a href="/status/404">/status/{code}</a></dt><dd>That status.</dd>
</dl></html>
"#;

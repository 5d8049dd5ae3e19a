//! A small real HTTP service with everything that a tunnel could spoil.
//!
//! It stands alone: [`router`] is an axum router without a dependency on the rest of the program, [`serve`] runs it on
//! a listener. The index page (`/`) explains every endpoint.

mod active;
mod content;
mod echo;
mod files;
mod heads;
mod streams;
mod web_sockets;

use std::io;

use axum::{
    Json, Router,
    extract::{Query, State},
    response::Html,
    routing::{any, get, post},
    serve::ListenerExt,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::active::Active;
pub use self::content::Content;
pub(crate) use self::heads::{COOKIES, GZIP, RAW};

/// How the service names itself in `/about`.
pub const NAME: &str = "tunnel-p2p demo";

/// Counts up whenever an endpoint is added or changed. A client that knows of a higher one cannot rely on what it sees.
pub const REVISION: u64 = 2;

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
        .route("/", get(async || Html(INDEX)))
        .route("/about", get(async || Json(json!({ "service": NAME, "revision": REVISION }))))
        .route("/files/{name}", get(files::file))
        .route("/api/echo", any(echo::echo))
        .route("/api/echo/{*rest}", any(echo::echo))
        .route("/upload", post(echo::upload).put(echo::upload))
        .route("/duplex", post(echo::duplex))
        .route("/status/{code}", any(heads::status))
        .route("/headers", get(heads::headers))
        .route("/redirect", get(heads::redirect))
        .route("/compressed", get(heads::compressed))
        .route("/trailers", get(heads::trailers))
        .route("/slow", get(streams::slow))
        .route("/sse", get(streams::events))
        .route("/drip", get(streams::drip))
        .route("/cut", get(streams::cut))
        .route("/endless", get(streams::endless))
        .route("/ws", get(web_sockets::echo))
        .route("/ws/about", get(web_sockets::about))
        .route("/ws/count", get(web_sockets::count))
        .route("/ws/refused", get(web_sockets::refused))
        .route("/active", get(active))
        .with_state(Active::default())
}

#[derive(Debug, Deserialize)]
struct Tagged {
    /// What the client calls its request, so that it can ask for it alone.
    tag: Option<String>,
}

async fn active(State(active): State<Active>, Query(query): Query<Tagged>) -> Json<Value> {
    Json(active.counts(query.tag.as_deref()))
}

const INDEX: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><title>tunnel-p2p demo service</title>
<style>body{font:16px/1.5 system-ui;max-width:46em;margin:3em auto;padding:0 1em}dt{font-family:monospace;margin-top:.8em}</style>
<h1>tunnel-p2p demo service</h1>
<p>If you read this through the gateway, the page came to you over a QUIC stream.</p>
<dl>
<dt><a href="/files/10MiB.bin">/files/{size}.bin</a></dt>
<dd>That many pseudo-random bytes, always the same: <code>0</code>, <code>65537</code>, <code>10MiB</code>, <code>256MiB</code>.
ETag, Last-Modified, Range, If-Range, If-None-Match, If-Match, HEAD. <code>x-content-sha256</code> on request: <code>?sha256</code>.</dd>
<dt><a href="/api/echo?a=1&amp;a=2">/api/echo</a></dt><dd>Any method: what arrived, as JSON; the bytes of header values as Latin-1.</dd>
<dt>/upload</dt><dd>POST or PUT: counts and hashes the body, lists its trailers.</dd>
<dt>/duplex</dt><dd>POST: sends every piece of the body back as it arrives.</dd>
<dt><a href="/sse?count=10">/sse?count=N&amp;ms=T</a></dt><dd>Server-sent events, one every T ms (200); without <code>count</code> for ever.</dd>
<dt><a href="/drip?count=20&amp;bytes=1&amp;ms=100">/drip?count=N&amp;bytes=B&amp;ms=T</a></dt><dd>The head at once, then N pieces of B bytes, each after T ms.</dd>
<dt><a href="/slow?ms=1000">/slow?ms=T</a></dt><dd>Answers after T ms, at most a minute.</dd>
<dt>/endless</dt><dd>Bytes until you leave.</dd>
<dt>/cut?bytes=B&amp;length=L</dt><dd>B bytes, then the connection breaks; <code>length</code> is declared before.</dd>
<dt><a href="/headers?bytes=1000">/headers?bytes=B</a></dt><dd>Repeated, empty and non-ASCII response headers, and one of B bytes.</dd>
<dt><a href="/trailers">/trailers</a></dt><dd>A response with trailers, for those who ask with <code>te: trailers</code>.</dd>
<dt><a href="/compressed">/compressed</a></dt><dd>A text in gzip, whether you accept it or not.</dd>
<dt><a href="/redirect">/redirect</a></dt><dd>302 to <code>/files/1.bin</code>.</dd>
<dt><a href="/status/404">/status/{code}</a></dt><dd>That status, with a sentence from 400 on.</dd>
<dt>/ws</dt><dd>WebSocket echo, subprotocol <code>echo.v1</code>; <code>close CODE REASON</code> makes the service close.</dd>
<dt>/ws/about, /ws/count?count=N, /ws/refused</dt><dd>What arrived in the handshake; N messages; 403.</dd>
<dt><a href="/active">/active?tag=T</a></dt><dd>How many endless streams, uploads and WebSockets are open; those opened with that <code>tag</code>.</dd>
<dt><a href="/about">/about</a></dt><dd>Who this is.</dd>
</dl></html>
"#;

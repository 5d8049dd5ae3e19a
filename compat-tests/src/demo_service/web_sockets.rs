//! `/ws`: WebSockets.

use axum::{
    extract::{
        Query, Request, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Tagged,
    active::{Active, Kind},
    echo::list,
};

/// The largest message that is echoed, in bytes.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The most messages of `/ws/count`.
const COUNT_MAX: u32 = 100_000;

/// Echoes until the client closes. The text `close CODE REASON` makes the service close first, `close` without a code.
pub(super) async fn echo(
    State(active): State<Active>,
    Query(query): Query<Tagged>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let entry = active.enter(Kind::WebSocket, query.tag);
    upgrade.protocols(["echo.v1"]).max_message_size(MESSAGE_BYTES_MAX).on_upgrade(async move |socket| {
        echo_messages(socket).await;
        drop(entry);
    })
}

/// Sends what arrived in the handshake, and closes.
pub(super) async fn about(upgrade: WebSocketUpgrade, request: Request) -> Response {
    let target = request.uri().to_string();
    let about = json!({ "target": target, "headers": list(request.headers()) }).to_string();
    upgrade.on_upgrade(async move |mut socket| {
        if socket.send(Message::text(about)).await.is_ok() {
            close(socket, 1000, "that is what arrived").await;
        }
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct CountQuery {
    count: Option<u32>,
}

/// Sends numbers without being asked, and closes.
pub(super) async fn count(Query(query): Query<CountQuery>, upgrade: WebSocketUpgrade) -> Response {
    let count = query.count.unwrap_or(10).min(COUNT_MAX);
    upgrade.on_upgrade(async move |mut socket| {
        for number in 0..count {
            if socket.send(Message::text(number.to_string())).await.is_err() {
                return;
            }
        }
        close(socket, 1000, "counted").await;
    })
}

pub(super) async fn refused() -> Response {
    (StatusCode::FORBIDDEN, [("x-demo-status", "403")], "no WebSocket for you\n").into_response()
}

async fn echo_messages(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let answer = match message {
            Message::Text(text) => match close_request(&text) {
                Some(frame) => Message::Close(frame),
                None => Message::Text(text),
            },
            Message::Binary(bytes) => Message::Binary(bytes),
            // The library answers pings and closes.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => continue,
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}

/// Closes, and reads until the client has closed too: whoever drops a socket with unread data resets it.
async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    if socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await.is_ok() {
        while let Some(Ok(_)) = socket.recv().await {}
    }
}

#[expect(clippy::option_option, reason = "a close frame may be empty")]
fn close_request(text: &str) -> Option<Option<CloseFrame>> {
    if text == "close" {
        return Some(None);
    }
    let (code, reason) = text.strip_prefix("close ")?.split_once(' ')?;
    Some(Some(CloseFrame { code: code.parse().ok()?, reason: reason.to_owned().into() }))
}

//! Answers that take their time: events, WebSocket, slow, endless.

use std::{convert::Infallible, sync::atomic::Ordering, time::Duration};

use axum::{
    body::Body,
    extract::{
        Query, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::header,
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::Deserialize;
use tokio::time::sleep;

use super::{Content, Streams};

/// Time between two server-sent events.
const EVENT_INTERVAL: Duration = Duration::from_millis(200);

/// Time between two pieces of `/endless`: about 3 MB/s, so that it loads nothing.
const ENDLESS_INTERVAL: Duration = Duration::from_millis(20);

/// The longest that `/slow` waits, in milliseconds.
const SLOW_MAX: u64 = 60_000;

/// The largest WebSocket message that is echoed, in bytes.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Deserialize)]
pub(super) struct SlowQuery {
    ms: Option<u64>,
}

pub(super) async fn slow(Query(query): Query<SlowQuery>) -> String {
    let ms = query.ms.unwrap_or(1000).min(SLOW_MAX);
    sleep(Duration::from_millis(ms)).await;
    format!("answered after {ms} ms\n")
}

#[derive(Debug, Deserialize)]
pub(super) struct EventsQuery {
    count: Option<u64>,
}

pub(super) async fn events(Query(query): Query<EventsQuery>) -> Response {
    let end = query.count.unwrap_or(u64::MAX);
    let events = stream::unfold(0, move |number| async move {
        if number >= end {
            return None;
        }
        if number > 0 {
            sleep(EVENT_INTERVAL).await;
        }
        let event = format!("id: {number}\nevent: tick\ndata: {{\"number\":{number}}}\n\n");
        Some((Ok::<_, Infallible>(event), number + 1))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(events)).into_response()
}

pub(super) async fn endless(State(streams): State<Streams>) -> Response {
    let alive = Alive::new(streams);
    let piece = Content::new(1 << 16).pieces(0..1 << 16).next().unwrap_or_default();
    let pieces = stream::unfold(alive, move |alive| {
        let piece = piece.clone();
        async move {
            sleep(ENDLESS_INTERVAL).await;
            Some((Ok::<_, Infallible>(piece), alive))
        }
    });
    Body::from_stream(pieces).into_response()
}

/// Counts one endless stream for as long as it lives.
struct Alive(Streams);

impl Alive {
    fn new(streams: Streams) -> Self {
        streams.0.fetch_add(1, Ordering::Relaxed);
        Self(streams)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) async fn web_socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["echo.v1"]).max_message_size(MESSAGE_BYTES_MAX).on_upgrade(echo_messages)
}

/// Echoes until the client closes. The text `close CODE REASON` makes the service close first.
async fn echo_messages(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let answer = match message {
            Message::Text(text) => match close_request(&text) {
                Some(frame) => Message::Close(Some(frame)),
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

fn close_request(text: &str) -> Option<CloseFrame> {
    let (code, reason) = text.strip_prefix("close ")?.split_once(' ')?;
    Some(CloseFrame { code: code.parse().ok()?, reason: reason.to_owned().into() })
}

//! Answers that take their time, or never end well.

use std::{convert::Infallible, io, time::Duration};

use axum::{
    body::Body,
    extract::{Query, State},
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde::Deserialize;
use tokio::time::sleep;

use super::{
    Content, Tagged,
    active::{Active, Kind},
};

/// Time between two server-sent events unless the client says, in milliseconds.
const EVENT_MS: u64 = 200;

/// Time between two pieces of `/endless`: about 3 MB/s, so that it loads nothing.
const ENDLESS_INTERVAL: Duration = Duration::from_millis(20);

/// The longest wait that a client may ask for, in milliseconds.
const MS_MAX: u64 = 60_000;

/// The largest piece of `/drip`, in bytes.
const DRIP_BYTES_MAX: u64 = 1 << 20;

/// How long the bytes before a cut have for leaving the process.
const CUT_DELAY: Duration = Duration::from_millis(20);

#[derive(Debug, Deserialize)]
pub(super) struct SlowQuery {
    ms: Option<u64>,
}

pub(super) async fn slow(Query(query): Query<SlowQuery>) -> String {
    let ms = query.ms.unwrap_or(1000).min(MS_MAX);
    sleep(Duration::from_millis(ms)).await;
    format!("answered after {ms} ms\n")
}

#[derive(Debug, Deserialize)]
pub(super) struct EventsQuery {
    count: Option<u64>,
    ms: Option<u64>,
}

pub(super) async fn events(Query(query): Query<EventsQuery>) -> Response {
    let end = query.count.unwrap_or(u64::MAX);
    let interval = Duration::from_millis(query.ms.unwrap_or(EVENT_MS).min(MS_MAX));
    let events = stream::unfold(0, move |number| async move {
        if number >= end {
            return None;
        }
        if number > 0 {
            sleep(interval).await;
        }
        let event = format!("id: {number}\nevent: tick\ndata: {{\"number\":{number}}}\n\n");
        Some((Ok::<_, Infallible>(event), number + 1))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(events)).into_response()
}

#[derive(Debug, Deserialize)]
pub(super) struct DripQuery {
    count: Option<u64>,
    bytes: Option<u64>,
    ms: Option<u64>,
}

pub(super) async fn drip(Query(query): Query<DripQuery>) -> Response {
    let count = query.count.unwrap_or(10);
    let piece = first_piece(query.bytes.unwrap_or(1).min(DRIP_BYTES_MAX));
    let interval = Duration::from_millis(query.ms.unwrap_or(100).min(MS_MAX));
    let pieces = stream::unfold(0, move |number| {
        let piece = piece.clone();
        async move {
            if number >= count {
                return None;
            }
            sleep(interval).await;
            Some((Ok::<_, Infallible>(piece), number + 1))
        }
    });
    Body::from_stream(pieces).into_response()
}

#[derive(Debug, Deserialize)]
pub(super) struct CutQuery {
    bytes: Option<u64>,
    length: Option<u64>,
}

pub(super) async fn cut(Query(query): Query<CutQuery>) -> Response {
    let bytes = query.bytes.unwrap_or(1000);
    let content = Content::new(bytes).pieces(0..bytes).map(Ok);
    let end = stream::once(async {
        sleep(CUT_DELAY).await;
        Err(io::Error::other("cut, as the client wanted it"))
    });
    let mut response = Body::from_stream(stream::iter(content).chain(end)).into_response();
    if let Some(length) = query.length {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    response
}

pub(super) async fn endless(State(active): State<Active>, Query(query): Query<Tagged>) -> Response {
    let entry = active.enter(Kind::Endless, query.tag);
    let piece = first_piece(1 << 16);
    let pieces = stream::unfold(entry, move |entry| {
        let piece = piece.clone();
        async move {
            sleep(ENDLESS_INTERVAL).await;
            Some((Ok::<_, Infallible>(piece), entry))
        }
    });
    Body::from_stream(pieces).into_response()
}

fn first_piece(bytes: u64) -> Bytes {
    Content::new(bytes).pieces(0..bytes).next().unwrap_or_default()
}

//! `/api/echo`, `/upload` and `/duplex`: what arrived.

use axum::{
    Json,
    body::Body,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use data_encoding::HEXLOWER;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Tagged,
    active::{Active, Kind},
};

pub(super) async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or_else(|| parts.uri.to_string(), ToString::to_string);
    match read(body).await {
        Ok(received) => {
            let method = parts.method.as_str();
            let echo = json!({
                "method": method,
                "target": target,
                "headers": list(&parts.headers),
                "body_bytes": received.bytes,
                "body_sha256": received.sha256,
            });
            ([("x-demo-method", method)], Json(echo)).into_response()
        }
        Err(error) => broke_off(&error),
    }
}

pub(super) async fn upload(State(active): State<Active>, Query(query): Query<Tagged>, body: Body) -> Response {
    let _entry = active.enter(Kind::Upload, query.tag);
    match read(body).await {
        Ok(received) => Json(json!({
            "bytes": received.bytes,
            "sha256": received.sha256,
            "trailers": list(&received.trailers),
        }))
        .into_response(),
        Err(error) => broke_off(&error),
    }
}

/// The head leaves before the body has arrived, and every piece as it comes.
pub(super) async fn duplex(body: Body) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(body.into_data_stream())).into_response()
}

struct Received {
    bytes: usize,
    sha256: String,
    trailers: HeaderMap,
}

async fn read(mut body: Body) -> Result<Received, axum::Error> {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await.transpose()? {
        match frame.into_data() {
            Ok(data) => {
                bytes += data.len();
                hash.update(&data);
            }
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok(Received { bytes, sha256: HEXLOWER.encode(&hash.finalize()), trailers })
}

fn broke_off(error: &axum::Error) -> Response {
    (StatusCode::BAD_REQUEST, format!("the body broke off: {error}\n")).into_response()
}

/// Name and value of every header, repeated ones repeated, in the order of arrival per name. A byte is the character of
/// that number, so that nothing is lost.
pub(super) fn list(headers: &HeaderMap) -> Value {
    headers.iter().map(|(name, value)| json!([name.as_str(), latin1(value.as_bytes())])).collect()
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

//! `/api/echo` and `/upload`: what arrived.

use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use data_encoding::HEXLOWER;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(super) async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or_else(|| parts.uri.to_string(), ToString::to_string);
    match read(body).await {
        Ok(received) => Json(json!({
            "method": parts.method.as_str(),
            "target": target,
            "headers": list(&parts.headers),
            "body_bytes": received.bytes,
            "body_sha256": received.sha256,
        }))
        .into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("the body broke off: {error}\n")).into_response(),
    }
}

pub(super) async fn upload(body: Body) -> Response {
    match read(body).await {
        Ok(received) => Json(json!({
            "bytes": received.bytes,
            "sha256": received.sha256,
            "trailers": list(&received.trailers),
        }))
        .into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("the body broke off: {error}\n")).into_response(),
    }
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

/// Name and value of every header, repeated ones repeated, in the order of arrival per name.
fn list(headers: &HeaderMap) -> Value {
    headers.iter().map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())])).collect()
}

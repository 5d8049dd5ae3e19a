//! Requests that a host answers.

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header, request::Parts};
use tokio::time::timeout;
use tunnel_core::{
    Body, Failure, FailureKind,
    convert::{LegacyLoss, to_tunnel},
    moosicbox_tunnel::TunnelHttpRequest,
};

use crate::message::ToHost;

use super::{
    Defect, Shared, auth,
    connection::Connection,
    hub::{Host, NotStarted},
    reply::{self, Patience, Refusal, ResponseBody},
};

/// Turns a request into the tunnel's form, refusing what has none.
pub(super) fn tunnelled(shared: &Shared, parts: &Parts, body: &Bytes) -> Result<TunnelHttpRequest, Refusal> {
    let (mut request, losses) = to_tunnel(parts, Some(body), shared.next_id());
    for loss in losses {
        match loss {
            LegacyLoss::BodyNotJson => {
                let error = serde_json::from_slice::<serde::de::IgnoredAny>(body).err();
                let message = error.map_or_else(|| "the body is not JSON".to_owned(), |error| error.to_string());
                return Err(reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, message));
            }
            LegacyLoss::BodyNull if shared.config.behaviour.has(Defect::NullBodiesLost) => {
                request.payload = Some(serde_json::Value::Null);
            }
            LegacyLoss::BodyNull => {
                let message = "the JSON body `null` cannot be told from no body by hosts: send another or none";
                return Err(reply::refusal(StatusCode::BAD_REQUEST, message));
            }
            _ => {}
        }
    }
    Ok(request)
}

/// Asks the host of the client id, and answers with the head of its response as soon as that is there. Dropping the
/// future, or the body of the response, aborts the request.
pub(super) async fn forward(
    shared: &Shared,
    connection: &Connection,
    client_id: &str,
    request: TunnelHttpRequest,
) -> Result<Response<Body>, Refusal> {
    let host = connected(shared, client_id).await?;
    let head_only = request.method.to_string() == "HEAD";
    let request_id = request.request_id;
    let text = ToHost::Http { request: Box::new(request), base64: false }.to_text();
    let started = shared.hub.start(&host, request_id, text, connection.cut.clone());
    let mut request = started.map_err(not_started)?;
    let exchange = Arc::clone(&request.exchange);
    let head = poll_fn(|cx| exchange.poll_head(cx));
    let limits = &shared.config.limits;
    let endless = shared.config.behaviour.has(Defect::NoHeadTimeout);
    let head = if endless {
        head.await
    } else {
        let late = || Failure::new(FailureKind::Timeout, "the host has not answered in time");
        timeout(limits.head_timeout, head).await.unwrap_or_else(|_| Err(late()))
    };
    let (status, headers) = reply::head(head.map_err(|failure| reply::failed(&failure))?)?;
    request.bodyless = head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let patience = if endless {
        Patience { idle: Duration::ZERO, gap: Duration::ZERO }
    } else {
        Patience { idle: limits.idle_timeout, gap: limits.head_timeout }
    };
    let length = if request.bodyless { None } else { content_length(&headers) };
    let mut response = Response::new(Body::stream(ResponseBody::new(request, patience, length)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn connected(shared: &Shared, client_id: &str) -> Result<Arc<Host>, Refusal> {
    if let Some(host) = shared.hub.host(client_id) {
        return Ok(host);
    }
    if shared.config.behaviour.has(Defect::StaleConnectionsHang) {
        let written = shared.storage.has_connection(client_id).await;
        if written.map_err(|error| auth::storage_failed(&error))? {
            std::future::pending::<()>().await;
        }
    }
    Err(not_connected())
}

fn not_connected() -> Refusal {
    reply::refusal(StatusCode::FAILED_DEPENDENCY, "Client with ID is not connected")
}

fn not_started(reason: NotStarted) -> Refusal {
    let message = match reason {
        NotStarted::Gone => return not_connected(),
        NotStarted::TooMany => "too many requests to this host are under way",
        NotStarted::NotRead => "the host does not read its requests fast enough",
    };
    let mut refusal = reply::failed(&Failure::new(FailureKind::Overloaded, message));
    refusal.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
    refusal
}

//! Answers that the gateway gives by itself.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tunnel_core::{Body, Failure, FailureKind, Response};

pub(super) const X_TUNNEL_REASON: HeaderName = HeaderName::from_static("x-tunnel-reason");

/// A plain text answer. The body is one line.
pub(super) fn text(status: StatusCode, message: impl Into<String>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Response { headers, ..Response::new(status, Body::full(message.into())) }
}

/// What the app is told when there is no response: the cause, and what to do next.
pub(super) fn failure(failure: &Failure, tunnel_headers: bool) -> Response {
    let kind = failure.kind();
    let stop = if failure.message().ends_with(['.', '?', '!']) { "" } else { "." };
    let mut response = text(kind.status(), format!("{failure}{stop} {}\n", advice(kind)));
    if tunnel_headers {
        response.headers.insert(X_TUNNEL_REASON, HeaderValue::from_static(kind.name()));
    }
    if response.status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

const fn advice(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Timeout | FailureKind::ServiceTimeout => {
            "It may or may not have been carried out: look before you repeat it."
        }
        FailureKind::Overloaded | FailureKind::Refused | FailureKind::ShuttingDown => "Try again in a second.",
        FailureKind::TooLarge => "Send less, or raise the limit on the host.",
        FailureKind::BadRequest => "Change the request.",
        FailureKind::Unauthorized => "Get a fresh ticket from the host and start the gateway with it.",
        FailureKind::Unreachable => "Check that the host is running and online; the gateway keeps trying to reach it.",
        FailureKind::ServiceUnreachable => "Start the service on the host, or correct the address of it there.",
        FailureKind::ServiceFailed => "Look into the log of the service on the host.",
        FailureKind::Protocol => "Run the same version of tunnel-p2p on both sides.",
        FailureKind::Unsupported => "Ask again when the peer-to-peer way is up, or allow the loss on the gateway.",
        FailureKind::Internal => "Look into the log of the gateway.",
        _ => "Try again; if the request changes something, look first whether it was carried out.",
    }
}

//! Answers that the gateway gives by itself.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tunnel_core::{Body, Failure, FailureKind, Response, SendError};

/// Why a response came the way it came, or why there is none.
pub(super) const X_TUNNEL_REASON: HeaderName = HeaderName::from_static("x-tunnel-reason");
/// Whether a request without a response was carried out.
pub(super) const X_TUNNEL_OUTCOME: HeaderName = HeaderName::from_static("x-tunnel-outcome");

/// Whether the service may have seen the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has not: repeating the request is safe.
    NotExecuted,
    /// Nobody knows.
    Unknown,
}

impl Outcome {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NotExecuted => "not-executed",
            Self::Unknown => "unknown",
        }
    }

    /// The outcome of an opening handshake, whose failures say nothing beside their kind.
    const fn of_handshake(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Refused
            | FailureKind::Overloaded
            | FailureKind::Unauthorized
            | FailureKind::Unreachable
            | FailureKind::ServiceUnreachable
            | FailureKind::BadRequest
            | FailureKind::Unsupported => Self::NotExecuted,
            _ => Self::Unknown,
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::NotExecuted => "The request was not carried out.",
            Self::Unknown => "It is not known whether the request was carried out.",
        }
    }
}

/// A plain text answer. The body is one line.
pub(super) fn text(status: StatusCode, message: impl Into<String>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Response { headers, ..Response::new(status, Body::full(message.into())) }
}

/// What the app is told when a request got no response.
pub(super) fn unanswered(error: &SendError) -> Response {
    let outcome = if error.may_have_been_delivered() { Outcome::Unknown } else { Outcome::NotExecuted };
    failure(error.failure(), outcome)
}

/// What the app is told when its WebSocket was not opened.
pub(super) fn not_opened(error: &Failure) -> Response {
    failure(error, Outcome::of_handshake(error.kind()))
}

/// What the app is told when there is no response: the cause, what became of the request, and what to do next.
pub(super) fn failure(failure: &Failure, outcome: Outcome) -> Response {
    let kind = failure.kind();
    let stop = if failure.message().ends_with(['.', '?', '!']) { "" } else { "." };
    let mut message = format!("{failure}{stop} {}", outcome.sentence());
    if let Some(advice) = advice(kind) {
        message = format!("{message} {advice}");
    } else {
        message.push_str(match outcome {
            Outcome::NotExecuted => " Try again.",
            Outcome::Unknown => " If it changes something, look before you repeat it.",
        });
    }
    message.push('\n');
    let mut response = text(kind.status(), message);
    response.headers.insert(X_TUNNEL_REASON, HeaderValue::from_static(kind.name()));
    response.headers.insert(X_TUNNEL_OUTCOME, HeaderValue::from_static(outcome.name()));
    if response.status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// What to do next, where the kind alone says it.
const fn advice(kind: FailureKind) -> Option<&'static str> {
    Some(match kind {
        FailureKind::Overloaded | FailureKind::Refused | FailureKind::ShuttingDown => "Try again in a second.",
        FailureKind::TooLarge => "Send less, or raise the limit on the host.",
        FailureKind::BadRequest => "Change the request.",
        FailureKind::Unauthorized => {
            "Get a fresh ticket from the host, or a token from the tunnel server, and start the gateway with it."
        }
        FailureKind::Unreachable => "Check that the host is running and online; the gateway keeps trying to reach it.",
        FailureKind::ServiceUnreachable => "Start the service on the host, or correct the address of it there.",
        FailureKind::ServiceFailed => "Look into the log of the service on the host.",
        FailureKind::Protocol => "Run the same version of tunnel-p2p on both sides.",
        FailureKind::Unsupported => {
            "Only the peer-to-peer way can carry it. Headers and query may be lost on the tunnel if the gateway allows it \
             (`--tunnel-allow-loss`), a body or method never."
        }
        FailureKind::Internal => "Look into the log of the gateway.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_says_in_words_what_became_of_the_request() {
        for kind in FailureKind::ALL {
            for outcome in [Outcome::NotExecuted, Outcome::Unknown] {
                let response = failure(&Failure::new(kind, "it broke"), outcome);
                let text = String::from_utf8(response.body.as_bytes().unwrap().to_vec()).unwrap();
                assert!(text.starts_with(&format!("it broke. {} ", outcome.sentence())), "{text}");
                assert_eq!(response.headers[X_TUNNEL_REASON], kind.name());
                assert_eq!(response.headers[X_TUNNEL_OUTCOME], outcome.name());
            }
        }
    }

    #[test]
    fn a_handshake_that_timed_out_may_have_been_seen() {
        assert_eq!(not_opened(&Failure::new(FailureKind::Timeout, "late")).headers[X_TUNNEL_OUTCOME], "unknown");
        let unreachable = Failure::new(FailureKind::Unreachable, "no way");
        assert_eq!(not_opened(&unreachable).headers[X_TUNNEL_OUTCOME], "not-executed");
    }
}

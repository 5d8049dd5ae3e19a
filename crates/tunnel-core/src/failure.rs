//! What can go wrong with a request, in words that a caller can act on.

use std::borrow::Cow;

use http::StatusCode;

use crate::Request;

/// Why an exchange failed.
///
/// Cheap to clone; the message is one plain sentence that names the cause and, where there is one, the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    kind: FailureKind,
    message: Cow<'static, str>,
}

impl Failure {
    /// A failure of this kind, explained by `message`.
    pub fn new(kind: FailureKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The kind, on which callers branch.
    #[must_use]
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// The kinds of failure, with the party that caused each.
///
/// The numbers are part of the peer-to-peer wire (`spec/wire.md`): they are reset codes and the code of a `FAIL` frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u16)]
pub enum FailureKind {
    /// The other side gave up: its caller left, or it dropped the body.
    Aborted = 1,
    /// Network: no answer, or no progress, within the configured time.
    Timeout = 2,
    /// Peer: it did not take the request and says so (draining, for example). Nothing was delivered.
    Refused = 3,
    /// A message, head or frame is larger than a limit allows.
    TooLarge = 4,
    /// Peer or local: too many requests at once. Nothing was delivered.
    Overloaded = 5,
    /// Peer: our credential is missing, wrong or revoked. Nothing was delivered.
    Unauthorized = 6,
    /// Our own mistake.
    Internal = 7,
    /// The process is stopping.
    ShuttingDown = 8,
    /// Peer: it broke the protocol.
    Protocol = 9,
    /// Network: there is no connection to the peer.
    Unreachable = 10,
    /// Network: the connection was lost while the exchange was under way.
    ConnectionLost = 11,
    /// The local service behind the host does not accept connections. Nothing was delivered to it.
    ServiceUnreachable = 12,
    /// The local service behind the host did not answer in time.
    ServiceTimeout = 13,
    /// The local service behind the host broke off or answered with something that is not HTTP.
    ServiceFailed = 14,
    /// Local: the request itself is not acceptable.
    BadRequest = 15,
    /// The transport has no form for this request without altering it. Nothing was delivered.
    Unsupported = 16,
}

impl FailureKind {
    /// Every kind, in the order of the wire numbers.
    pub const ALL: [Self; 16] = [
        Self::Aborted,
        Self::Timeout,
        Self::Refused,
        Self::TooLarge,
        Self::Overloaded,
        Self::Unauthorized,
        Self::Internal,
        Self::ShuttingDown,
        Self::Protocol,
        Self::Unreachable,
        Self::ConnectionLost,
        Self::ServiceUnreachable,
        Self::ServiceTimeout,
        Self::ServiceFailed,
        Self::BadRequest,
        Self::Unsupported,
    ];

    /// Whether a failure of this kind, reported by a host, proves that its service has not seen the request.
    #[must_use]
    pub const fn is_not_executed(self) -> bool {
        matches!(
            self,
            Self::Refused | Self::Overloaded | Self::Unauthorized | Self::ServiceUnreachable | Self::BadRequest
        )
    }

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The kind with this wire number, if there is one.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| u64::from(kind.code()) == code)
    }

    /// The short name, as used in logs and in the `x-tunnel-reason` response header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::TooLarge => "too-large",
            Self::Overloaded => "overloaded",
            Self::Unauthorized => "unauthorized",
            Self::Internal => "internal",
            Self::ShuttingDown => "shutting-down",
            Self::Protocol => "protocol",
            Self::Unreachable => "unreachable",
            Self::ConnectionLost => "connection-lost",
            Self::ServiceUnreachable => "service-unreachable",
            Self::ServiceTimeout => "service-timeout",
            Self::ServiceFailed => "service-failed",
            Self::BadRequest => "bad-request",
            Self::Unsupported => "unsupported",
        }
    }

    /// The HTTP status with which a gateway reports a failure of this kind before the response head (RFC 9110 §15.6).
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Timeout | Self::ServiceTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Overloaded | Self::Refused | Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Aborted
            | Self::Unauthorized
            | Self::Protocol
            | Self::Unreachable
            | Self::ConnectionLost
            | Self::ServiceUnreachable
            | Self::ServiceFailed
            | Self::Unsupported => StatusCode::BAD_GATEWAY,
        }
    }
}

/// A request that got no response head.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub struct SendError {
    #[source]
    failure: Failure,
    request: Option<Box<Request>>,
    delivered: bool,
}

impl SendError {
    /// The request never left: it comes back whole, and sending it again is safe, whatever its method.
    #[must_use]
    pub fn undelivered(failure: Failure, request: Request) -> Self {
        Self { failure, request: Some(Box::new(request)), delivered: false }
    }

    /// The request was provably not executed, but its body is already consumed.
    #[must_use]
    pub const fn consumed(failure: Failure) -> Self {
        Self { failure, request: None, delivered: false }
    }

    /// The request may have been executed. Only an idempotent one may be sent again.
    #[must_use]
    pub const fn unknown(failure: Failure) -> Self {
        Self { failure, request: None, delivered: true }
    }

    /// What went wrong.
    #[must_use]
    pub const fn failure(&self) -> &Failure {
        &self.failure
    }

    /// Whether the request may have reached the service.
    #[must_use]
    pub const fn may_have_been_delivered(&self) -> bool {
        self.delivered
    }

    /// The request, if it was provably never delivered and its body is intact.
    #[must_use]
    pub fn into_request(self) -> Option<Request> {
        self.request.map(|request| *request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_its_wire_number() {
        for kind in FailureKind::ALL {
            assert_eq!(FailureKind::from_code(u64::from(kind.code())), Some(kind));
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
        }
        assert_eq!(FailureKind::from_code(0), None);
        assert_eq!(FailureKind::from_code(65_536 + 1), None);
    }
}

//! Whose fault a failure is, and what it means for a request.

use tunnel_core::{Failure, FailureKind};

/// Whether a failure of this kind speaks against the transport that reports it: it counts towards its being down.
///
/// Not: what the service behind the host does, what is wrong with the request, too many requests at once, and a peer that
/// broke off without saying why (its service may have).
pub(crate) const fn blames_transport(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Timeout
            | FailureKind::Refused
            | FailureKind::Unauthorized
            | FailureKind::ShuttingDown
            | FailureKind::Protocol
            | FailureKind::Unreachable
            | FailureKind::ConnectionLost
    )
}

/// Whether the other transport may do better: not if the service or the request itself is what fails.
pub(crate) const fn may_differ(kind: FailureKind) -> bool {
    !matches!(
        kind,
        FailureKind::ServiceUnreachable
            | FailureKind::ServiceTimeout
            | FailureKind::ServiceFailed
            | FailureKind::BadRequest
    )
}

/// Both transports failed. What both of them say, that they are closed for example, stays; so does that legacy cannot carry
/// the request, or does not know who asks; else it is a timeout or a lost connection if one of them was.
pub(crate) fn both(p2p: &Failure, legacy: &Failure) -> Failure {
    if p2p == legacy {
        return legacy.clone();
    }
    let kind = match (p2p.kind(), legacy.kind()) {
        (one, other) if one == other => one,
        // Whoever had no place there may have been executed here.
        (FailureKind::Timeout, FailureKind::Overloaded) => FailureKind::Timeout,
        // It would have been carried, so it may be another time.
        (kind, FailureKind::Unsupported | FailureKind::TooLarge) if !blames_transport(kind) => kind,
        (_, kind) if !blames_transport(kind) || kind == FailureKind::Unauthorized => kind,
        (FailureKind::Timeout, _) | (_, FailureKind::Timeout) => FailureKind::Timeout,
        // What was under way may have been executed.
        (FailureKind::ConnectionLost, _) | (_, FailureKind::ConnectionLost) => FailureKind::ConnectionLost,
        _ => FailureKind::Unreachable,
    };
    Failure::new(kind, format!("neither transport works for this request; p2p: {p2p}; legacy: {legacy}"))
}

/// The request may have been executed, and repeating it might do so twice.
pub(crate) fn outcome_unknown(failure: &Failure) -> Failure {
    Failure::new(
        failure.kind(),
        format!("{failure}; whether the request was executed is unknown, so it is not sent over the other transport"),
    )
}

pub(crate) fn no_p2p() -> Failure {
    Failure::new(FailureKind::Unreachable, "there is no p2p transport here, and this request may use no other")
}

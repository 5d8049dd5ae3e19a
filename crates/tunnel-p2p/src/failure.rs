//! What the layers below report, in the words of the contract.

use p2p_provider::{CloseReason, P2PError, ReadError, WriteError};
use tunnel_core::{Failure, FailureKind};

use crate::wire::{WireError, head::HeadTooLong};

pub(crate) fn wire(error: &WireError) -> Failure {
    let kind = match error {
        WireError::FrameTooLong { .. } => FailureKind::TooLarge,
        _ => FailureKind::Protocol,
    };
    Failure::new(kind, format!("the peer broke the protocol: {error}"))
}

pub(crate) fn head_too_long(error: HeadTooLong) -> Failure {
    Failure::new(FailureKind::TooLarge, error.to_string())
}

pub(crate) fn read(error: &ReadError) -> Failure {
    match error {
        ReadError::Reset(code) => reset(*code),
        ReadError::ConnectionLost(reason) => lost(reason),
        other => Failure::new(FailureKind::Internal, format!("cannot read a stream: {other}")),
    }
}

pub(crate) fn write(error: &WriteError) -> Failure {
    match error {
        WriteError::Stopped(code) => reset(*code),
        WriteError::ConnectionLost(reason) => lost(reason),
        other => Failure::new(FailureKind::Internal, format!("cannot write a stream: {other}")),
    }
}

/// The peer reset or stopped a stream.
pub(crate) fn reset(code: u64) -> Failure {
    let kind = FailureKind::from_code(code).unwrap_or(FailureKind::Aborted);
    let message = match kind {
        FailureKind::Aborted => "the peer broke off",
        FailureKind::Refused => "the peer refused the request without looking at it",
        FailureKind::Overloaded => "the peer has too many requests at once",
        FailureKind::Timeout => "the peer waited too long for the next bytes",
        FailureKind::ShuttingDown => "the peer is shutting down",
        FailureKind::ServiceFailed => "the local service broke off in the middle of the body",
        FailureKind::ServiceTimeout => "the local service stopped sending in the middle of the body",
        _ => return Failure::new(kind, format!("the peer broke off: {}", kind.name())),
    };
    Failure::new(kind, message)
}

/// A connection ended.
pub(crate) fn lost(reason: &CloseReason) -> Failure {
    match reason {
        CloseReason::Peer { code, reason } => {
            let kind = match FailureKind::from_code(*code) {
                Some(
                    kind @ (FailureKind::Unauthorized
                    | FailureKind::ShuttingDown
                    | FailureKind::Overloaded
                    | FailureKind::Protocol),
                ) => kind,
                _ => FailureKind::ConnectionLost,
            };
            Failure::new(kind, format!("the peer closed the connection: {reason}"))
        }
        other => Failure::new(FailureKind::ConnectionLost, format!("the connection to the peer was lost: {other}")),
    }
}

/// A connection could not be made.
pub(crate) fn connect(error: &P2PError) -> Failure {
    let kind = match error {
        P2PError::ProtocolMismatch { .. } => FailureKind::Protocol,
        _ => FailureKind::Unreachable,
    };
    Failure::new(kind, error.to_string())
}

/// The reset code of a body whose source failed. The reset may overtake the head, so it must not say that nothing was
/// executed.
pub(crate) fn body_code(failure: &Failure) -> u64 {
    let kind = if failure.kind().is_not_executed() { FailureKind::Aborted } else { failure.kind() };
    kind.code().into()
}

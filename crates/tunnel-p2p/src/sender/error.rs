//! Errors, with upstream's names and variants.

use std::error::Error;

use tunnel_core::{Failure, FailureKind};

use super::WebsocketMessageError;

/// Bytes were not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendBytesError {
    /// The sentence says why: no such request, not a packet, or a reader that is too slow.
    #[error("Unknown {0:?}")]
    Unknown(String),
}

/// A text was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendMessageError {
    /// The sentence says why.
    #[error("Unknown {0:?}")]
    Unknown(String),
}

/// Closing failed. Never returned: there because upstream has it.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The sentence says why.
    #[error("Unknown {0:?}")]
    Unknown(String),
}

/// A request was not answered by the service. The client has got an answer all the same: the status of the failure's kind.
///
/// The variants are upstream's, so that a `match` over them compiles. Those marked as unused are never returned here,
/// because this sender has no routes of its own: it asks the service.
#[derive(Debug, thiserror::Error)]
pub enum TunnelRequestError {
    /// Peer: the request cannot be said in HTTP.
    #[error("Bad request: {0}")]
    BadRequest(String),
    /// Unused.
    #[error("Not found: {0}")]
    NotFound(String),
    /// Unused: a query that is no object of scalars is a [`BadRequest`](Self::BadRequest).
    #[error("Invalid Query: {0}")]
    InvalidQuery(String),
    /// Local: no request with this id waits for an answer; its client has left, or it has been answered.
    #[error("Request error: {0}")]
    Request(String),
    /// Local: anything else, in a sentence.
    #[error("Other: {0}")]
    Other(String),
    /// Unused: any method goes.
    #[error("Unsupported Method")]
    UnsupportedMethod,
    /// Unused.
    #[error("Unsupported Route")]
    UnsupportedRoute,
    /// Unused.
    #[error("Missing profile")]
    MissingProfile,
    /// Local: our own mistake.
    #[error("Internal server error: {0:?}")]
    InternalServerError(Box<dyn Error + Send>),
    /// Service: a WebSocket message was not processed.
    #[error("Websocket Message Error")]
    WebsocketMessage(#[from] WebsocketMessageError),
    /// Unused.
    #[error(transparent)]
    IO(#[from] std::io::Error),
    /// Unused.
    #[error(transparent)]
    Join(#[from] tokio::task::JoinError),
    /// Service: it cannot be reached, does not answer, or broke off.
    #[error(transparent)]
    Reqwest(Failure),
    /// Unused.
    #[error(transparent)]
    Regex(Unused),
    /// Local: not JSON.
    #[error(transparent)]
    SerdeJson(#[from] serde_json::Error),
    /// Unused.
    #[error(transparent)]
    MusicApi(Unused),
}

impl From<Failure> for TunnelRequestError {
    fn from(failure: Failure) -> Self {
        match failure.kind() {
            FailureKind::BadRequest | FailureKind::TooLarge => Self::BadRequest(failure.to_string()),
            FailureKind::ServiceUnreachable | FailureKind::ServiceTimeout | FailureKind::ServiceFailed => {
                Self::Reqwest(failure)
            }
            FailureKind::Internal => Self::InternalServerError(Box::new(failure)),
            _ => Self::Other(failure.to_string()),
        }
    }
}

/// What a variant holds that is never made.
#[derive(Debug, thiserror::Error)]
#[error("unused")]
pub struct Unused(());

//! Requests without an answer.

use std::error::Error as _;

use http::request::Parts;
use tunnel_core::{Body, Failure, FailureKind};

use super::{HttpPeer, upload::Upload};

/// A request that got no response head.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub struct HttpError {
    #[source]
    failure: Failure,
    unsent: Option<Box<(Parts, Body)>>,
}

impl HttpError {
    /// Nothing of the request was written.
    pub(super) fn unsent(failure: Failure, request: http::Request<Upload>) -> Self {
        let (parts, upload) = request.into_parts();
        Self { failure, unsent: Some(Box::new((parts, upload.into_body()))) }
    }

    pub(super) const fn unknown(failure: Failure) -> Self {
        Self { failure, unsent: None }
    }

    /// What went wrong.
    #[must_use]
    pub const fn failure(&self) -> &Failure {
        &self.failure
    }

    /// What went wrong, and the request, its body untouched, if nothing of it was written: the server has provably not
    /// seen it. Without the request it may have.
    #[must_use]
    pub fn into_parts(self) -> (Failure, Option<(Parts, Body)>) {
        (self.failure, self.unsent.map(|unsent| *unsent))
    }
}

/// What an error of the HTTP library means: our own body broke off, or the server did.
pub(super) fn failure(error: &hyper::Error, peer: &HttpPeer) -> Failure {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(failure) = inner.downcast_ref::<Failure>() {
            return failure.clone();
        }
        cause = inner.source();
    }
    let name = &peer.name;
    let message = if error.is_user() {
        // The body did not keep to its declared length.
        return Failure::new(FailureKind::BadRequest, format!("the request could not be sent: {error}"));
    } else if error.is_parse_too_large() {
        format!("{name} sent a response head that is too large")
    } else if error.is_parse() {
        format!("{name} did not answer in HTTP/1.1 ({error})")
    } else {
        format!("{name} closed the connection before it answered")
    };
    Failure::new(peer.broke_off, message)
}

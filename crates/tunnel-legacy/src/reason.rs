//! Failures of a host, as the tunnel carries them: in a response.

use http::{HeaderName, header};
use tunnel_core::{FailureKind, Response};

/// Names the kind of failure in the response that a host makes of it.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-tunnel-reason");

/// The kind of failure that a response stands for, if it is not an answer of the service.
pub(crate) fn of(response: &Response) -> Option<FailureKind> {
    let name = response.headers.get(HEADER)?;
    let kind = FailureKind::ALL.into_iter().find(|kind| kind.name().as_bytes() == name.as_bytes())?;
    let is_text = response.headers.get(header::CONTENT_TYPE)?.as_bytes().starts_with(b"text/plain");
    (is_text && response.status == kind.status()).then_some(kind)
}

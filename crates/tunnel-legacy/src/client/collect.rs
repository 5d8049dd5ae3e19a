//! Request bodies, brought into memory.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use tunnel_core::{Body, Failure, FailureKind, convert::PAYLOAD_BYTES_MAX};
use tunnel_http::IdleBody;

use super::head::body_too_long;
use crate::peek::{Peeked, peek};

/// Why a request body is not in memory.
pub(super) enum NotCollected {
    /// It is too long; here it is again.
    TooLong(Failure, Body),
    /// It broke off, or has what the tunnel cannot carry.
    Lost(Failure),
}

/// Brings a request body into memory, as far as the tunnel carries it: 262,144 bytes. A body of another length than it has
/// declared is lost: a part must not pass for the whole.
pub(super) async fn collect(body: Body, idle_timeout: Duration) -> Result<Bytes, NotCollected> {
    if let Some(bytes) = body.as_bytes() {
        return Ok(bytes.clone());
    }
    let declared = body.size_hint().exact();
    let message = format!("the app sent nothing of its request body for {idle_timeout:?}");
    let body = Body::stream(IdleBody::new(body, idle_timeout, Failure::new(FailureKind::Timeout, message)));
    match peek(body, PAYLOAD_BYTES_MAX).await.map_err(NotCollected::Lost)? {
        Peeked::Whole(bytes) => match declared.filter(|&declared| declared != bytes.len() as u64) {
            None => Ok(bytes),
            Some(declared) => {
                let message =
                    format!("the request body has {} bytes, not the {declared} that it was said to have", bytes.len());
                Err(NotCollected::Lost(Failure::new(FailureKind::Protocol, message)))
            }
        },
        Peeked::Longer(body) => Err(NotCollected::TooLong(body_too_long(PAYLOAD_BYTES_MAX + 1), body)),
    }
}

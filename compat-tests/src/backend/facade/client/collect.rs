//! Request bodies, brought into memory.

use std::time::Duration;

use bytes::BytesMut;
use futures::{StreamExt, stream};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, BodyStream};
use tokio::time::timeout;
use tunnel_core::{Body, Failure, FailureKind, SendError, convert::PAYLOAD_BYTES_MAX};

use crate::body::frames;

/// Why a request body is not in memory.
pub(super) enum NotCollected {
    /// It is too long; here it is again.
    TooLong(Body),
    /// It broke off, or has what the tunnel cannot carry.
    Lost(SendError),
}

/// Brings a body into memory, as far as the tunnel carries it. Trailers, and another length than was declared, are errors.
pub(super) async fn collect(mut body: Body, idle_timeout: Duration) -> Result<Body, NotCollected> {
    if body.is_buffered() {
        return Ok(body);
    }
    let lost = |kind, message: String| NotCollected::Lost(SendError::consumed(Failure::new(kind, message)));
    let declared = body.size_hint().exact();
    let mut bytes = BytesMut::new();
    loop {
        let late = |_| lost(FailureKind::Timeout, format!("no byte of the request body came within {idle_timeout:?}"));
        let Some(frame) = timeout(idle_timeout, body.frame()).await.map_err(late)? else { break };
        let frame = frame.map_err(|failure| NotCollected::Lost(SendError::consumed(failure)))?;
        let Ok(data) = frame.into_data() else {
            return Err(lost(FailureKind::Unsupported, "the tunnel carries no trailers".to_owned()));
        };
        bytes.extend_from_slice(&data);
        if bytes.len() > PAYLOAD_BYTES_MAX {
            let begun = stream::iter([Ok(Frame::data(bytes.freeze()))]);
            return Err(NotCollected::TooLong(frames(begun.chain(BodyStream::new(body)))));
        }
    }
    match declared.filter(|declared| *declared != bytes.len() as u64) {
        None => Ok(Body::full(bytes.freeze())),
        Some(declared) => {
            let message =
                format!("the request body has {} bytes, not the {declared} that it was said to have", bytes.len());
            Err(lost(FailureKind::Protocol, message))
        }
    }
}

//! Bodies that are looked into before they go on.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tunnel_core::{Body, Failure, FailureKind};

/// What the beginning of a body showed.
pub(crate) enum Peeked {
    /// This is all of it.
    Whole(Bytes),
    /// It is longer; here it is again.
    Longer(Body),
}

/// Reads a body of at most so many bytes. Trailers, which the tunnel has no place for, are an error.
pub(crate) async fn peek(mut body: Body, bytes_max: usize) -> Result<Peeked, Failure> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => read.extend_from_slice(&data),
            Err(_) => return Err(Failure::new(FailureKind::Unsupported, "the tunnel carries no trailers")),
        }
        if read.len() > bytes_max {
            return Ok(Peeked::Longer(Body::stream(Prefixed { first: read.freeze(), rest: body })));
        }
    }
    Ok(Peeked::Whole(read.freeze()))
}

/// A body whose beginning was read.
struct Prefixed {
    first: Bytes,
    rest: Body,
}

impl http_body::Body for Prefixed {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        Pin::new(&mut self.rest).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (first, rest) = (self.first.len() as u64, self.rest.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(first)) {
            hint.set_upper(upper);
        }
        hint
    }
}

//! The body of an answer.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tunnel_core::{Body, Failure};

use super::{Guard, aborted};

/// A response body that ends the request with itself.
pub(super) struct Guarded {
    body: Body,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
    guard: Option<Guard>,
}

impl Guarded {
    pub(super) fn new(body: Body, guard: Guard) -> Self {
        Self { body, cut: Box::pin(guard.cut.clone().cancelled_owned()), ended: false, guard: Some(guard) }
    }

    /// The loop has nothing more to do for it.
    fn end(&mut self, whole: bool) {
        self.ended = true;
        if let Some(mut guard) = self.guard.take() {
            guard.finished(whole);
        }
    }
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
            Poll::Ready(end) => {
                self.end(end.is_none());
                Poll::Ready(end)
            }
            Poll::Pending if self.cut.as_mut().poll(cx).is_ready() => {
                self.end(false);
                self.body = Body::empty();
                Poll::Ready(Some(Err(aborted())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Read to its end, though nobody asked whether there is more.
        if self.body.is_end_stream() {
            self.end(true);
        }
    }
}

//! A body that fails when nothing arrives for too long.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tunnel_core::Failure;

pin_project! {
    /// Wraps a body; only the time in which somebody waits for it counts, so a slow reader never trips it.
    pub struct IdleBody<B> {
        #[pin]
        inner: B,
        timeout: Duration,
        sleep: Option<Pin<Box<Sleep>>>,
        waiting: bool,
        failure: Option<Failure>,
    }
}

impl<B> IdleBody<B> {
    /// Fails with `failure` when nothing arrives for `timeout`; zero means never.
    pub const fn new(inner: B, timeout: Duration, failure: Failure) -> Self {
        Self { inner, timeout, sleep: None, waiting: false, failure: Some(failure) }
    }
}

impl<B: Body<Data = Bytes, Error = Failure>> Body for IdleBody<B> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.project();
        if this.failure.is_none() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            *this.waiting = false;
            return Poll::Ready(frame);
        }
        if this.timeout.is_zero() {
            return Poll::Pending;
        }
        let timeout = *this.timeout;
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if !std::mem::replace(this.waiting, true) {
            sleep.as_mut().reset(Instant::now() + timeout);
        }
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(this.failure.take().map(Err))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

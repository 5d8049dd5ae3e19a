//! A sink that goes on failing.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::Sink;
use tunnel_core::{Failure, WsMessage};

type Inner = Pin<Box<dyn Sink<WsMessage, Error = Failure> + Send>>;

/// Says its first failure again and again, where `unfold` would panic.
pub(super) struct Failing(Result<Inner, Failure>);

impl Failing {
    pub(super) fn new(sink: impl Sink<WsMessage, Error = Failure> + Send + 'static) -> Self {
        Self(Ok(Box::pin(sink)))
    }

    fn poll(
        &mut self,
        poll: impl FnOnce(Pin<&mut (dyn Sink<WsMessage, Error = Failure> + Send)>) -> Poll<Result<(), Failure>>,
    ) -> Poll<Result<(), Failure>> {
        let polled = match &mut self.0 {
            Ok(sink) => poll(sink.as_mut()),
            Err(failure) => return Poll::Ready(Err(failure.clone())),
        };
        if let Poll::Ready(Err(failure)) = &polled {
            self.0 = Err(failure.clone());
        }
        polled
    }
}

impl Sink<WsMessage> for Failing {
    type Error = Failure;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.poll(|sink| sink.poll_ready(cx))
    }

    fn start_send(mut self: Pin<&mut Self>, message: WsMessage) -> Result<(), Failure> {
        match self.poll(|sink| Poll::Ready(sink.start_send(message))) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.poll(|sink| sink.poll_flush(cx))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.poll(|sink| sink.poll_close(cx))
    }
}

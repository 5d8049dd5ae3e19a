//! A WebSocket that carries JSON texts only: all else the tunnel server drops without a word, or dies of.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use futures::{Sink, Stream, stream::BoxStream};
use serde_json::Value;
use tunnel_core::{Failure, FailureKind, WsMessage, WsSession};

use super::head::WS_MESSAGE_BYTES_MAX;

/// Fails the session, in both directions, at the first message of the app that the tunnel would lose.
pub(super) fn json_only(session: WsSession) -> WsSession {
    let fault = Arc::new(Mutex::new(Fault::default()));
    WsSession {
        sink: Box::pin(JsonSink { inner: session.sink, fault: Arc::clone(&fault) }),
        stream: Box::pin(JsonStream { inner: Some(session.stream), fault }),
    }
}

/// What the app did wrong, and the task that reads and has to hear of it.
#[derive(Default)]
struct Fault {
    failure: Option<Failure>,
    reader: Option<Waker>,
}

type Shared = Arc<Mutex<Fault>>;

fn lock(fault: &Shared) -> MutexGuard<'_, Fault> {
    fault.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(message: &WsMessage) -> Result<(), Failure> {
    match message {
        WsMessage::Text(text) if text.len() > WS_MESSAGE_BYTES_MAX => Err(Failure::new(
            FailureKind::TooLarge,
            format!("the tunnel carries WebSocket messages up to {WS_MESSAGE_BYTES_MAX} bytes, not {}", text.len()),
        )),
        WsMessage::Text(text) => serde_json::from_slice::<Value>(text)
            .map(drop)
            .map_err(|_| Failure::new(FailureKind::Unsupported, "the tunnel carries only JSON on WebSockets")),
        WsMessage::Binary(_) => {
            Err(Failure::new(FailureKind::Unsupported, "the tunnel carries no binary WebSocket messages"))
        }
        WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Close(_) => Ok(()),
    }
}

struct JsonSink {
    inner: Pin<Box<dyn Sink<WsMessage, Error = Failure> + Send>>,
    fault: Shared,
}

impl JsonSink {
    fn fault(&self) -> Result<(), Failure> {
        lock(&self.fault).failure.clone().map_or(Ok(()), Err)
    }
}

impl Sink<WsMessage> for JsonSink {
    type Error = Failure;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.fault()?;
        self.inner.as_mut().poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: WsMessage) -> Result<(), Failure> {
        self.fault()?;
        if let Err(failure) = check(&message) {
            let mut fault = lock(&self.fault);
            fault.failure = Some(failure.clone());
            if let Some(reader) = fault.reader.take() {
                reader.wake();
            }
            return Err(failure);
        }
        self.inner.as_mut().start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.as_mut().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.as_mut().poll_close(cx)
    }
}

/// What the host says. Pings are those of the tunnel server, which the host knows nothing of.
struct JsonStream {
    /// `None` after a fault.
    inner: Option<BoxStream<'static, Result<WsMessage, Failure>>>,
    fault: Shared,
}

impl Stream for JsonStream {
    type Item = Result<WsMessage, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        {
            let mut fault = lock(&this.fault);
            if let Some(failure) = &fault.failure {
                let failure = failure.clone();
                drop(fault);
                this.inner = None;
                return Poll::Ready(Some(Err(failure)));
            }
            if !fault.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                fault.reader = Some(cx.waker().clone());
            }
        }
        loop {
            match ready!(inner.as_mut().poll_next(cx)) {
                // They are answered by now.
                Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_))) => {}
                message => return Poll::Ready(message),
            }
        }
    }
}

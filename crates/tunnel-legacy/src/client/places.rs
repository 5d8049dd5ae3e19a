//! Places for requests and WebSockets in flight: what an app can make this client open at the tunnel server is bounded.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::{Sink, Stream};
use http_body::{Body as _, Frame, SizeHint};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tunnel_core::{Body, Failure, FailureKind, Response, WsMessage, WsSession};

use super::LegacyConfig;

pub(super) struct Places {
    requests: Arc<Semaphore>,
    websockets: Arc<Semaphore>,
    queue_timeout: Duration,
}

/// A place; dropping it gives it back.
pub(super) type Place = OwnedSemaphorePermit;

impl Places {
    pub(super) fn new(config: &LegacyConfig) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(config.max_requests)),
            websockets: Arc::new(Semaphore::new(config.max_websockets)),
            queue_timeout: config.queue_timeout,
        }
    }

    /// Waits for a place for a request. Cancel safe.
    pub(super) async fn for_request(&self) -> Result<Place, Failure> {
        self.wait(&self.requests, "requests").await
    }

    /// Waits for a place for a WebSocket. Cancel safe.
    pub(super) async fn for_websocket(&self) -> Result<Place, Failure> {
        self.wait(&self.websockets, "WebSockets").await
    }

    async fn wait(&self, places: &Arc<Semaphore>, what: &str) -> Result<Place, Failure> {
        match timeout(self.queue_timeout, Arc::clone(places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            // Nobody closes the semaphore.
            Ok(Err(_)) | Err(_) => Err(Failure::new(
                FailureKind::Overloaded,
                format!(
                    "too many {what} to the tunnel server are in flight; none ended within {:?}",
                    self.queue_timeout
                ),
            )),
        }
    }
}

/// The response, whose body keeps the place until it has ended.
pub(super) fn keep(response: Response, place: Place) -> Response {
    if response.body.is_buffered() || response.body.is_end_stream() {
        return response;
    }
    let body = Body::stream(Kept { body: Some(response.body), place: Some(place) });
    Response { body, ..response }
}

struct Kept {
    /// `None` after its end.
    body: Option<Body>,
    place: Option<Place>,
}

impl http_body::Body for Kept {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            (this.body, this.place) = (None, None);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

/// The WebSocket, either half of which keeps the place.
pub(super) fn keep_ws(session: WsSession, place: Place) -> WsSession {
    let place = Arc::new(place);
    WsSession {
        sink: Box::pin(KeptSink { sink: session.sink, _place: Arc::clone(&place) }),
        stream: Box::pin(KeptStream { stream: session.stream, _place: place }),
    }
}

struct KeptSink {
    sink: Pin<Box<dyn Sink<WsMessage, Error = Failure> + Send>>,
    _place: Arc<Place>,
}

impl Sink<WsMessage> for KeptSink {
    type Error = Failure;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.sink.as_mut().poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: WsMessage) -> Result<(), Failure> {
        self.sink.as_mut().start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.sink.as_mut().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.sink.as_mut().poll_close(cx)
    }
}

struct KeptStream {
    stream: Pin<Box<dyn Stream<Item = Result<WsMessage, Failure>> + Send>>,
    _place: Arc<Place>,
}

impl Stream for KeptStream {
    type Item = Result<WsMessage, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.as_mut().poll_next(cx)
    }
}

//! The request body on its way to the server, and who keeps whom waiting.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tunnel_core::{Body, Failure};

/// A request body that records its progress.
pub(super) struct Upload {
    body: Body,
    progress: Arc<Progress>,
}

impl Upload {
    pub(super) fn new(body: Body) -> (Self, Arc<Progress>) {
        let state = State { waits_for_client: false, since: Instant::now(), failure: None };
        let progress = Arc::new(Progress { state: Mutex::new(state), changed: Notify::new() });
        (Self { body, progress: Arc::clone(&progress) }, progress)
    }

    /// The body again, if the request was never sent.
    pub(super) fn into_body(self) -> Body {
        self.body
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.progress.record(&frame);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Who the exchange waits for, and since when.
pub(super) struct Progress {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// Whether the server wants more of the body than the client has sent; else the server is to move.
    waits_for_client: bool,
    since: Instant,
    failure: Option<Failure>,
}

impl Progress {
    /// The server is to move from now on.
    pub(super) fn start(&self) {
        self.lock().since = Instant::now();
    }

    /// Waits until the server has been to move for this long.
    pub(super) async fn server_stalled(&self, limit: Duration) {
        self.stalled(false, limit).await;
    }

    /// Waits until the client has been to move for this long; zero means for ever.
    pub(super) async fn client_stalled(&self, limit: Duration) {
        if limit.is_zero() {
            return std::future::pending().await;
        }
        self.stalled(true, limit).await;
    }

    /// Why the request body broke off, if it did: then the server is not to blame for what follows.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    fn record(&self, frame: &Poll<Option<Result<Frame<Bytes>, Failure>>>) {
        let mut state = self.lock();
        let waits = frame.is_pending();
        if waits && state.waits_for_client {
            return;
        }
        if let Poll::Ready(Some(Err(failure))) = frame {
            state.failure = Some(failure.clone());
        }
        let turned = state.waits_for_client != waits;
        state.waits_for_client = waits;
        state.since = Instant::now();
        drop(state);
        if turned {
            self.changed.notify_waiters();
        }
    }

    async fn stalled(&self, client: bool, limit: Duration) {
        loop {
            let changed = self.changed.notified();
            let (waits_for_client, since) = {
                let state = self.lock();
                (state.waits_for_client, state.since)
            };
            if waits_for_client != client {
                changed.await;
            } else if Instant::now() >= since + limit {
                return;
            } else {
                tokio::select! {
                    biased;
                    () = changed => {}
                    () = sleep_until(since + limit) => {}
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

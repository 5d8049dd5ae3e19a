//! The response body on its way from the server.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tunnel_core::Failure;

use super::{HttpClientConfig, pool::Lease};
use crate::idle::IdleBody;

/// A response body with the connection it comes from: kept after a clean end, closed when dropped before.
pub(super) struct ReplyBody(IdleBody<Leased>);

impl ReplyBody {
    pub(super) fn new(incoming: Incoming, lease: Lease, config: &Arc<HttpClientConfig>) -> Self {
        let HttpClientConfig { peer, body_idle_timeout, .. } = &**config;
        let silent = Failure::new(peer.silent, format!("{} sent nothing more for {body_idle_timeout:?}", peer.name));
        let leased = Leased { incoming, lease: Some(lease), config: Arc::clone(config) };
        Self(IdleBody::new(leased, *body_idle_timeout, silent))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

struct Leased {
    incoming: Incoming,
    /// `None` after the end, clean or not.
    lease: Option<Lease>,
    config: Arc<HttpClientConfig>,
}

impl Leased {
    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release();
        }
    }

    fn failed(&mut self, error: &hyper::Error) -> Failure {
        // Taken, so that the connection closes at once.
        let lease = self.lease.take();
        lease.and_then(|lease| lease.upload_failure()).unwrap_or_else(|| {
            let peer = &self.config.peer;
            Failure::new(peer.broke_off, format!("{} broke off its response ({error})", peer.name))
        })
    }
}

impl Body for Leased {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if self.lease.is_none() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.incoming).poll_frame(cx).map(|frame| match frame {
            None => {
                self.release();
                None
            }
            Some(Ok(frame)) => {
                if frame.is_trailers() {
                    self.release();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(self.failed(&error))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none() || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        // A reader that knows the length does not ask for the end.
        if self.incoming.is_end_stream() {
            self.release();
        }
    }
}

//! The request body as the app sends it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::linger::Unread;

/// Notes whether the app may still be sending when the answer is out.
pub(super) struct Upload {
    inner: Incoming,
    /// Nothing to note over HTTP/2, whose streams end one by one.
    unread: Option<Unread>,
}

impl Upload {
    pub(super) fn new(inner: Incoming, version: Version, unread: &Unread) -> Self {
        let unread = (version < Version::HTTP_2).then(|| unread.clone());
        let upload = Self { inner, unread };
        upload.note();
        upload
    }

    fn note(&self) {
        if let Some(unread) = &self.unread {
            unread.set(!self.inner.is_end_stream());
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match (&frame, &self.unread) {
            (None | Some(Err(_)), Some(unread)) => unread.set(false),
            _ => self.note(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

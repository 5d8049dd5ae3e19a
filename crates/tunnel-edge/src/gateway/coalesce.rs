//! Small pieces of a response body that are ready together, merged into one.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tunnel_core::Failure;

/// Merging ends here: one write of this size is as good as a larger one.
const MERGED_BYTES_MAX: usize = 64 * 1024;
/// Allocated when there is something to merge; it grows by doubling.
const MERGED_BYTES_MIN: usize = 8 * 1024;
/// A piece of this size is passed on as it is: copying costs more than a further write saves.
const PIECE_BYTES_MAX: usize = 16 * 1024;

pin_project! {
    /// Merges pieces of a body (QUIC delivers 1.4 KB at a time) and never holds back one that is ready.
    pub(super) struct Coalesce<B> {
        #[pin]
        inner: B,
        // What was found behind the pieces that were merged.
        next: Option<Result<Frame<Bytes>, Failure>>,
        ended: bool,
        // An error that is told at the next poll.
        failure: Option<Failure>,
    }
}

impl<B> Coalesce<B> {
    pub(super) const fn new(inner: B) -> Self {
        Self { inner, next: None, ended: false, failure: None }
    }
}

impl<B: Body<Data = Bytes, Error = Failure>> Body for Coalesce<B> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let mut this = self.project();
        if let Some(failure) = this.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        let first = match this.next.take() {
            Some(next) => Some(next),
            None if *this.ended => None,
            None => ready!(this.inner.as_mut().poll_frame(cx)),
        };
        let first = match first {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if data.len() < PIECE_BYTES_MAX => data,
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            },
            Some(Err(failure)) => {
                // The HTTP library throws away what it has not flushed when a body fails, and flushes when one pauses.
                *this.failure = Some(failure);
                *this.ended = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => {
                *this.ended = true;
                return Poll::Ready(None);
            }
        };
        let mut merged: Option<BytesMut> = None;
        while !*this.ended && !this.inner.is_end_stream() {
            let Poll::Ready(frame) = this.inner.as_mut().poll_frame(cx) else { break };
            let Some(frame) = frame else {
                *this.ended = true;
                break;
            };
            let length = merged.as_ref().map_or(first.len(), BytesMut::len);
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) if data.len() < PIECE_BYTES_MAX && length + data.len() <= MERGED_BYTES_MAX => {
                    merged
                        .get_or_insert_with(|| {
                            let mut merged = BytesMut::with_capacity((first.len() + data.len()).max(MERGED_BYTES_MIN));
                            merged.extend_from_slice(&first);
                            merged
                        })
                        .extend_from_slice(&data);
                    continue;
                }
                Ok(Ok(data)) => *this.next = Some(Ok(Frame::data(data))),
                Ok(Err(frame)) => *this.next = Some(Ok(frame)),
                Err(failure) => {
                    *this.next = Some(Err(failure));
                    *this.ended = true;
                }
            }
            break;
        }
        Poll::Ready(Some(Ok(Frame::data(merged.map_or(first, BytesMut::freeze)))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && self.failure.is_none() && (self.ended || self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use tunnel_core::FailureKind;

    use super::*;

    async fn frames(pieces: Vec<Frame<Bytes>>, last: Option<Failure>) -> Vec<Result<usize, FailureKind>> {
        let mut body = Coalesce::new(StreamBody::new(stream::iter(pieces.into_iter().map(Ok).chain(last.map(Err)))));
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().await {
            seen.push(match frame {
                Ok(frame) => Ok(frame.into_data().map_or(usize::MAX, |data| data.len())),
                Err(failure) => Err(failure.kind()),
            });
        }
        assert!(body.is_end_stream());
        seen
    }

    fn piece(length: usize) -> Frame<Bytes> {
        Frame::data(Bytes::from(vec![7; length]))
    }

    #[tokio::test]
    async fn merges_what_is_ready_and_keeps_the_order() {
        let trailers = Frame::trailers(http::HeaderMap::new());
        assert_eq!(frames(vec![piece(1), piece(2), trailers], None).await, [Ok(3), Ok(usize::MAX)]);
        let large = 20_000;
        assert_eq!(frames(vec![piece(1), piece(large), piece(2)], None).await, [Ok(1), Ok(large), Ok(2)]);
        assert_eq!(frames((0..8).map(|_| piece(10_000)).collect(), None).await, [Ok(60_000), Ok(20_000)]);
    }

    #[tokio::test]
    async fn an_error_stays_behind_the_data() {
        let cut = Failure::new(FailureKind::ConnectionLost, "cut");
        assert_eq!(frames(vec![piece(1)], Some(cut)).await, [Ok(1), Err(FailureKind::ConnectionLost)]);
    }

    #[tokio::test]
    async fn a_ready_piece_does_not_wait_for_the_next() {
        let pieces = stream::iter([Ok(piece(1))]).chain(stream::pending());
        let mut body = Coalesce::new(StreamBody::new(pieces));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 1);
    }
}

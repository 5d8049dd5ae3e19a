//! The part of a body that continues another one.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::Frame;
use tunnel_core::{Body, Failure, FailureKind};

use super::Cut;

/// Leaves out what was delivered before, takes what is wanted, and fails if there is less of it, or more.
pub(crate) struct Continued {
    body: Option<Body>,
    cut: Cut,
}

impl Continued {
    pub(crate) const fn new(body: Body, cut: Cut) -> Self {
        Self { body: Some(body), cut }
    }

    /// What remains of a piece.
    fn keep(&mut self, mut piece: Bytes) -> Result<Bytes, Failure> {
        let skipped = usize::try_from(self.cut.skip).map_or(piece.len(), |skip| skip.min(piece.len()));
        piece.advance(skipped);
        self.cut.skip -= skipped as u64;
        if let Some(left) = &mut self.cut.take {
            let wanted = usize::try_from(*left).map_or(piece.len(), |left| left.min(piece.len()));
            if wanted < piece.len() && !self.cut.is_inside {
                return Err(Failure::new(FailureKind::Protocol, "the continuation of the body is longer than it says"));
            }
            piece.truncate(wanted);
            *left -= wanted as u64;
        }
        Ok(piece)
    }

    fn is_short(&self) -> bool {
        self.cut.skip > 0 || self.cut.take.is_some_and(|left| left > 0)
    }
}

impl http_body::Body for Continued {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        loop {
            if this.cut.is_inside && this.cut.take == Some(0) {
                // What follows is not wanted.
                this.body = None;
            }
            let Some(body) = &mut this.body else { return Poll::Ready(None) };
            let Some(frame) = ready!(Pin::new(body).poll_frame(cx)).transpose()? else {
                this.body = None;
                if this.is_short() {
                    let message = "the continuation of the body is shorter than it says";
                    return Poll::Ready(Some(Err(Failure::new(FailureKind::Protocol, message))));
                }
                return Poll::Ready(None);
            };
            let piece = match frame.into_data() {
                Ok(piece) => piece,
                Err(trailers) if this.is_short() => {
                    drop(trailers);
                    continue;
                }
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            };
            match this.keep(piece) {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Err(failure) => {
                    this.body = None;
                    return Poll::Ready(Some(Err(failure)));
                }
            }
        }
    }
}

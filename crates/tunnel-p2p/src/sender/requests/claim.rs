//! The right to answer a request with a response.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tunnel_core::{Body, Failure, Response};

use super::Answer;

/// The right to answer a request.
pub(in crate::sender) struct Claim {
    pub(super) sender: oneshot::Sender<Answer>,
    pub(super) cut: CancellationToken,
}

impl Claim {
    /// Resolves when the answer is not wanted any more. Cancel safe.
    pub(in crate::sender) async fn unwanted(&self) {
        self.cut.cancelled().await;
    }

    /// Answers, and waits until the client has the whole response, or has left. Dropping the future cuts the response.
    pub(in crate::sender) async fn answer(self, response: Result<Response, Failure>) {
        let (done, finished) = oneshot::channel::<()>();
        let cutting = CutOnDrop(Some(self.cut.clone()));
        let response = response.map(|mut response| {
            response.body = Body::stream(Watched { body: response.body, _done: done });
            response
        });
        if self.sender.send(Answer::Response(response)).is_ok() {
            // Resolves when the body is dropped.
            finished.await.ok();
        }
        cutting.disarm();
    }
}

struct CutOnDrop(Option<CancellationToken>);

impl CutOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some(cut) = &self.0 {
            cut.cancel();
        }
    }
}

/// A body whose end can be awaited.
struct Watched {
    body: Body,
    _done: oneshot::Sender<()>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

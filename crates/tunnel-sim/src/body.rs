//! Bodies of which every byte is known.

use std::{
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep, sleep_until};
use tunnel_core::{Body, Failure, FailureKind};

use crate::{
    oracle::{Oracle, Work},
    plan::{Content, End, Plan},
};

/// A body that is made up as it is read.
pub struct Made {
    plan: Plan,
    content: Content,
    /// What is still to come.
    rest: Range<u64>,
    timer: Option<Pin<Box<Sleep>>>,
    end: End,
    /// The end is made of trailers.
    trailers: bool,
    work: Option<Work>,
}

impl Made {
    /// The body of a request.
    #[must_use]
    pub const fn request(plan: Plan) -> Self {
        let (end, trailers) = (plan.up_end, plan.trailers_up());
        let (content, rest) = (plan.upload_content(), 0..plan.up);
        Self { plan, content, rest, timer: None, end, trailers, work: None }
    }

    /// A part of the body of a response, on which the service works as long as it lives.
    #[must_use]
    pub const fn response(plan: Plan, part: Range<u64>, work: Work) -> Self {
        let (end, trailers) = (plan.response_end(), plan.trailers_down());
        let content = plan.download_content(work.execution());
        Self { plan, content, rest: part, timer: None, end, trailers, work: Some(work) }
    }

    /// As the contract's body; none for a length of zero.
    #[must_use]
    pub fn into_body(self) -> Body {
        if self.content.up && self.plan.is_buffered() {
            return Body::full(self.content.bytes(0, usize::try_from(self.rest.end).unwrap_or(usize::MAX)));
        }
        if self.rest.is_empty() && self.end == End::Proper { Body::empty() } else { Body::stream(self) }
    }
}

impl http_body::Body for Made {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        if !this.plan.gap.is_zero() {
            let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + this.plan.gap)));
            ready!(timer.as_mut().poll(cx));
            this.timer = None;
        }
        if this.rest.is_empty() {
            if std::mem::replace(&mut this.end, End::Proper) == End::Broken {
                this.trailers = false;
                return Poll::Ready(Some(Err(Failure::new(FailureKind::ServiceFailed, "broken off by plan"))));
            }
            let trailers = std::mem::take(&mut this.trailers);
            return Poll::Ready(trailers.then(|| Ok(Frame::trailers(this.plan.trailers_of(this.content.up)))));
        }
        let length = (this.rest.end - this.rest.start).min(this.plan.piece.max(1));
        let piece = this.content.bytes(this.rest.start, usize::try_from(length).unwrap_or(usize::MAX));
        this.rest.start += length;
        if let Some(work) = &this.work {
            work.pulled(this.rest.start, length);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && !self.trailers && !matches!(self.end, End::Broken | End::Short)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.end - self.rest.start;
        match self.end {
            _ if !self.plan.declared => SizeHint::default(),
            End::Proper => SizeHint::with_exact(rest),
            // What breaks off has promised more.
            End::Broken | End::Short => SizeHint::with_exact(rest + 1),
            End::Long => SizeHint::with_exact(rest.saturating_sub(1)),
        }
    }
}

/// How a reader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it can.
    Fast,
    /// With a pause before every piece.
    Slow(Duration),
    /// With one long pause after so many bytes.
    Pause(u64, Duration),
    /// As fast as it can, and what the service has sent must arrive within this.
    Prompt(Duration),
    /// Leaves after so many bytes.
    Leave(u64),
}

/// How reading ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// At the proper end.
    Complete,
    /// The reader left.
    Left,
    /// With an error.
    Failed(Failure),
}

/// Which body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// That of the request, read by the service.
    Request,
    /// That of the response as the n-th execution made it, read by the client.
    Response(u32),
}

/// Reads a body and compares every byte. What is short, long or wrong is a violation; an error is not.
pub async fn read(mut body: Body, plan: &Plan, side: Side, pace: Pace, oracle: &Oracle) -> Read {
    let id = plan.id;
    let (direction, content, part, whole) = match side {
        Side::Request => ("upload", plan.upload_content(), 0..plan.up, plan.is_whole_up()),
        Side::Response(execution) => {
            let start = plan.first_down();
            let part = start..start + plan.expected_down();
            ("download", plan.download_content(execution), part, plan.is_whole_down())
        }
    };
    let expects_trailers = if side == Side::Request { plan.trailers_up() } else { plan.trailers_down() };
    let mut offset = part.start;
    let mut paused = false;
    let mut trailers = None;
    loop {
        match pace {
            Pace::Slow(pause) => tokio::time::sleep(pause).await,
            Pace::Pause(after, pause) if offset - part.start >= after && !paused => {
                paused = true;
                tokio::time::sleep(pause).await;
            }
            Pace::Leave(after) if offset - part.start >= after => return Read::Left,
            _ => {}
        }
        let frame = match body.frame().await {
            Some(Ok(frame)) => frame,
            Some(Err(failure)) => {
                if body.frame().await.is_some() {
                    oracle.violate(format!("the {direction} of request {id} went on after its error"));
                }
                return Read::Failed(failure);
            }
            None => break,
        };
        let piece = match frame.into_data() {
            Ok(piece) => piece,
            Err(frame) => {
                trailers = frame.into_trailers().ok();
                continue;
            }
        };
        if trailers.is_some() {
            oracle.violate(format!("the {direction} of request {id} went on after its trailers"));
        }
        if piece != content.bytes(offset, piece.len()) {
            oracle.violate(format!(
                "the {direction} of request {id} is wrong in the {} bytes from {offset} on",
                piece.len()
            ));
        }
        offset += piece.len() as u64;
        if side != Side::Request {
            let took = oracle.consumed(id, offset, piece.len() as u64);
            if let Pace::Prompt(limit) = pace
                && took > limit
            {
                oracle.violate(format!("a piece of the download of request {id} was under way for {took:?}"));
            }
        }
        if offset > part.end {
            oracle.violate(format!("the {direction} of request {id} goes on after byte {}", part.end));
        }
    }
    if trailers != expects_trailers.then(|| plan.trailers_of(content.up)) {
        oracle.violate(format!("the {direction} of request {id} ended with the trailers {trailers:?}"));
    }
    if offset != part.end {
        oracle.violate(format!("the {direction} of request {id} ended well at byte {offset} of {}", part.end));
    } else if !whole {
        oracle.violate(format!("the {direction} of request {id} ended well, but its source did not"));
    }
    Read::Complete
}

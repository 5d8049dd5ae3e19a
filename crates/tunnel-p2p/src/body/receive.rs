//! The receiving side of a body.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use p2p_provider::P2PConnection;
use tokio::time::{Instant, Sleep, sleep_until};
use tunnel_core::{Failure, FailureKind};

use crate::{
    credit::ReceiveCredit,
    failure,
    frames::FrameReader,
    session::{Expectation, Part},
    wire::{
        WireError,
        decoder::Event,
        frame::FrameType,
        head::{BodySize, parse_end},
    },
};

/// What a body is received from.
pub(crate) struct IncomingParts<C: P2PConnection> {
    pub(crate) reader: FrameReader<C::RecvStream>,
    pub(crate) credit: ReceiveCredit,
    pub(crate) expectation: Expectation<C>,
    pub(crate) size: BodySize,
    /// The longest wait for the next byte while somebody reads.
    pub(crate) idle_timeout: Duration,
    /// The code with which the peer is stopped when the body is dropped before its end.
    pub(crate) stop_code: u64,
    /// Whatever must live as long as the body: permits, upload tasks.
    pub(crate) guard: Box<dyn Any + Send>,
}

/// A body that arrives on a stream. Dropping it before its end stops the peer.
pub(crate) struct Incoming<C: P2PConnection> {
    source: Source<C>,
    expectation: Option<Expectation<C>>,
    size: BodySize,
    received: u64,
    idle: Idle,
    stop_code: u64,
    _guard: Box<dyn Any + Send>,
}

enum Source<C: P2PConnection> {
    /// The next frame comes on the stream whose turn it is.
    Streams {
        parts: Vec<Part<C>>,
        turn: usize,
    },
    /// The body moves to the bulk connection; the stream that it leaves says whether the peer gives up meanwhile.
    Moving(BoxFuture<'static, Result<Vec<Part<C>>, Failure>>, Option<Part<C>>),
    Ended,
}

/// What an event means for the reader of the body.
enum Step {
    Yield(Frame<Bytes>),
    End,
    /// Nothing yet.
    Again,
}

impl<C: P2PConnection> Incoming<C> {
    pub(crate) fn new(parts: IncomingParts<C>) -> Self {
        Self {
            source: Source::Streams { parts: vec![Part { reader: parts.reader, credit: parts.credit }], turn: 0 },
            expectation: Some(parts.expectation),
            size: parts.size,
            received: 0,
            idle: Idle { timeout: parts.idle_timeout, last_progress: None, timer: None },
            stop_code: parts.stop_code,
            _guard: parts.guard,
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, Failure>> {
        loop {
            match &mut self.source {
                Source::Ended => return Poll::Ready(Ok(None)),
                Source::Streams { parts, turn } => return parts[*turn].reader.poll_next(cx),
                Source::Moving(arrival, left) => {
                    if let Poll::Ready(parts) = arrival.as_mut().poll(cx) {
                        self.source = Source::Streams { parts: parts?, turn: 0 };
                        continue;
                    }
                    let Some(left_stream) = left else { return Poll::Pending };
                    if let Some(event) = ready!(left_stream.reader.poll_next(cx))? {
                        return Poll::Ready(Ok(Some(event)));
                    }
                    // All is sent: the continuation is on its way.
                    *left = None;
                }
            }
        }
    }

    fn consume(&mut self, event: Option<Event>, cx: &mut Context<'_>) -> Result<Step, Failure> {
        match event {
            Some(Event::Data { bytes, last }) => {
                if let (true, Source::Streams { parts, turn }) = (last, &mut self.source) {
                    parts[*turn].credit.consumed();
                    *turn = (*turn + 1) % parts.len();
                }
                self.received += bytes.len() as u64;
                self.check_length(|declared, received| received <= declared)?;
                Ok(Step::Yield(Frame::data(bytes)))
            }
            Some(Event::Frame(FrameType::End, payload)) => {
                self.check_length(|declared, received| received == declared)?;
                let trailers = parse_end(&payload).map_err(|error| failure::wire(&error))?;
                if let Source::Streams { mut parts, .. } = std::mem::replace(&mut self.source, Source::Ended) {
                    parts.iter_mut().for_each(|part| part.reader.poll_end(cx));
                }
                Ok(if trailers.is_empty() { Step::End } else { Step::Yield(Frame::trailers(trailers)) })
            }
            Some(Event::Frame(FrameType::Moved, _)) => {
                let Some(expectation) = self.expectation.take() else {
                    return Err(failure::wire(&WireError::UnexpectedFrame(FrameType::Moved.name())));
                };
                let left = match std::mem::replace(&mut self.source, Source::Ended) {
                    Source::Streams { mut parts, .. } => parts.pop(),
                    Source::Moving(..) | Source::Ended => None,
                };
                self.source = Source::Moving(Box::pin(expectation.arrival()), left);
                Ok(Step::Again)
            }
            Some(Event::Frame(kind, _)) => Err(failure::wire(&WireError::UnexpectedFrame(kind.name()))),
            None => Err(failure::wire(&WireError::Truncated)),
        }
    }

    fn check_length(&self, right: impl FnOnce(u64, u64) -> bool) -> Result<(), Failure> {
        match self.size.exact() {
            Some(declared) if !right(declared, self.received) => {
                Err(failure::wire(&WireError::Length { declared, actual: self.received }))
            }
            _ => Ok(()),
        }
    }

    fn stop(&mut self, code: u64) {
        if let Source::Streams { parts, .. } = &mut self.source {
            parts.iter_mut().for_each(|part| part.reader.stop(code));
        }
        self.source = Source::Ended;
    }
}

impl<C: P2PConnection> http_body::Body for Incoming<C> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        if matches!(this.source, Source::Ended) {
            return Poll::Ready(None);
        }
        loop {
            let event = match this.poll_event(cx) {
                Poll::Ready(Ok(event)) => this.consume(event, cx),
                Poll::Ready(Err(error)) => Err(error),
                Poll::Pending => {
                    ready!(this.idle.poll_expired(cx));
                    Err(Failure::new(
                        FailureKind::Timeout,
                        format!("no byte of the body arrived within {:?}", this.idle.timeout),
                    ))
                }
            };
            this.idle.progress();
            match event {
                Ok(Step::Again) => {}
                Ok(Step::Yield(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(Step::End) => return Poll::Ready(None),
                Err(error) => {
                    this.stop(error.kind().code().into());
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        match self.size.exact() {
            Some(declared) => SizeHint::with_exact(declared.saturating_sub(self.received)),
            None => SizeHint::default(),
        }
    }
}

impl<C: P2PConnection> Drop for Incoming<C> {
    fn drop(&mut self) {
        self.stop(self.stop_code);
    }
}

/// Expires when nothing happened for a while, without touching a timer per byte.
struct Idle {
    timeout: Duration,
    last_progress: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    fn progress(&mut self) {
        self.last_progress = None;
    }

    /// Polled only while somebody waits; the wait begins with the first poll after progress.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.last_progress.get_or_insert_with(Instant::now) + self.timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

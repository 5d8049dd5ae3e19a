//! Response bodies on their way to the caller.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::FutureExt;
use http_body::{Body as _, Frame, SizeHint};
use tunnel_core::{Body, Failure, PathKind, Response, TransportKind, Via};

use super::{
    exchange::Exchange,
    record::Record,
    request::Again,
    shared::{Active, Shared},
    splice::{Resuming, Splice},
    watchdog::Watchdog,
};
use crate::{Reason, health::Machine, shadow::Sample};

/// The response as the caller gets it: it says how it travelled, and its body is watched and counted. `again` allows it to
/// continue over the other transport.
pub(super) fn deliver(
    exchange: Exchange,
    mut response: Response,
    kind: TransportKind,
    reason: Reason,
    again: Option<Again>,
) -> Response {
    let mut sample = exchange.sample(&response, kind, again.as_ref());
    let Exchange { shared, active, mut record, .. } = exchange;
    record.answered(kind, reason, response.status.as_u16());
    response.via = Some(via(response.via, kind, reason));
    if response.body.is_buffered() || response.body.is_end_stream() {
        if let Some(bytes) = response.body.as_bytes() {
            shared.counters.bytes_received.of(kind).add(bytes.len() as u64);
            sample = sample.and_then(|mut sample| sample.take(bytes).then_some(sample));
        }
        record.completed();
        if let Some(sample) = sample {
            shared.compare_later(sample);
        }
        return response;
    }
    let sample = sample.map(Box::new);
    let splice = Splice::of(&active, again, &response);
    let length = response.body.size_hint().exact();
    let on = On::new(&shared, &active, kind, splice.is_some());
    let Response { status, headers, body, via } = response;
    let routed = Routed { source: Source::Body(body), on, record, active, delivered: 0, length, splice, sample };
    Response { status, headers, body: Body::stream(routed), via }
}

pub(super) fn via(via: Option<Via>, kind: TransportKind, reason: Reason) -> Via {
    Via { transport: kind, path: via.map_or(PathKind::Unknown, |via| via.path), reason: Some(reason.name()) }
}

/// A body on its way.
struct Routed {
    source: Source,
    on: On,
    record: Record,
    active: std::sync::Arc<Active>,
    delivered: u64,
    /// The length of all of it, if it was known at the beginning.
    length: Option<u64>,
    splice: Option<Splice>,
    /// What is to be compared, as long as nothing speaks against it.
    sample: Option<Box<Sample>>,
}

/// Where the next byte comes from.
enum Source {
    Body(Body),
    /// It broke off with this failure; the other transport is being asked for the rest.
    Resuming(Resuming, Failure),
    Ended,
}

/// The transport that carries it now.
struct On {
    kind: TransportKind,
    epoch: u64,
    watchdog: Option<Watchdog>,
}

impl On {
    fn new(shared: &std::sync::Arc<Shared>, active: &Active, kind: TransportKind, may_continue: bool) -> Self {
        let epoch = shared.look(Machine::epoch);
        let is_watched = kind == TransportKind::P2p || may_continue;
        let watchdog = is_watched.then(|| Watchdog::new(shared, &active.config, kind, epoch));
        Self { kind, epoch, watchdog }
    }

    /// The body said nothing yet. Ready once its transport is dead.
    fn poll_dead(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        self.watchdog.as_mut().map_or(Poll::Pending, |watchdog| watchdog.poll_dead(cx))
    }
}

impl Routed {
    fn took(&mut self, frame: &Frame<Bytes>) {
        if let Some(watchdog) = &mut self.on.watchdog {
            watchdog.progress();
        }
        if let (Some(piece), Some(sample)) = (frame.data_ref(), &mut self.sample)
            && !sample.take(piece)
        {
            self.sample = None;
        }
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        self.delivered += bytes;
        self.record.shared().counters.bytes_received.of(self.on.kind).add(bytes);
    }

    /// Legacy has stalled, and p2p cannot take over: it may move again.
    fn must_wait_on(&mut self) -> bool {
        let (shared, on) = (self.record.shared(), &mut self.on);
        if on.kind == TransportKind::P2p
            || self.splice.as_ref().is_some_and(|splice| splice.may_resume(shared, on.kind))
        {
            return false;
        }
        on.watchdog.iter_mut().for_each(Watchdog::wait_on);
        true
    }

    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        self.source = Source::Ended;
        self.complete();
        Poll::Ready(None)
    }

    fn complete(&mut self) {
        self.record.completed();
        if let Some(sample) = self.sample.take() {
            self.record.shared().compare_later(*sample);
        }
    }

    /// The body broke off. Whether the other transport is asked for the rest, or nothing is missing.
    fn recover(&mut self, failure: Failure) -> Result<(), Failure> {
        // Ends the exchange over the transport that failed.
        self.source = Source::Ended;
        self.sample = None;
        let Some(splice) = &mut self.splice else { return Err(failure) };
        if splice.is_whole(self.delivered) {
            return Ok(());
        }
        match splice.resume(self.record.shared(), self.on.kind, failure.kind(), self.delivered) {
            Some(resuming) => {
                tracing::info!(
                    delivered = self.delivered,
                    from = self.on.kind.name(),
                    "continuing a response: {failure}"
                );
                self.source = Source::Resuming(resuming, failure);
                Ok(())
            }
            None => Err(failure),
        }
    }

    fn cut(&mut self, failure: Failure) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        self.source = Source::Ended;
        self.record.cut(self.on.kind, &failure);
        Poll::Ready(Some(Err(failure)))
    }
}

impl http_body::Body for Routed {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        loop {
            let failure = match &mut this.source {
                Source::Ended => return this.end(),
                Source::Resuming(resuming, failure) => match ready!(resuming.poll_unpin(cx)) {
                    Ok((body, kind)) => {
                        this.record.failed_over();
                        this.on = On::new(this.record.shared(), &this.active, kind, true);
                        this.source = Source::Body(body);
                        continue;
                    }
                    Err(why) => {
                        let message = format!("{failure}; the other transport does not continue the body: {why}");
                        let failure = Failure::new(failure.kind(), message);
                        return this.cut(failure);
                    }
                },
                Source::Body(body) => match Pin::new(body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        this.took(&frame);
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    Poll::Ready(None) => return this.end(),
                    Poll::Ready(Some(Err(failure))) => {
                        if this.on.kind == TransportKind::P2p {
                            this.record.shared().p2p_failed(this.on.epoch, &failure);
                        }
                        failure
                    }
                    Poll::Pending => {
                        let failure = ready!(this.on.poll_dead(cx));
                        if this.must_wait_on() {
                            continue;
                        }
                        failure
                    }
                },
            };
            if let Err(failure) = this.recover(failure) {
                return this.cut(failure);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Body(body) => body.is_end_stream(),
            Source::Resuming(..) => false,
            Source::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (self.length, &self.source) {
            (Some(length), _) => SizeHint::with_exact(length.saturating_sub(self.delivered)),
            (None, Source::Body(body)) => body.size_hint(),
            (None, Source::Resuming(..)) => SizeHint::default(),
            (None, Source::Ended) => SizeHint::with_exact(0),
        }
    }
}

impl Drop for Routed {
    fn drop(&mut self) {
        // Whoever has seen the end by `is_end_stream` polls no more.
        if self.is_end_stream() {
            self.complete();
        }
    }
}

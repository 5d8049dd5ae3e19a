//! Request bodies: taken into memory where a second transport may need them, and watched where they stream.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, timeout};
use tunnel_core::{Body, Failure, FailureKind, TransportKind};

use crate::counters::Counters;

/// Bodies up to this size are taken into memory for a transport that would stream them: as much as the tunnel server takes.
pub(super) const REPLAY_BYTES_MAX: usize = 262_144;

/// The longest wait for the next piece of a body that is taken into memory: as long as servers usually wait for their
/// clients, and only the app can be at fault.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether the body is, or is to be, no longer than `limit` for sure.
pub(super) fn is_short(body: &Body, limit: usize) -> bool {
    body.size_hint().exact().is_some_and(|bytes| bytes <= limit as u64)
}

/// Takes a body into memory, if it is not longer than `limit`. A longer one, and one with trailers, comes back as a stream,
/// whole. An error is that of the body itself, of its length if it is not the declared one, or a timeout of its source.
/// Dropping the future drops the body.
pub(super) async fn collect(mut body: Body, limit: usize) -> Result<Body, Failure> {
    if body.is_buffered() {
        return Ok(body);
    }
    let declared = body.size_hint().exact();
    let mut pieces = VecDeque::new();
    let mut bytes = 0;
    loop {
        let frame = timeout(PIECE_TIMEOUT, std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)));
        let frame = frame.await.map_err(|_| {
            Failure::new(FailureKind::Timeout, format!("no byte of the request body came within {PIECE_TIMEOUT:?}"))
        })?;
        let Some(frame) = frame.transpose()? else {
            if let Some(declared) = declared.filter(|&declared| declared != bytes as u64) {
                let message =
                    format!("the request body has {bytes} bytes, not the {declared} that it was said to have");
                return Err(Failure::new(FailureKind::Protocol, message));
            }
            return Ok(Body::full(joined(pieces, bytes)));
        };
        let is_trailers = frame.is_trailers();
        bytes += frame.data_ref().map_or(0, Bytes::len);
        pieces.push_back(frame);
        if is_trailers || bytes > limit {
            return Ok(Body::stream(Prefixed { pieces, rest: body }));
        }
    }
}

/// One piece as it is; several are copied together.
fn joined(mut pieces: VecDeque<Frame<Bytes>>, bytes: usize) -> Bytes {
    if pieces.len() == 1 {
        return pieces.pop_front().and_then(|frame| frame.into_data().ok()).unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(bytes);
    for data in pieces.iter().filter_map(Frame::data_ref) {
        whole.extend_from_slice(data);
    }
    whole.freeze()
}

/// A body whose beginning was already read.
struct Prefixed {
    pieces: VecDeque<Frame<Bytes>>,
    rest: Body,
}

impl http_body::Body for Prefixed {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        match this.pieces.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut this.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read: usize = self.pieces.iter().filter_map(Frame::data_ref).map(Bytes::len).sum();
        let mut hint = self.rest.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + read as u64);
        }
        hint.set_lower(hint.lower() + read as u64);
        hint
    }
}

/// When a streamed upload last moved.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    millis: AtomicU64,
    returned: AtomicBool,
}

impl Progress {
    /// The time of the last piece that was taken.
    pub(super) fn last(&self) -> Instant {
        self.begun + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }

    /// The transport has handed the body back: what is read from now on is not sent over it.
    pub(super) fn was_returned(&self) {
        self.returned.store(true, Ordering::Relaxed);
    }

    fn moved(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }
}

/// A stream with a watch on it, for a slow upload is no stalled response. It counts what is sent over `kind`.
pub(super) fn watched(body: Body, kind: TransportKind, counters: &Arc<Counters>) -> (Body, Option<Arc<Progress>>) {
    if body.is_buffered() {
        return (body, None);
    }
    let progress =
        Arc::new(Progress { begun: Instant::now(), millis: AtomicU64::new(0), returned: AtomicBool::new(false) });
    let watched = Watched { body, progress: Arc::clone(&progress), counters: Arc::clone(counters), kind };
    (Body::stream(watched), Some(progress))
}

struct Watched {
    body: Body,
    progress: Arc<Progress>,
    counters: Arc<Counters>,
    kind: TransportKind,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        this.progress.moved();
        if let (Some(Ok(frame)), false) = (&frame, this.progress.returned.load(Ordering::Relaxed)) {
            this.counters.bytes_sent.of(this.kind).add(frame.data_ref().map_or(0, Bytes::len) as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

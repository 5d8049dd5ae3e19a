//! Response bodies on their way to the caller.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tunnel_core::{Body, Failure, PathKind, Response, TransportKind, Via};

use super::{exchange::Exchange, record::Record, request::Again, watchdog::Watchdog};
use crate::Reason;

/// The response as the caller gets it: it says how it travelled, and its body is watched and counted.
pub(super) fn deliver(
    exchange: Exchange,
    response: Response,
    kind: TransportKind,
    reason: Reason,
    _again: Option<Again>,
) -> Response {
    let Exchange { shared, active, mut record, .. } = exchange;
    record.answered(kind, reason, response.status.as_u16());
    let via = Some(via(response.via, kind, reason));
    let Response { status, headers, body, .. } = response;
    if let Some(bytes) = body.as_bytes() {
        shared.counters.bytes_received.of(kind).add(bytes.len() as u64);
        record.completed();
        return Response { status, headers, body, via };
    }
    if body.is_end_stream() {
        record.completed();
        return Response { status, headers, body, via };
    }
    let watchdog = (kind == TransportKind::P2p).then(|| {
        let epoch = shared.look(crate::health::Machine::epoch);
        (Watchdog::new(&shared, &active.config, epoch), epoch)
    });
    let body = Body::stream(Routed { body: Some(body), record, kind, watchdog });
    Response { status, headers, body, via }
}

pub(super) fn via(via: Option<Via>, kind: TransportKind, reason: Reason) -> Via {
    Via { transport: kind, path: via.map_or(PathKind::Unknown, |via| via.path), reason: Some(reason.name()) }
}

/// A body on its way.
struct Routed {
    body: Option<Body>,
    record: Record,
    kind: TransportKind,
    watchdog: Option<(Watchdog, u64)>,
}

impl http_body::Body for Routed {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let failure = match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some((watchdog, _)) = &mut this.watchdog {
                    watchdog.progress();
                }
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                this.record.shared().counters.bytes_received.of(this.kind).add(bytes as u64);
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(None) => {
                this.body = None;
                this.record.completed();
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(failure))) => {
                if let Some((_, epoch)) = this.watchdog {
                    this.record.shared().p2p_failed(epoch, &failure);
                }
                failure
            }
            Poll::Pending => match &mut this.watchdog {
                Some((watchdog, _)) => std::task::ready!(watchdog.poll_dead(cx)),
                None => return Poll::Pending,
            },
        };
        this.body = None;
        this.record.cut(this.kind, &failure);
        Poll::Ready(Some(Err(failure)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl Drop for Routed {
    fn drop(&mut self) {
        // Whoever has seen the end by `is_end_stream` polls no more.
        if self.body.as_ref().is_some_and(http_body::Body::is_end_stream) {
            self.record.completed();
        }
    }
}

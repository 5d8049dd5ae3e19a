//! One attempt over one transport.

use std::sync::Arc;

use tokio::time::Instant;
use tunnel_core::{Failure, FailureKind, Health, Request, Response, SendError, TransportKind};

use super::Exchange;
use crate::router::{failures, shared::Shared, upload, watchdog};

impl Exchange {
    /// Sends the request over this transport and waits for the head. The result goes into the health of p2p.
    pub(super) async fn ask(&self, kind: TransportKind, request: Request) -> Result<Response, SendError> {
        let Some(transport) = self.shared.transport(kind) else {
            return Err(SendError::undelivered(failures::no_p2p(), request));
        };
        let counters = &self.shared.counters;
        counters.attempts.of(kind).one();
        let in_memory = request.body.as_bytes().map(|bytes| bytes.len() as u64);
        let (body, upload) = upload::watched(request.body, kind, counters);
        let request = Request { body, ..request };
        let result = if kind == TransportKind::P2p {
            let epoch = self.shared.look(crate::health::Machine::epoch);
            let begun = Instant::now();
            // Without a connection nothing is delivered: p2p gives up by itself then, and hands the request back. Without
            // another transport nothing is won by giving up before it does.
            let watched = matches!(transport.health(), Health::Healthy { .. }) && self.shared.legacy.is_some();
            let result = tokio::select! {
                biased;
                result = transport.send(request) => result,
                failure = watchdog::dead(&self.shared, &self.active.config, epoch, upload.as_deref()), if watched => {
                    Err(SendError::unknown(failure))
                }
            };
            self.shared.p2p_result(epoch, begun, result.as_ref().err().map(SendError::failure));
            result
        } else {
            transport.send(request).await
        };
        match &result {
            Err(error) if !error.may_have_been_delivered() => upload.iter().for_each(|upload| upload.was_returned()),
            _ => counters.bytes_sent.of(kind).add(in_memory.unwrap_or_default()),
        }
        result
    }

    /// The request as legacy takes it: in memory, if it must be, and nothing of it lost. Otherwise it comes back.
    pub(super) async fn for_legacy(&self, request: Request) -> Result<Request, SendError> {
        let Some(legacy) = &self.shared.legacy else {
            let failure = Failure::new(FailureKind::Unreachable, "there is no legacy transport here");
            return Err(SendError::undelivered(failure, request));
        };
        let request = match legacy.body_bytes_max() {
            Some(limit) => in_memory(request, limit).await?,
            None => request,
        };
        match legacy.can_carry(&request) {
            Ok(()) => Ok(request),
            Err(refusal) => Err(SendError::undelivered(refusal, request)),
        }
    }
}

/// With its body in memory, or as it was.
pub(super) async fn collect(request: Request, limit: usize) -> Result<Request, SendError> {
    match upload::collect(request.body, limit).await {
        Ok(body) => Ok(Request { body, ..request }),
        // The app's own failure.
        Err(failure) => Err(SendError::consumed(failure)),
    }
}

async fn in_memory(request: Request, limit: usize) -> Result<Request, SendError> {
    let lower = http_body::Body::size_hint(&request.body).lower();
    let request = if lower > limit as u64 { request } else { collect(request, limit).await? };
    let is_too_long = match request.body.as_bytes() {
        Some(bytes) => bytes.len() > limit,
        None => true,
    };
    if !is_too_long {
        return Ok(request);
    }
    let message = format!(
        "the legacy transport carries bodies of at most {limit} bytes, without trailers; this one is longer, or has them"
    );
    Err(SendError::undelivered(Failure::new(FailureKind::TooLarge, message), request))
}

impl Shared {
    /// What an attempt over p2p says about it.
    pub(crate) fn p2p_result(&self, epoch: u64, begun: Instant, failure: Option<&Failure>) {
        match failure {
            None => {
                self.heads.record(begun.elapsed());
                self.tell(|machine, now| machine.succeeded(now, epoch));
            }
            Some(failure) => self.p2p_failed(epoch, failure),
        }
    }

    /// A failure over p2p, before or after the head.
    pub(crate) fn p2p_failed(&self, epoch: u64, failure: &Failure) {
        if failures::blames_transport(failure.kind()) {
            tracing::debug!("p2p failed: {failure}");
            self.tell(|machine, now| machine.failed(now, epoch));
        }
    }

    /// Somebody else was faster: look whether p2p still works.
    pub(crate) fn doubt_p2p(&self) {
        self.tell(|machine, now| {
            machine.doubted(now);
            None
        });
        self.wake.notify_one();
    }

    /// Why p2p is not used.
    pub(crate) fn p2p_failure(&self) -> Failure {
        match self.p2p.as_ref().map(|p2p: &Arc<_>| p2p.health()) {
            Some(tunnel_core::Health::Down(failure)) => failure,
            Some(tunnel_core::Health::Probing) => Failure::new(FailureKind::Unreachable, "p2p is still connecting"),
            Some(tunnel_core::Health::Healthy { .. }) => {
                let cause = self.look(|machine| machine.since().0.name());
                Failure::new(FailureKind::Unreachable, format!("p2p is not used for now ({cause})"))
            }
            None => failures::no_p2p(),
        }
    }
}

//! Repeats a request over the other transport and compares.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http_body::Body as _;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tunnel_core::{Failure, FailureKind, Request, RequestHead, Response, TransportKind};

use super::{
    exchange::Exchange,
    request::{Again, Facts},
    shared::Shared,
};
use crate::{
    Mode, Source,
    config::basis_points,
    health::Machine,
    policy::bucket,
    shadow::{Job, Mismatch, Sample, Seen, differences},
};

/// Comparisons that wait: more at once are left out.
pub(super) const WAITING_MAX: usize = 16;

/// Comparisons under way at once.
pub(super) const RUNNING_MAX: usize = 2;

/// A comparison takes at most this long.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Exchange {
    /// The sample to take of this response, if it is to be compared.
    pub(super) fn sample(&self, response: &Response, kind: TransportKind, again: Option<&Again>) -> Option<Sample> {
        let config = &self.active.config;
        let may_differ = self.choice.mode == Mode::P2pFirst
            || (self.choice.mode == Mode::Legacy && matches!(self.choice.source, Source::Mode | Source::Rollout));
        let again = again.filter(|again| may_differ && again.is_empty())?;
        if !self.shared.sampler.takes(basis_points(config.shadow_percent)) {
            return None;
        }
        // The other transport may get another coding, or none.
        let is_coded = response.headers.contains_key(CONTENT_ENCODING);
        let is_long = response.body.size_hint().lower() > config.shadow_bytes_max;
        if is_coded || is_long {
            self.shared.counters.shadow_skipped.one();
            return None;
        }
        let (headers, counters) = (response.headers.clone(), &self.shared.counters);
        Some(Sample::new(again.clone(), kind, response.status, headers, config.shadow_bytes_max, counters))
    }
}

impl Shared {
    /// Has this compared, if there is room.
    pub(super) fn compare_later(&self, sample: Sample) {
        let Some(job) = sample.finish() else { return };
        if self.jobs.try_send(job).is_err() {
            self.counters.shadow_skipped.one();
        }
        self.wake.notify_one();
    }
}

/// One comparison. Dropping the future gives it up.
pub(super) async fn compare(shared: Arc<Shared>, job: Job) {
    let active = shared.active();
    let config = &active.config;
    let counters = &shared.counters;
    let Some(request) = request(&shared, &job) else { return counters.shadow_skipped.one() };
    let other = other(job.kind);
    let Some(transport) = shared.transport(other) else { return counters.shadow_skipped.one() };
    if !shared.budget.spend(shared.now(), job.seen.bytes, config.shadow_bytes_per_minute) {
        return counters.shadow_skipped.one();
    }
    let (method, path) = {
        let facts = Facts::of(&request);
        (facts.method.to_string(), facts.path.into_owned())
    };
    let id = request.id;
    let seeing = async {
        let response = transport.send(request).await.map_err(|error| error.failure().clone())?;
        see(response, job.seen.bytes, &shared).await
    };
    let seen = timeout(TIMEOUT, seeing)
        .await
        .unwrap_or_else(|_| Err(Failure::new(FailureKind::Timeout, format!("not done within {TIMEOUT:?}"))));
    let seen = match seen {
        Ok(seen) => seen,
        Err(failure) => {
            tracing::debug!(request = id, "nothing to compare: {failure}");
            return counters.shadow_failed.one();
        }
    };
    let differences = differences(&job.seen, &seen, &config.shadow_ignore_headers);
    if differences.is_empty() {
        return counters.shadow_matched.one();
    }
    counters.shadow_mismatched.one();
    tracing::warn!(request = id, transport = job.kind.name(), ?differences, "the transports differ");
    shared.mismatches.push(Mismatch { id, method, path, transport: job.kind.name(), differences });
}

const fn other(kind: TransportKind) -> TransportKind {
    match kind {
        TransportKind::P2p => TransportKind::Legacy,
        _ => TransportKind::P2p,
    }
}

/// The request for the other transport, if that works, can carry it, and may by the policy of now.
fn request(shared: &Shared, job: &Job) -> Option<Request> {
    let mut request = job.again.request();
    if let RequestHead::Http(parts) = &mut request.head {
        parts.headers.remove(ACCEPT_ENCODING);
    }
    let active = shared.active();
    let facts = Facts::of(&request);
    let client_id = facts.client_id.as_deref().or(active.config.client_id.as_deref());
    let choice = active.policy().choose(&facts.method, &facts.path, || bucket(client_id.unwrap_or_default()));
    let other = other(job.kind);
    let is_allowed = match (other, choice.mode) {
        (TransportKind::P2p, Mode::Legacy) => matches!(choice.source, Source::Mode | Source::Rollout),
        (TransportKind::P2p, _) | (_, Mode::Legacy | Mode::P2pFirst) => true,
        (_, Mode::P2pOnly) => false,
    };
    let works = other != TransportKind::P2p || shared.look_at_p2p(Machine::state).is_usable();
    let carries = shared.transport(other).is_some_and(|transport| transport.can_carry(&request).is_ok());
    (is_allowed && works && carries).then_some(request)
}

/// Reads a response, up to the first byte that is too much.
async fn see(response: Response, expected: u64, shared: &Shared) -> Result<Seen, Failure> {
    let Response { status, headers, mut body, .. } = response;
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.transpose()? {
        let Some(piece) = frame.data_ref() else { continue };
        bytes += Bytes::len(piece) as u64;
        shared.counters.shadow_bytes.add(Bytes::len(piece) as u64);
        hasher.update(piece);
        if bytes > expected {
            break;
        }
    }
    Ok(Seen { status, headers, hash: hasher.finalize().into(), bytes })
}

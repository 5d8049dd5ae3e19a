//! A response that is going by, to be compared later.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use tunnel_core::TransportKind;

use crate::{
    counters::Counters,
    router::{Again, lock},
};

/// What is compared of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) hash: [u8; 32],
    pub(crate) bytes: u64,
}

/// One comparison to make.
pub(crate) struct Job {
    pub(crate) again: Again,
    /// The transport that answered the user.
    pub(crate) kind: TransportKind,
    pub(crate) seen: Seen,
}

/// Says which requests are compared: chance, from a seed.
#[derive(Debug)]
pub(crate) struct Sampler(Mutex<fastrand::Rng>);

impl Sampler {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    /// Whether this one is among so many hundredths of a percent.
    pub(crate) fn takes(&self, basis_points: u16) -> bool {
        basis_points > 0 && lock(&self.0).u16(..10_000) < basis_points
    }
}

/// Hashes a body as it goes by. Dropping it before the end counts it as skipped.
pub(crate) struct Sample {
    unfinished: Option<(Again, TransportKind, StatusCode, HeaderMap)>,
    hasher: Sha256,
    bytes: u64,
    bytes_max: u64,
    counters: Arc<Counters>,
}

impl Sample {
    pub(crate) fn new(
        again: Again,
        kind: TransportKind,
        status: StatusCode,
        headers: HeaderMap,
        bytes_max: u64,
        counters: &Arc<Counters>,
    ) -> Self {
        let unfinished = Some((again, kind, status, headers));
        Self { unfinished, hasher: Sha256::new(), bytes: 0, bytes_max, counters: Arc::clone(counters) }
    }

    /// Takes a piece; false once the body is too long to be compared.
    pub(crate) fn take(&mut self, piece: &Bytes) -> bool {
        self.bytes += piece.len() as u64;
        self.hasher.update(piece);
        self.bytes <= self.bytes_max
    }

    /// The body has ended well.
    pub(crate) fn finish(mut self) -> Option<Job> {
        let (again, kind, status, headers) = self.unfinished.take()?;
        let hash = std::mem::take(&mut self.hasher).finalize().into();
        Some(Job { again, kind, seen: Seen { status, headers, hash, bytes: self.bytes } })
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        if self.unfinished.is_some() {
            self.counters.shadow_skipped.one();
        }
    }
}

//! The controller on links in virtual time, under real QUIC connections.
#![allow(missing_docs, clippy::pedantic, reason = "tests")]

#[path = "model/model.rs"]
mod model;

#[path = "links/changes.rs"]
mod changes;
#[path = "links/seeds.rs"]
mod seeds;
#[path = "links/shared.rs"]
mod shared;
#[path = "links/steady.rs"]
mod steady;

use std::{sync::Arc, time::Duration};

use p2p_congestion::BbrConfig;

use self::model::{
    link::Conditions,
    world::{Flow, Source},
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A link without loss. `queue` is in bandwidth-delay products.
fn link(rtt: Duration, mbit: f64, queue: f64) -> Conditions {
    let rate = mbit * 125_000.0;
    Conditions {
        delay: rtt / 2,
        jitter: Duration::ZERO,
        reorder: false,
        rate,
        queue: (queue * rate * rtt.as_secs_f64()) as u64,
        loss: 0.0,
        burst: 1.0,
        mtu: 1472,
    }
}

/// The way back of such a link, on which acknowledgements are not in each other's way.
fn back(forward: Conditions) -> Conditions {
    Conditions { queue: 1 << 30, ..forward }
}

fn bbr(seed: u64, source: Source, start: Duration) -> Flow {
    Flow { controller: Arc::new(BbrConfig::with_seed(seed)), source, start }
}

/// The part of the link's rate that was payload.
fn used(bytes: u64, rate: f64, time: Duration) -> f64 {
    bytes as f64 / (rate * time.as_secs_f64())
}

fn percentile(times: &[Duration], part: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

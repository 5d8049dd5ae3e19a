//! Flows that share a bottleneck. Beside another BBR it is seen in the WAN lab: noq's takes its chance from the system.

use std::sync::Arc;

use noq_proto::congestion::{ControllerFactory, CubicConfig, NewRenoConfig};

use crate::{
    MS, NOW, SECOND, back, bbr, link,
    model::world::{Flow, Source, World},
};

/// The first flow's share of the last 20 of 25 s, on a link of 20 Mbit/s.
fn share(rtt: u32, queue: f64, flows: Vec<Flow>, seed: u64) -> f64 {
    let forward = link(rtt * MS, 20.0, queue);
    let mut world = World::new(forward, back(forward), flows, seed);
    world.run_until(25 * SECOND);
    let first = world.received(0, 5 * SECOND, 25 * SECOND) as f64;
    let second = world.received(1, 5 * SECOND, 25 * SECOND) as f64;
    first / (first + second)
}

#[test]
fn two_of_a_kind_share_alike() {
    for rtt in [20, 80] {
        for queue in [1.0, 2.0] {
            for (seed, start) in [(0, 100 * MS), (1, SECOND)] {
                let flows = vec![bbr(seed, Source::Bulk, NOW), bbr(seed + 100, Source::Bulk, start)];
                let share = share(rtt, queue, flows, seed);
                assert!((0.3..0.7).contains(&share), "rtt {rtt}, queue {queue}, seed {seed}: {share:.3}");
            }
        }
    }
}

/// Each keeps a part, whoever begins.
fn both_live(controller: Arc<dyn ControllerFactory + Send + Sync>, least: f64) {
    for rtt in [20, 80] {
        for queue in [1.0, 2.0] {
            for (start, other) in [(0, 3), (3, 0)] {
                let other = Flow { controller: Arc::clone(&controller), source: Source::Bulk, start: other * SECOND };
                let share = share(rtt, queue, vec![bbr(1, Source::Bulk, start * SECOND), other], 3);
                let what = format!("rtt {rtt}, queue {queue}, begins at {start} s");
                assert!((least..1.0 - least).contains(&share), "{what}: {share:.3}");
            }
        }
    }
}

#[test]
fn beside_cubic_both_live() {
    both_live(Arc::new(CubicConfig::default()), 0.2);
}

#[test]
fn beside_new_reno_both_live() {
    both_live(Arc::new(NewRenoConfig::default()), 0.25);
}

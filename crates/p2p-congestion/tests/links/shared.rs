//! Flows that share a bottleneck.

use std::sync::Arc;

use noq_proto::congestion::{Bbr3Config, CubicConfig, NewRenoConfig};

use crate::{
    MS, SECOND, back, bbr, link,
    model::world::{Flow, Source, World},
};

/// The first flow's share from `from` on.
fn share(world: &World, from: u32, to: u32) -> f64 {
    let first = world.received(0, from * SECOND, to * SECOND) as f64;
    let second = world.received(1, from * SECOND, to * SECOND) as f64;
    first / (first + second)
}

#[test]
fn two_of_a_kind_share() {
    for rtt in [20, 80] {
        for queue in [1.0, 2.0] {
            for seed in 0..2 {
                let forward = link(rtt * MS, 20.0, queue);
                let flows = vec![
                    bbr(seed, Source::Bulk, 0 * SECOND),
                    bbr(seed + 100, Source::Bulk, 100 * MS + seed as u32 * 900 * MS),
                ];
                let mut world = World::new(forward, back(forward), flows, seed);
                world.run_until(20 * SECOND);
                let share = share(&world, 5, 20);
                println!("same rtt {rtt} queue {queue} seed {seed}: {share:.3} dropped {}", world.forward.counters.dropped);
            }
        }
    }
}

#[test]
fn both_live_beside_others() {
    for (name, controller) in [
        ("cubic", Arc::new(CubicConfig::default()) as Arc<dyn noq_proto::congestion::ControllerFactory + Send + Sync>),
        ("reno", Arc::new(NewRenoConfig::default())),
        ("bbr3", Arc::new(Bbr3Config::default())),
    ] {
        for rtt in [20, 80] {
            for queue in [1.0, 2.0] {
                for start in [0, 3000] {
                    let forward = link(rtt * MS, 20.0, queue);
                    let other = Flow { controller: Arc::clone(&controller), source: Source::Bulk, start: (3000 - start) * MS };
                    let flows = vec![bbr(1, Source::Bulk, start * MS), other];
                    let mut world = World::new(forward, back(forward), flows, 3);
                    world.run_until(25 * SECOND);
                    let share = share(&world, 5, 25);
                    println!("{name} rtt {rtt} queue {queue} start {start}: {share:.3} dropped {}", world.forward.counters.dropped);
                }
            }
        }
    }
}

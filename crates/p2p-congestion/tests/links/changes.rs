//! Links that change.

use crate::{
    MS, SECOND, back, bbr, link,
    model::{
        link::Conditions,
        world::{Source, World},
    },
    percentile, used,
};

fn bins(world: &World, from: u32, to: u32, rate: f64) -> String {
    (from * 4..to * 4)
        .map(|at| format!("{:.2}", used(world.received(0, at * 250 * MS, (at + 1) * 250 * MS), rate, 250 * MS)))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn the_rate_falls_and_rises() {
    for rtt in [20, 80, 300] {
        for queue in [0.5, 1.0, 4.0] {
            for loss in [0.0, 0.02] {
                let forward = Conditions { loss, ..link(rtt * MS, 50.0, queue) };
                let mut world = World::new(forward, back(forward), vec![bbr(1, Source::Bulk, 0 * SECOND)], 1);
                world.run_until(6 * SECOND);
                let at = world.queue.len();
                world.forward.conditions.rate /= 10.0;
                world.run_until(12 * SECOND);
                let q = percentile(&world.queue[at + 600..], 0.5);
                world.forward.conditions.rate *= 10.0;
                world.run_until(18 * SECOND);
                println!("rtt {rtt} queue {queue} loss {loss}: slow q50 {q:?} {} | fast {}", bins(&world, 6, 12, forward.rate / 10.0), bins(&world, 12, 18, forward.rate));
            }
        }
    }
}

#[test]
fn blackout() {
    for rtt in [20, 80, 300] {
        for length in [300, 1000, 3000] {
            let forward = link(rtt * MS, 50.0, 1.0);
            let mut world = World::new(forward, back(forward), vec![bbr(1, Source::Bulk, 0 * SECOND)], 1);
            world.run_until(6 * SECOND);
            world.forward.conditions.loss = 1.0;
            world.backward.conditions.loss = 1.0;
            world.run_until(6 * SECOND + length * MS);
            world.forward.conditions.loss = 0.0;
            world.backward.conditions.loss = 0.0;
            world.run_until(14 * SECOND);
            println!("blackout rtt {rtt} {length}: {}", bins(&world, 6, 14, forward.rate));
        }
    }
}

#[test]
fn jitter() {
    for rtt in [20, 80, 300] {
        for jitter in [1, 5, 20] {
            for reorder in [false, true] {
                for loss in [0.0, 0.01] {
                    let forward = Conditions { jitter: jitter * MS, reorder, loss, ..link(rtt * MS, 50.0, 1.0) };
                    let backward = back(forward);
                    let mut world = World::new(forward, backward, vec![bbr(1, Source::Bulk, 0 * SECOND)], 1);
                    world.run_until(10 * SECOND);
                    let stats = world.connection(0).stats();
                    let q = percentile(&world.queue, 0.5);
                    println!(
                        "jitter rtt {rtt} {jitter} reorder {reorder} loss {loss}: {:.3} q50 {q:?} lost {} real {} dropped {}",
                        used(world.received(0, 3 * SECOND, 10 * SECOND), forward.rate, 7 * SECOND),
                        stats.path_stats_lost(),
                        world.forward.counters.lost,
                        world.forward.counters.dropped
                    );
                }
            }
        }
    }
}

trait Lost {
    fn path_stats_lost(&self) -> u64;
}

impl Lost for noq_proto::ConnectionStats {
    fn path_stats_lost(&self) -> u64 {
        self.lost_packets
    }
}

#[test]
fn rtt_changes() {
    for (before, after) in [(20, 150), (150, 20), (80, 300)] {
        let forward = link(before * MS, 50.0, 2.0);
        let mut world = World::new(forward, back(forward), vec![bbr(1, Source::Bulk, 0 * SECOND)], 1);
        world.run_until(6 * SECOND);
        world.forward.conditions.delay = after * MS / 2;
        world.backward.conditions.delay = after * MS / 2;
        world.run_until(26 * SECOND);
        println!("rtt {before} to {after}: {}", bins(&world, 6, 26, forward.rate));
    }
}

//! One flow on a link that stays as it is.

use crate::{
    MS, SECOND, back, bbr, link,
    model::{
        link::Conditions,
        world::{Source, World},
    },
    used,
};

#[test]
fn application_limited_then_bulk() {
    for rtt in [20, 80, 300] {
        for loss in [0.0, 0.01] {
            let forward = Conditions { loss, ..link(rtt * MS, 50.0, 1.0) };
            // Small things for a while, then as much as goes: as an app that looks at lists and then plays.
            let mut world = World::new(forward, back(forward), vec![bbr(1, Source::Steps(3000, 50 * MS), 0 * SECOND)], 1);
            world.run_until(5 * SECOND);
            world.set_source(0, Source::Bulk);
            world.run_until(10 * SECOND);
            let first: Vec<String> = (0..20)
                .map(|at| format!("{:.2}", used(world.received(0, 5 * SECOND + at * 250 * MS, 5 * SECOND + (at + 1) * 250 * MS), forward.rate, 250 * MS)))
                .collect();
            println!("app limited first rtt {rtt} loss {loss}: {} dropped {}", first.join(" "), world.forward.counters.dropped);
        }
    }
}

#[test]
fn steps_near_the_rate() {
    for rtt in [20, 80, 300] {
        for (bytes, interval) in [(64 << 10, 12), (256 << 10, 50), (1 << 20, 200), (16 << 10, 3)] {
            let forward = Conditions { loss: 0.01, ..link(rtt * MS, 50.0, 1.0) };
            let offered = bytes as f64 / (interval as f64 / 1000.0);
            let mut world = World::new(forward, back(forward), vec![bbr(1, Source::Steps(bytes, interval * MS), 0 * SECOND)], 1);
            world.run_until(10 * SECOND);
            println!(
                "steps rtt {rtt} {bytes} each {interval} ms: {:.3} of offered, dropped {}",
                used(world.received(0, 3 * SECOND, 10 * SECOND), offered, 7 * SECOND),
                world.forward.counters.dropped
            );
        }
    }
}

//! What controllers make of links: a table from virtual time. `links [PATTERN] [--seeds N]`.
#![allow(dead_code, missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/model/model.rs"]
mod model;

use std::{sync::Arc, time::Duration};

use model::{
    link::Conditions,
    world::{Flow, Source, World},
};
use noq_proto::congestion::{Bbr3Config, ControllerFactory, CubicConfig};
use p2p_congestion::BbrConfig;

fn controller(name: &str, seed: u64) -> Arc<dyn ControllerFactory + Send + Sync> {
    match name {
        "bbr" => Arc::new(BbrConfig::with_seed(seed)),
        "bbr3" => Arc::new(Bbr3Config::default()),
        _ => Arc::new(CubicConfig::default()),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&str> = args.first().map_or(vec!["bbr", "bbr3", "cubic"], |a| a.split(',').collect());
    let seconds = 5;
    println!("rtt loss burst rate queue | controller util drop% q50 q95 qmax alive");
    for rtt in [20u64, 80, 150, 300] {
        for (loss, burst) in [(0.0, 1.0), (0.001, 1.0), (0.01, 1.0), (0.02, 1.0), (0.01, 10.0), (0.05, 1.0)] {
            for mbit in [20.0, 50.0, 100.0] {
                for bdps in [0.5, 1.0, 4.0] {
                    let rate = mbit * 125_000.0;
                    let queue = (bdps * rate * rtt as f64 / 1000.0) as u64;
                    let forward = Conditions {
                        delay: Duration::from_millis(rtt / 2),
                        jitter: Duration::ZERO,
                        reorder: false,
                        rate,
                        queue,
                        loss,
                        burst,
                        mtu: 1472,
                    };
                    let backward = Conditions { queue: 1 << 30, ..forward };
                    for name in &names {
                        let flow =
                            Flow { controller: controller(name, 1), source: Source::Bulk, start: Duration::ZERO };
                        let mut world = World::new(forward, backward, vec![flow], 7);
                        world.run_until(Duration::from_secs(seconds));
                        let util = world.total(0) as f64 / (rate * seconds as f64);
                        let c = world.forward.counters;
                        let mut q = world.queue.clone();
                        q.sort();
                        let p = |x: f64| q[((q.len() - 1) as f64 * x) as usize].as_secs_f64() * 1000.0;
                        println!(
                            "{rtt:3} {:4.1} {burst:4.0} {mbit:4.0} {bdps:4.1} | {name:5} {util:.3} {:5.2} {:6.1} {:6.1} {:6.1} {}",
                            loss * 100.0,
                            c.dropped as f64 * 100.0 / c.offered as f64,
                            p(0.5),
                            p(0.95),
                            p(1.0),
                            world.is_alive(0)
                        );
                    }
                }
            }
        }
    }
}

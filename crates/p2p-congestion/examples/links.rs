//! What controllers make of links, in virtual time: `links [CONTROLLER,..]`, of `bbr`, `bbr3` and `cubic`.
//!
//! Real QUIC connections, one flow for 5 s; the same figures in every run.
#![allow(dead_code, clippy::pedantic, clippy::print_stdout, clippy::unwrap_used, reason = "a tool for its makers")]

#[path = "../tests/model/model.rs"]
mod model;

use std::{sync::Arc, time::Duration};

use model::{
    link::Conditions,
    world::{Flow, Source, World},
};
use noq_proto::congestion::{Bbr3Config, ControllerFactory, CubicConfig};
use p2p_congestion::BbrConfig;

const TIME: Duration = Duration::from_secs(5);

fn controller(name: &str) -> Arc<dyn ControllerFactory + Send + Sync> {
    match name {
        "bbr" => Arc::new(BbrConfig::with_seed(1)),
        "bbr3" => Arc::new(Bbr3Config::default()),
        "cubic" => Arc::new(CubicConfig::default()),
        other => panic!("no controller is called {other:?}; there are bbr, bbr3 and cubic"),
    }
}

fn main() {
    let names = std::env::args().nth(1).unwrap_or_else(|| "bbr,bbr3,cubic".to_owned());
    println!("  RTT    loss  burst  Mbit/s  queue | controller  of link  dropped  queue: median      95 %       max");
    for rtt in [20_u32, 80, 150, 300] {
        for (loss, burst) in [(0.0, 1.0), (0.001, 1.0), (0.01, 1.0), (0.02, 1.0), (0.01, 10.0), (0.05, 1.0)] {
            for (mbit, queue) in [(20.0, 1.0), (50.0, 0.5), (50.0, 1.0), (50.0, 4.0), (100.0, 1.0)] {
                for name in names.split(',') {
                    row(rtt, (loss, burst), mbit, queue, name);
                }
            }
        }
    }
}

fn row(rtt: u32, (loss, burst): (f64, f64), mbit: f64, queue: f64, name: &str) {
    let delay = Duration::from_millis(rtt.into()) / 2;
    let rate = mbit * 125_000.0;
    let bytes = (queue * rate * 2.0 * delay.as_secs_f64()) as u64;
    let forward =
        Conditions { delay, jitter: Duration::ZERO, reorder: false, rate, queue: bytes, loss, burst, mtu: 1472 };
    let flow = Flow { controller: controller(name), source: Source::Bulk, start: Duration::ZERO };
    let mut world = World::new(forward, Conditions { queue: 1 << 30, ..forward }, vec![flow], 7);
    world.run_until(TIME);
    let used = world.total(0) as f64 / (rate * TIME.as_secs_f64());
    let counters = world.forward.counters;
    let dropped = 100.0 * counters.dropped as f64 / counters.offered as f64;
    let mut delays = world.queue.clone();
    delays.sort();
    let delay = |part: f64| delays[((delays.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    println!(
        "{rtt:>3} ms {:>5.1} % {burst:>6} {mbit:>7} {queue:>6} | {name:<10} {used:>8.2} {dropped:>6.2} % {:>10.1} ms {:>6.1} ms {:>6.1} ms",
        100.0 * loss,
        delay(0.5),
        delay(0.95),
        delay(1.0)
    );
}

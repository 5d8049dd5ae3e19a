//! Links of every kind, from seeds: nothing panics, stands still, or floods.

use crate::{
    MS, SECOND, back, bbr,
    model::{
        link::Conditions,
        world::{Source, World},
    },
    percentile, used,
};

/// How many links; more by hand: `LINK_SEEDS=100000 cargo test -p p2p-congestion --release seeds`.
fn seeds() -> u64 {
    std::env::var("LINK_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2000)
}

fn conditions(random: &mut fastrand::Rng) -> Conditions {
    let rtt = (2.0 * 200_f64.powf(random.f64())) as u32 * MS;
    let rate = 62_500.0 * 16_f64.powf(random.f64());
    let queue = (rate * rtt.as_secs_f64() * (0.5 + 3.5 * random.f64())) as u64 + 6000;
    Conditions {
        delay: rtt / 2,
        jitter: if random.bool() { rtt.mul_f64(0.1 * random.f64()) } else { 0 * MS },
        reorder: random.bool(),
        rate,
        queue,
        loss: if random.bool() { 0.03 * random.f64() } else { 0.0 },
        burst: if random.u8(..4) == 0 { 1.0 + 9.0 * random.f64() } else { 1.0 },
        mtu: random.usize(1300..1500),
    }
}

fn play(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let forward = conditions(&mut random);
    let source = match random.u8(..4) {
        0 => Source::Steps(random.u64(500..100_000), random.u32(5..500) * MS),
        _ => Source::Bulk,
    };
    let mut world = World::new(forward, back(forward), vec![bbr(seed, source, 0 * SECOND)], seed);
    let rtt = 2 * forward.delay;
    let (warm, end) = (12 * rtt + SECOND, 24 * rtt + 3 * SECOND);
    world.run_until(end);
    let what = format!("seed {seed}: {forward:?}, {source:?}");
    assert!(world.is_alive(0), "{what}");
    assert!(world.total(0) > 0, "{what}");
    // A burst can take all that is in flight on a short link, and then the probes of several timeouts.
    let packets = forward.rate * rtt.as_secs_f64() / 1300.0;
    if matches!(source, Source::Bulk) && forward.burst == 1.0 && packets > 3.0 {
        let used = used(world.received(0, warm, end), forward.rate, end - warm);
        assert!(used > 0.4, "{what}: used {used:.3}");
    }
    // A queue that is full half of the time would be a flood; the smallest window makes some on links that hold less.
    let full = forward.queue as f64 / forward.rate;
    let small = 0.06 + 8.0 * 1500.0 / forward.rate;
    let median = percentile(&world.queue, 0.5).as_secs_f64();
    assert!(median < (0.75 * full).max(small), "{what}: queue {median:.3} of {full:.3} s");
}

#[test]
fn every_link_is_used_and_none_flooded() {
    let seeds = seeds();
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || (0..seeds).skip(thread as usize).step_by(threads as usize).for_each(play));
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let forward = Conditions { loss: 0.01, ..crate::link(50 * MS, 10.0, 1.0) };
    let run = || {
        let mut world = World::new(forward, back(forward), vec![bbr(5, Source::Bulk, 0 * SECOND)], 5);
        world.run_until(3 * SECOND);
        (world.total(0), world.forward.counters.offered, world.forward.counters.dropped)
    };
    assert_eq!(run(), run());
}

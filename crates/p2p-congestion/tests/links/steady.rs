//! One flow on a link that stays as it is.

use crate::{
    MS, SECOND, back, bbr, link,
    model::{
        link::Conditions,
        world::{Source, World},
    },
    percentile, used,
};

#[test]
fn links_are_full_and_their_queues_short() {
    for rtt in [20, 80, 300] {
        for (loss, burst) in [(0.0, 1.0), (0.01, 1.0), (0.02, 1.0), (0.01, 10.0), (0.05, 1.0)] {
            for queue in [0.5, 1.0, 4.0] {
                let forward = Conditions { loss, burst, ..link(rtt * MS, 20.0, queue) };
                let mut world = World::new(forward, back(forward), vec![bbr(1, Source::Bulk, 0 * SECOND)], 7);
                // Start-up takes eight round trips, with the handshake and the drain.
                let (warm, end) = (10 * rtt * MS + SECOND, 30 * rtt * MS + 3 * SECOND);
                world.run_until(end);
                let what = format!("rtt {rtt}, loss {loss} in bursts of {burst}, queue {queue}");
                let used = used(world.received(0, warm, end), forward.rate, end - warm);
                // A burst can take all that is in flight on a short link, and then the probes of several timeouts.
                let least = if burst > 1.0 { 0.5 } else { 0.88 - loss };
                assert!(used > least, "{what}: used {used:.3}");
                assert!(percentile(&world.queue, 0.5) < 25 * MS, "{what}: {:?}", percentile(&world.queue, 0.5));
                let tail = percentile(&world.queue, 0.95);
                assert!(tail < rtt * MS + 40 * MS, "{what}: {tail:?}");
                let counters = world.forward.counters;
                let dropped = counters.dropped as f64 / counters.offered as f64;
                assert!(dropped < if queue < 1.0 { 0.04 } else { 0.02 }, "{what}: dropped {dropped:.3}");
                assert!(world.is_alive(0));
            }
        }
    }
}

#[test]
fn a_short_body_takes_no_longer_than_doubling_needs() {
    for (rtt, rounds) in [(20, 8), (80, 8), (300, 7)] {
        let forward = link(rtt * MS, 50.0, 1.0);
        let mut world = World::new(forward, back(forward), vec![bbr(1, Source::File(1 << 20), 0 * SECOND)], 1);
        world.run_until(20 * SECOND);
        assert_eq!(world.total(0), 1 << 20);
        let took = world.last_byte(0);
        assert!(took < rounds * rtt * MS + 168 * MS, "rtt {rtt}: {took:?}");
    }
}

#[test]
fn small_exchanges_before_do_not_slow_a_body_down() {
    for rtt in [20, 80, 300] {
        for loss in [0.0, 0.01] {
            let forward = Conditions { loss, ..link(rtt * MS, 20.0, 1.0) };
            // As an app that looks at lists, and then plays.
            let source = Source::Steps(3000, 50 * MS);
            let mut world = World::new(forward, back(forward), vec![bbr(1, source, 0 * SECOND)], 1);
            world.run_until(5 * SECOND);
            world.set_source(0, Source::Bulk);
            let warm = 5 * SECOND + 8 * rtt * MS + 300 * MS;
            let end = warm + 20 * rtt * MS + 2 * SECOND;
            world.run_until(end);
            let used = used(world.received(0, warm, end), forward.rate, end - warm);
            assert!(used > 0.85, "rtt {rtt}, loss {loss}: used {used:.3}");
        }
    }
}

#[test]
fn what_comes_in_steps_goes_as_fast_as_it_comes() {
    for rtt in [20, 80, 300] {
        for (bytes, interval) in [(16 << 10, 8), (64 << 10, 30), (512 << 10, 250)] {
            let forward = Conditions { loss: 0.01, ..link(rtt * MS, 20.0, 1.0) };
            let offered = bytes as f64 / (f64::from(interval) / 1000.0);
            let source = Source::Steps(bytes, interval * MS);
            let mut world = World::new(forward, back(forward), vec![bbr(1, source, 0 * SECOND)], 1);
            world.run_until(10 * SECOND);
            let part = used(world.received(0, 5 * SECOND, 10 * SECOND), offered, 5 * SECOND);
            assert!(part > 0.95, "rtt {rtt}, {bytes} bytes each {interval} ms: {part:.3}");
        }
    }
}

//! Links that change.

use std::time::Duration;

use crate::{
    MS, NOW, SECOND, back, bbr, link,
    model::{
        link::Conditions,
        world::{Source, World},
    },
    used,
};

/// A second after which a flow must have its rate again: 3 s, or ten round trips where that is longer.
fn again(rtt: u32) -> Duration {
    (3 * SECOND).max(10 * rtt * MS)
}

/// What a flow used of a link in the 3 s after `from`.
fn used_after(world: &mut World, from: Duration, rate: f64) -> f64 {
    world.run_until(from + 3 * SECOND);
    used(world.received(0, from, from + 3 * SECOND), rate, 3 * SECOND)
}

#[test]
fn a_rate_that_falls_and_rises_is_followed() {
    for rtt in [20, 80] {
        for queue in [0.5, 1.0, 4.0] {
            for loss in [0.0, 0.02] {
                let forward = Conditions { loss, ..link(rtt * MS, 50.0, queue) };
                let mut world = World::new(forward, back(forward), vec![bbr(1, Source::Bulk, NOW)], 1);
                world.run_until(5 * SECOND);
                world.forward.conditions.rate /= 10.0;
                let slow = used_after(&mut world, 5 * SECOND + again(rtt), forward.rate / 10.0);
                let risen = 8 * SECOND + again(rtt);
                world.forward.conditions.rate *= 10.0;
                let fast = used_after(&mut world, risen + again(rtt), forward.rate);
                let what = format!("rtt {rtt}, queue {queue}, loss {loss}");
                assert!(slow > 0.75, "{what}: {slow:.3} of the slow link");
                assert!(fast > 0.75, "{what}: {fast:.3} of the fast link");
            }
        }
    }
}

#[test]
fn a_blackout_is_survived() {
    for rtt in [20, 80, 300] {
        for dark in [300, 1000] {
            let forward = link(rtt * MS, 20.0, 1.0);
            let mut world = World::new(forward, back(forward), vec![bbr(1, Source::Bulk, NOW)], 1);
            world.run_until(6 * SECOND);
            (world.forward.conditions.loss, world.backward.conditions.loss) = (1.0, 1.0);
            let light = 6 * SECOND + dark * MS;
            world.run_until(light);
            (world.forward.conditions.loss, world.backward.conditions.loss) = (0.0, 0.0);
            let used = used_after(&mut world, light + again(rtt), forward.rate);
            assert!(used > 0.85, "rtt {rtt}, dark for {dark} ms: {used:.3}");
            assert!(world.is_alive(0));
        }
    }
}

#[test]
fn jitter_and_reordering_are_no_congestion() {
    for rtt in [20, 80, 300] {
        for (jitter, reorder) in [(1, true), (5, false), (5, true)] {
            for loss in [0.0, 0.01] {
                let forward = Conditions { jitter: jitter * MS, reorder, loss, ..link(rtt * MS, 20.0, 1.0) };
                let mut world = World::new(forward, back(forward), vec![bbr(1, Source::Bulk, NOW)], 1);
                let warm = SECOND + 10 * rtt * MS;
                let used = used_after(&mut world, warm, forward.rate);
                assert!(used > 0.85, "rtt {rtt}, jitter {jitter}, reordered {reorder}, loss {loss}: {used:.3}");
            }
        }
    }
}

#[test]
fn another_round_trip_time_is_learnt() {
    for (before, after, learnt) in [(150, 20, 1), (20, 80, 13), (80, 150, 13)] {
        let forward = link(before * MS, 20.0, 2.0);
        let mut world = World::new(forward, back(forward), vec![bbr(1, Source::Bulk, NOW)], 1);
        world.run_until(5 * SECOND);
        (world.forward.conditions.delay, world.backward.conditions.delay) = (after * MS / 2, after * MS / 2);
        let used = used_after(&mut world, (5 + learnt) * SECOND, forward.rate);
        assert!(used > 0.8, "{before} to {after} ms: {used:.3}");
    }
}

#[test]
fn a_smaller_mtu_is_survived() {
    let forward = link(80 * MS, 20.0, 1.0);
    let mut world = World::new(forward, back(forward), vec![bbr(1, Source::Bulk, NOW)], 1);
    world.run_until(4 * SECOND);
    world.forward.conditions.mtu = 1300;
    let used = used_after(&mut world, 9 * SECOND, forward.rate);
    assert!(used > 0.8, "{used:.3}");
}

#[test]
fn a_stall_is_survived() {
    for rtt in [20, 80, 150, 300] {
        for stall in [100, 300] {
            for loss in [0.0, 0.05] {
                let forward = Conditions { loss, ..link(rtt * MS, 20.0, 1.0) };
                let mut world = World::new(forward, back(forward), vec![bbr(1, Source::Bulk, NOW)], 1);
                world.run_until(6 * SECOND);
                let over = 6 * SECOND + stall * MS;
                let until = world.start + over;
                world.forward.hold(until);
                world.backward.hold(until);
                let used = used_after(&mut world, over, forward.rate);
                assert!(used > 0.88 - 2.0 * loss, "rtt {rtt}, away for {stall} ms, loss {loss}: {used:.3}");
            }
        }
    }
}

/// A path that becomes longer looks like another flow's queue. Chance loss must not close the window then.
#[test]
fn a_longer_path_that_loses_packets_stays_full() {
    for rtt in [20, 80] {
        for more in [3, 6, 10, 20] {
            let forward = Conditions { loss: 0.01, ..link(rtt * MS, 50.0, 2.0) };
            let mut world = World::new(forward, back(forward), vec![bbr(1, Source::Bulk, NOW)], 1);
            let longer = 2 * SECOND + 10 * rtt * MS;
            world.run_until(longer);
            world.forward.conditions.delay += more * MS;
            // Before the minimum of ten seconds ago is forgotten.
            world.run_until(longer + 9 * SECOND);
            let used = used(world.received(0, longer, longer + 9 * SECOND), forward.rate, 9 * SECOND);
            assert!(used > 0.75, "rtt {rtt}, {more} ms more: {used:.3}");
        }
    }
}

//! Every scenario, with a few seeds, twice; and many seeds of the swarm.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tunnel_sim::{Environment, Report, Scenario, run_scenario, scenarios};

/// Seeds of each scenario.
const SEEDS: Range<u64> = 1..6;

/// Seeds that cut a thousand responses, seven or eight each.
const CUTS: Range<u64> = 100..250;

/// Seeds of a thousand schedules, twenty each.
const POSTS: Range<u64> = 100..150;

/// Seeds of the swarm.
const SWARM: u64 = 2000;

fn check(report: &Report) {
    assert!(report.violations.is_empty(), "{:#?}\nreplay: {}", report.violations, report.replay());
    assert!(report.tally.complete > 0, "nothing has happened: {report:?}");
}

fn twice(name: &str) {
    let scenario = scenarios::named(name).expect("it is in the list");
    for seed in SEEDS {
        let environment = Environment::with_seed(seed);
        let first = run_scenario(scenario, &environment, false);
        check(&first);
        let second = run_scenario(scenario, &environment, false);
        assert_eq!(first.trace, second.trace, "two runs differ: {}", first.replay());
    }
}

macro_rules! tests {
    ($($test:ident $name:literal)*) => {
        $(#[test]
        fn $test() {
            twice($name);
        })*

        #[test]
        fn every_scenario_has_a_test() {
            let tested = [$($name),*];
            let listed: Vec<&str> = scenarios::all().iter().map(|scenario| scenario.name).collect();
            assert_eq!(listed, tested);
        }
    };
}

tests! {
    calm "calm"
    bad_weather "bad-weather"
    changing_weather "changing-weather"
    slow_readers "slow-readers"
    long_path "long-path"
    burst "burst"
    aborts "aborts"
    event_streams "event-streams"
    scarce_places "scarce-places"
    service_failures "service-failures"
    churn "churn"
    crash_mid_body "crash-mid-body"
    herd "herd"
    rolling_restart "rolling-restart"
    new_address "new-address"
    flapping_link "flapping-link"
    dead_zones "dead-zones"
    dead_zones_with_news "dead-zones-with-news"
    partition_during_websocket "partition-during-websocket"
    relay_outage "relay-outage"
    direct_path_lost "direct-path-lost"
    stall "stall"
    failing_dials "failing-dials"
    whole_way "whole-way"
    whole_way_faults "whole-way-faults"
    dual_calm "dual-calm"
    dual_p2p_down "dual-p2p-down"
    failover_mid_body "failover-mid-body"
    coming_back "coming-back"
    dual_flapping "dual-flapping"
    tunnel_server_faults "tunnel-server-faults"
    both_down "both-down"
    dual_posts "dual-posts"
    dual_websockets "dual-websockets"
    kill_switch_and_reload "kill-switch-and-reload"
    dual_whole_way "dual-whole-way"
    shadow "shadow"
    swarm_repeats "swarm"
}

/// Runs many seeds, and sums what they have counted.
fn many(scenario: &Scenario, seeds: Range<u64>) -> BTreeMap<&'static str, u64> {
    let (next, counts) = (AtomicU64::new(seeds.start), Mutex::<BTreeMap<_, _>>::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let report = run_scenario(scenario, &Environment::with_seed(seed), false);
            assert!(report.violations.is_empty(), "{:#?}\nreplay: {}", report.violations, report.replay());
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            report.counts.into_iter().for_each(|(what, count)| *counts.entry(what).or_default() += count);
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(2, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    counts.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn two_thousand_seeds_of_the_swarm() {
    many(&scenarios::swarm(), 0..SWARM);
}

#[test]
fn a_thousand_responses_are_cut_in_the_middle() {
    let counts = many(scenarios::named("failover-mid-body").expect("it is in the list"), CUTS);
    for (what, least) in [
        ("cut mid-body", 1000),
        ("continued from p2p to legacy", 200),
        ("continued from legacy to p2p", 150),
        ("broken off without a strong validator", 200),
        ("broken off, changed or only without its end", 150),
    ] {
        assert!(counts.get(what).is_some_and(|count| *count >= least), "{what}: {counts:?}");
    }
}

#[test]
fn a_thousand_schedules_of_posts() {
    let counts = many(scenarios::named("dual-posts").expect("it is in the list"), POSTS);
    assert_eq!(counts["schedules"], 1000);
}

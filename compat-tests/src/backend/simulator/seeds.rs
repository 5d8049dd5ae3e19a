//! One case, several seeds.

use std::{future::Future, time::Duration};

use p2p_provider::simulator::{SimNetwork, TraceSummary, run};
use tokio::time::timeout;
use tunnel_sim::Environment;

/// No case takes longer, in virtual time, unless it hangs.
const CASE_TIMEOUT: Duration = Duration::from_hours(24);

/// A case runs with so many seeds, from the first one on.
const SEEDS: u64 = 5;

/// Runs a case with each seed twice and compares the traces.
pub(in crate::backend) fn run_with_seeds<F, Fut>(name: &str, case: F)
where
    F: Fn(SimNetwork) -> Fut,
    Fut: Future<Output = ()>,
{
    let mut environment = Environment::read().unwrap_or_else(|error| panic!("{error}"));
    for _ in 0..SEEDS {
        run_twice(name, &environment, &case);
        environment.seed = environment.seed.wrapping_add(1);
    }
}

fn run_twice<F, Fut>(name: &str, environment: &Environment, case: &F)
where
    F: Fn(SimNetwork) -> Fut,
    Fut: Future<Output = ()>,
{
    let first = trace(name, environment, case);
    let second = trace(name, environment, case);
    if first != second {
        let texts = (first.text.unwrap_or_default(), second.text.unwrap_or_default());
        let mut lines = texts.0.lines().zip(texts.1.lines()).enumerate();
        let difference = lines.find(|(_, (one, other))| one != other);
        panic!("{name}: two runs with seed {} differ, first in {difference:?}", environment.seed);
    }
}

/// Runs a case and returns its trace.
fn trace<F, Fut>(name: &str, environment: &Environment, case: &F) -> TraceSummary
where
    F: Fn(SimNetwork) -> Fut,
    Fut: Future<Output = ()>,
{
    run(environment.seed, async |network| {
        // Shown only when the case fails.
        eprintln!("{name}: replay with SIMULATOR_SEED={}", environment.seed);
        network.keep_trace();
        environment.apply(&network);
        let done = timeout(CASE_TIMEOUT, Box::pin(case(network.clone()))).await;
        assert!(done.is_ok(), "{name} did not end within {CASE_TIMEOUT:?} of virtual time");
        network.trace()
    })
}

//! Whatever the users of connections do, and whatever the network does to them: what the traits promise holds.
//!
//! A run is a list of [steps](step::Step). They refer to what there is by number, modulo how much there is, so that any
//! part of a failing list is a list, too.

mod model;
mod panics;
mod play;
mod shared;
mod step;

use proptest::{collection, prelude::*};

use self::{
    play::play,
    step::{Setup, Timed, setup, timed},
};

/// Lists of steps.
const CASES: u32 = 1000;

/// Steps of a list.
const STEPS_MAX: usize = 120;

fn check(setup: &Setup, steps: &[Timed]) -> Result<(), TestCaseError> {
    let first = play(setup, steps);
    prop_assert!(first.violations.is_empty(), "{:#?}", first.violations);
    let second = play(setup, steps);
    prop_assert_eq!(first.trace, second.trace, "two runs differ");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_interleaving_keeps_the_contract(setup in setup(), steps in collection::vec(timed(), 1..STEPS_MAX)) {
        check(&setup, &steps)?;
    }
}

//! Whatever the users of connections do, and whatever the network does to them: what the traits promise holds.
//!
//! A run is a list of [steps](step::Step). They refer to what there is by number, modulo how much there is, so that any
//! part of a failing list is a list, too.

mod model;
mod panics;
mod play;
mod shared;
mod step;

use std::time::Duration;

use p2p_provider::simulator::{Conditions, SimPeerConfig};
use proptest::{collection, prelude::*};

use self::{
    play::play,
    step::{Setup, Step, Timed, setup, timed},
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

#[test]
fn windows_of_one_byte_let_everything_through() {
    let setup = Setup {
        seed: 0,
        nodes: 2,
        conditions: Conditions::default(),
        stream_receive_window: 1,
        limits: SimPeerConfig::default().initial_limits,
    };
    let open = Timed { step: Step::Open { connection: 0, uni: false }, pause: Duration::ZERO };
    check(&setup, &[open]).unwrap();
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

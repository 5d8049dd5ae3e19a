//! Whatever clients, hosts and the network do: what the contract promises holds.
//!
//! The runs are made up by `proptest`, which also makes a failing one small. What must hold is said by the oracle of
//! `tunnel-sim`.

mod frames;
mod peers;
mod schedule;

use proptest::prelude::*;
use tunnel_sim::Report;

use self::{peers::siege, schedule::schedule};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 10_000, ..ProptestConfig::default() }
}

fn check(run: impl Fn() -> Report) -> Result<(), TestCaseError> {
    let first = run();
    prop_assert!(first.violations.is_empty(), "{:#?}", first.violations);
    prop_assert_eq!(first.trace, run().trace, "two runs differ");
    Ok(())
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn any_schedule_keeps_the_contract(schedule in schedule()) {
        check(|| schedule.run())?;
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn no_peer_harms_the_host_or_another_client(siege in siege()) {
        check(|| siege.run())?;
    }
}

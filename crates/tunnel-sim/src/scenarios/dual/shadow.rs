//! Requests that are repeated over the other transport, to compare.

use std::time::Duration;

use p2p_provider::simulator::Conditions;
use tokio::time::sleep;
use tunnel_core::TransportKind;

use super::Cast;
use crate::{
    Caller, Stage,
    body::Pace,
    oracle::Ending,
    plan::{File, Plan, Validator},
    service::EXECUTION,
};

pub(in crate::scenarios) async fn shadow(stage: Stage) {
    let mut random = stage.random(0);
    let cast = Cast::connected(stage.clone(), Conditions::new(Duration::from_millis(10)), |config| {
        config.shadow_percent = 100.0;
        config.shadow_ignore_headers.push(EXECUTION);
    });
    let cast = cast.await;
    let (mut same, mut changed) = (0, 0);
    for _ in 0..60 {
        let validator = Validator::ALL[random.usize(..5)].1;
        let file = File { validator, ranges: random.bool(), changes: [0, 0, 2][random.usize(..3)] };
        let plan = match random.u8(..4) {
            // Never repeated.
            0 => Plan::json(0, random.u64(2..2000)),
            _ => Plan { file, declared: random.bool(), ..Plan::download(0, random.u64(1..50_000)) },
        };
        let plan = cast.client.begin(plan);
        if cast.client.pursue(&plan, Pace::Fast).await != Ending::Complete {
            stage.oracle.violate(format!("{plan:?} broke off without a fault"));
        }
        sleep(Duration::from_secs(1)).await;
        let repeated = plan.up == 0;
        let ways: &[TransportKind] =
            if repeated { &[TransportKind::P2p, TransportKind::Legacy] } else { &[TransportKind::P2p] };
        if cast.ways(plan.id) != ways || stage.oracle.answered_by(plan.id) != Some(1) {
            stage.oracle.violate(format!("{plan:?} was executed by {:?}", cast.ways(plan.id)));
        }
        match (repeated, plan.file.changes) {
            (false, _) => {}
            (true, 0) => same += 1,
            (true, _) => changed += 1,
        }
    }
    if let Some(router) = cast.client.router() {
        let counts = router.status().counts.shadow;
        if (counts.matched, counts.mismatched) != (same, changed) || counts.failed + counts.skipped > 0 {
            stage.oracle.violate(format!("of {same} equal and {changed} changed files the router counts {counts:?}"));
        }
    }
    cast.settle().await;
}

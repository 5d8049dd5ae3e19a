//! Nothing fails.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::Conditions;
use tokio::time::sleep;
use tunnel_core::TransportKind;
use tunnel_router::{Answered, Both, Reason};

use super::{Cast, carried};
use crate::{
    Caller, Stage,
    body::Pace,
    oracle::Ending,
    plan::Plan,
    scenarios::weather::{SIZES, variants},
    together,
};

pub(in crate::scenarios) async fn calm(stage: Stage) {
    let cast = Cast::connected(stage.clone(), Conditions::preset("lan").unwrap_or_default(), |_| {}).await;
    let mut random = stage.random(1);
    let mut plans: Vec<Plan> = SIZES.iter().flat_map(|&size| variants(size, &mut random)).collect();
    plans.extend((0..20).map(|_| carried(&mut random)));
    let plans: Vec<Plan> = plans.into_iter().map(|plan| cast.client.begin(plan)).collect();
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for &plan in &plans {
        let (client, start) = (cast.client.clone(), Duration::from_millis(random.u64(..3000)));
        acts.push(Box::pin(async move {
            sleep(start).await;
            if client.pursue(&plan, Pace::Fast).await != Ending::Complete {
                client.stage().oracle.violate(format!("{plan:?} broke off without a fault"));
            }
        }));
    }
    together(acts).await;
    for plan in &plans {
        if cast.ways(plan.id) != [TransportKind::P2p] {
            stage.oracle.violate(format!("request {} was executed by {:?}", plan.id, cast.ways(plan.id)));
        }
    }
    count(&cast, &plans);
    cast.settle().await;
}

/// The counters say what has happened.
fn count(cast: &Cast, plans: &[Plan]) {
    let Some(router) = cast.client.router() else { return };
    let counts = router.status().counts;
    let count = plans.len() as u64;
    let sum = |bytes: fn(&Plan) -> u64| Both { p2p: plans.iter().map(bytes).sum(), legacy: 0 };
    let answered = vec![Answered { transport: "p2p", reason: Reason::P2pHealthy, count }];
    for (what, right) in [
        ("answered", counts.answered == answered),
        ("attempts", counts.attempts == Both { p2p: count, legacy: 0 }),
        ("bytes received", counts.bytes_received == sum(Plan::expected_down)),
        ("bytes sent", counts.bytes_sent == sum(|plan| plan.up)),
        ("failed", counts.failed + counts.abandoned + counts.fallbacks + counts.hedges_started == 0),
        ("cut", counts.cut == Both::default() && counts.failovers_tried == Both::default()),
        ("switches", counts.switches == 1),
    ] {
        if !right {
            cast.stage.oracle.violate(format!("after {count} requests the router counts wrongly ({what}): {counts:?}"));
        }
    }
}

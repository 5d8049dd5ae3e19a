//! Somebody turns every knob of the router under load.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::Conditions;
use tokio::time::{Instant, sleep};
use tunnel_core::TransportKind;
use tunnel_router::{Mode, RouterConfig, Rule};

use super::{Cast, carried};
use crate::{Caller, Stage, body::Pace, oracle::Ending, plan::Plan, together};

const LASTS: Duration = Duration::from_secs(40);

pub(in crate::scenarios) async fn kill_switch(stage: Stage) {
    let mut random = stage.random(0);
    let cast = Cast::connected(stage.clone(), Conditions::new(Duration::from_millis(15)), |_| {}).await;
    let end = Instant::now() + LASTS;
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for part in 1..9 {
        let (client, mut random) = (cast.client.clone(), stage.random(part));
        acts.push(Box::pin(async move {
            while Instant::now() < end {
                client.must(carried(&mut random), Pace::Fast).await;
                sleep(Duration::from_millis(random.u64(..200))).await;
            }
        }));
    }
    let (client, mut turning) = (cast.client.clone(), random.fork());
    acts.push(Box::pin(async move {
        let Some(router) = client.router() else { return };
        while Instant::now() < end {
            match turning.u8(..4) {
                0 => router.kill_switch(turning.bool()),
                1 => router.set_mode(
                    [None, Some(Mode::Legacy), Some(Mode::P2pOnly), Some(Mode::P2pFirst)][turning.usize(..4)],
                ),
                2 => router.network_changed(),
                _ => router.reload(settings(&mut turning)).unwrap_or_else(|error| {
                    client.stage().oracle.violate(format!("settings were refused: {error}"));
                }),
            }
            sleep(Duration::from_millis(turning.u64(..400))).await;
        }
        router.kill_switch(false);
        router.set_mode(None);
        _ = router.reload(RouterConfig::default());
    }));
    together(acts).await;
    check_kill_switch(&cast).await;
    cast.settle().await;
}

#[expect(clippy::field_reassign_with_default, reason = "RouterConfig is non-exhaustive: there is no other way")]
fn settings(random: &mut fastrand::Rng) -> RouterConfig {
    let mode = |random: &mut fastrand::Rng| [Mode::Legacy, Mode::P2pFirst, Mode::P2pOnly][random.usize(..3)];
    let mut config = RouterConfig::default();
    config.mode = mode(random);
    config.rollout_percent = random.f64() * 100.0;
    config.hedge = random.bool();
    config.failover = random.bool();
    config.shadow_percent = [0.0, 30.0][random.usize(..2)];
    if random.bool() {
        let path = ["/serve/**", "/**"][random.usize(..2)].parse().expect("it is a pattern");
        config.rules.push(Rule { path, methods: Vec::new(), mode: mode(random) });
    }
    config
}

/// It holds from the next request on, and until it is off again.
async fn check_kill_switch(cast: &Cast) {
    let Some(router) = cast.client.router() else { return };
    for (on, way) in [(true, TransportKind::Legacy), (false, TransportKind::P2p)] {
        let before = cast.client.begin(Plan { gap: Duration::from_millis(100), ..Plan::download(0, 200_000) });
        let turning = async {
            sleep(Duration::from_millis(500)).await;
            router.kill_switch(on);
            let plan = cast.client.begin(Plan::download(0, 1000));
            cast.client.pursue(&plan, Pace::Fast).await;
            if cast.ways(plan.id) != [way] {
                let ways = cast.ways(plan.id);
                cast.stage.oracle.violate(format!("with the kill switch at {on} a request went by {ways:?}"));
            }
        };
        let (ending, ()) = tokio::join!(biased; cast.client.pursue(&before, Pace::Fast), turning);
        if ending != Ending::Complete {
            cast.stage.oracle.violate(format!("the kill switch ended a request as {ending:?}"));
        }
    }
}

//! Requests that must not be executed twice, while everything fails at random.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::{Conditions, Fault};
use tokio::time::sleep;

use super::Cast;
use crate::{
    Caller, Stage,
    body::Pace,
    plan::{Plan, Verb},
    together,
};

/// Schedules in a run, one after the other in the same network.
const SCHEDULES: usize = 20;

/// Within this everything of a schedule happens.
const LASTS_MILLIS: u64 = 3000;

pub(in crate::scenarios) async fn posts(stage: Stage) {
    let mut random = stage.random(0);
    let conditions = Conditions::new(Duration::from_millis(random.u64(1..60)));
    let conditions = if random.bool() { conditions } else { conditions.jitter(Duration::from_millis(20)).loss(0.01) };
    let cast = Cast::connected(stage.clone(), conditions, |_| {}).await;
    for _ in 0..SCHEDULES {
        schedule(&cast, &mut random).await;
        stage.oracle.count("schedules");
    }
    cast.settle().await;
}

/// Some posts, and one to three faults among them; then everything heals.
async fn schedule(cast: &Cast, random: &mut fastrand::Rng) {
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for _ in 0..random.usize(1..6) {
        let (client, plan, start) =
            (cast.client.clone(), post(random), Duration::from_millis(random.u64(..LASTS_MILLIS)));
        let patience = Duration::from_millis(if random.u8(..) < 30 { random.u64(..2000) } else { 200_000 });
        acts.push(Box::pin(async move {
            sleep(start).await;
            client.request_for(plan, Pace::Fast, patience).await;
        }));
    }
    let posting = together(acts);
    let failing = async {
        let mut faults: Vec<Option<Fault>> = Vec::new();
        let mut crashed = false;
        for _ in 0..random.usize(1..=3) {
            sleep(Duration::from_millis(random.u64(..LASTS_MILLIS / 2))).await;
            match random.u8(..5) {
                0 | 1 => faults.push(cast.harm_p2p(random).await),
                2 | 3 => faults.push(cast.harm_tunnel(random)),
                _ => {
                    cast.host.crash();
                    crashed = true;
                    break;
                }
            }
        }
        sleep(Duration::from_millis(random.u64(..LASTS_MILLIS))).await;
        drop(faults);
        if crashed {
            cast.host.restart().await;
        }
        cast.heal().await;
    };
    tokio::join!(biased; posting, failing);
    // Mostly the next ones find everything well.
    if random.u8(..) < 200 {
        cast.enrolled().await;
        cast.returned().await;
    }
}

/// Mostly one that both transports carry.
fn post(random: &mut fastrand::Rng) -> Plan {
    let gap = Duration::from_millis([0, random.u64(..500)][random.usize(..2)]);
    let down = [random.u64(..500), random.u64(..40_000)][random.usize(..2)];
    let bytes = [random.u64(2..500), random.u64(2..40_000)][random.usize(..2)];
    match random.u8(..8) {
        0 => Plan { gap, ..Plan::upload(0, bytes) },
        1 => Plan { verb: Verb::Echo, gap, ..Plan::json(0, bytes) },
        2 => Plan { verb: Verb::Ignore, down, gap, ..Plan::json(0, bytes) },
        _ => Plan { down, gap, ..Plan::json(0, bytes) },
    }
}

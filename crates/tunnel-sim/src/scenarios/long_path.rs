//! Large bodies on a path whose round trip is long.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::Conditions;
use tokio::time::{Instant, sleep};

use crate::{
    Caller, SimClient, Stage,
    body::Pace,
    plan::{Plan, Verb},
    together,
};

/// Bytes of a large body: two seconds of the link.
const LARGE: u64 = 25_000_000;

/// What it may take. One stream would take 6 s for its windows alone.
const LARGE_LIMIT: Duration = Duration::from_secs(4);

pub(super) async fn play(stage: Stage) {
    let link = Conditions::new(Duration::from_millis(150)).jitter(Duration::from_millis(20)).bandwidth(12_500_000);
    let lossy = stage.random(0).bool();
    stage.conditions(if lossy { link.loss(0.001) } else { link });
    let host = stage.host("home").await;
    let (client, other) = (stage.client("phone", &host), stage.client("laptop", &host));
    client.connected().await;
    other.connected().await;
    let mut random = stage.random(1);

    for plan in [Plan::download(0, LARGE), Plan::upload(0, LARGE)] {
        let plan = Plan { piece: random.u64(1000..200_000), declared: random.bool(), ..plan };
        let start = Instant::now();
        client.must(plan, Pace::Fast).await;
        let took = start.elapsed();
        if took > LARGE_LIMIT {
            stage.oracle.violate(format!("{plan:?} took {took:?}"));
        }
    }

    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for _ in 0..30 {
        let size = random.u64(1..6_000_000);
        let plan = match random.u8(..3) {
            0 => Plan::upload(0, size),
            1 => Plan { verb: Verb::Echo, ..Plan::upload(0, size) },
            _ => Plan::download(0, size),
        };
        let plan = Plan { piece: random.u64(1000..200_000), declared: random.bool(), ..plan };
        let at = random.u64(..plan.expected_down().max(1));
        let (pace, leaves) = match random.u8(..6) {
            0 => (Pace::Slow(Duration::from_millis(random.u64(1..10))), false),
            1 => (Pace::Pause(at, Duration::from_secs(random.u64(..15))), false),
            2 => (Pace::Leave(at), true),
            _ => (Pace::Fast, false),
        };
        let patience = Duration::from_millis(random.u64(..8000));
        let (client, start) = (client.clone(), Duration::from_millis(random.u64(..10_000)));
        acts.push(Box::pin(async move {
            sleep(start).await;
            if leaves {
                client.request_for(plan, pace, patience).await;
            } else {
                client.must(plan, pace).await;
            }
        }));
    }
    acts.push(Box::pin(small_requests(client.clone())));
    acts.push(Box::pin(small_requests(other.clone())));
    together(acts).await;
    stage.settle(&[&client, &other]).await;
}

async fn small_requests(client: SimClient) {
    for _ in 0..50 {
        client.must(Plan::download(0, 1000), Pace::Fast).await;
        sleep(Duration::from_millis(200)).await;
    }
}

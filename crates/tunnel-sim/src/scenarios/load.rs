//! Many requests, slow readers, and everybody who gives up.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::Conditions;
use tokio::time::{Instant, sleep};

use crate::{
    Stage,
    body::Pace,
    oracle::Ending,
    plan::{Plan, Verb},
    together,
};

pub(super) async fn slow_readers(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(5)));
    let host = stage.host("home").await;
    let (slow, fast) = (stage.client("slow", &host), stage.client("fast", &host));
    slow.connected().await;
    fast.connected().await;
    let mut random = stage.random(1);
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for _ in 0..4 {
        let plan = Plan { piece: random.u64(200..40_000), ..Plan::download(0, 3_000_000) };
        let pace = match random.u8(..3) {
            0 => Pace::Slow(Duration::from_millis(random.u64(1..40))),
            1 => Pace::Pause(random.u64(..1_500_000), Duration::from_secs(20)),
            _ => Pace::Pause(0, Duration::from_secs(15)),
        };
        let slow = slow.clone();
        acts.push(Box::pin(async move { slow.must(plan, pace).await }));
    }
    // Small pieces, of which thousands would lie unread without credits.
    let (crumbs, patient) = (Plan { piece: 50, declared: false, ..Plan::download(0, 150_000) }, slow.clone());
    acts.push(Box::pin(async move { patient.must(crumbs, Pace::Pause(0, Duration::from_secs(10))).await }));
    for client in [&slow, &fast] {
        let client = client.clone();
        acts.push(Box::pin(async move {
            for _ in 0..100 {
                let start = Instant::now();
                client.must(Plan::download(0, 1000), Pace::Fast).await;
                // A round trip is 10 ms; a stalled neighbour must not add to it.
                if start.elapsed() > Duration::from_millis(200) {
                    let took = start.elapsed();
                    client.stage().oracle.violate(format!("a small request took {took:?} beside slow readers"));
                }
                sleep(Duration::from_millis(100)).await;
            }
        }));
    }
    together(acts).await;
    stage.settle(&[&slow, &fast]).await;
}

pub(super) async fn burst(stage: Stage) {
    let host = stage.host("home").await;
    let clients = [stage.client("one", &host), stage.client("two", &host), stage.client("three", &host)];
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        client.connected().await;
        let mut random = stage.random(1 + index as u64);
        for _ in 0..150 {
            let size = if random.u8(..) < 20 { random.u64(..600_000) } else { random.u64(..5000) };
            let plan = match random.u8(..3) {
                0 => Plan::upload(0, size),
                1 => Plan { verb: Verb::Echo, ..Plan::upload(0, size) },
                _ => Plan { gap: Duration::from_millis(random.u64(..100)), ..Plan::download(0, size) },
            };
            let client = client.clone();
            acts.push(Box::pin(async move { client.must(plan, Pace::Fast).await }));
        }
    }
    together(acts).await;
    stage.settle(&clients.each_ref()).await;
}

pub(super) async fn aborts(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(20)).jitter(Duration::from_millis(20)).loss(0.02));
    let host = stage.host("home").await;
    let clients = [stage.client("one", &host), stage.client("two", &host)];
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        client.connected().await;
        let mut random = stage.random(1 + index as u64);
        for _ in 0..40 {
            let size = random.u64(1..1_000_000);
            let gap = Duration::from_millis(random.u64(..30));
            let (plan, pace) = match random.u8(..5) {
                0 => (Plan { verb: Verb::Hang, ..Plan::download(0, 1) }, Pace::Fast),
                1 => (Plan::download(0, size), Pace::Leave(random.u64(..size))),
                2 => (Plan { gap, ..Plan::download(0, size) }, Pace::Slow(Duration::from_millis(10))),
                3 => (Plan { gap, ..Plan::upload(0, size) }, Pace::Fast),
                _ => (Plan { verb: Verb::Echo, gap, ..Plan::upload(0, size) }, Pace::Leave(random.u64(..size))),
            };
            let (client, start) = (client.clone(), Duration::from_millis(random.u64(..5000)));
            let patience = Duration::from_millis(random.u64(..800));
            acts.push(Box::pin(async move {
                sleep(start).await;
                client.request_for(plan, pace, patience).await;
            }));
        }
    }
    together(acts).await;
    stage.settle(&clients.each_ref()).await;
}

pub(super) async fn service_failures(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(10)));
    let host = stage.host("home").await;
    let client = stage.client("phone", &host);
    client.connected().await;
    let mut random = stage.random(1);
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for _ in 0..60 {
        let size = random.u64(..600_000);
        let declared = random.bool();
        let (plan, right) = match random.u8(..4) {
            0 => (Plan { verb: Verb::Break, declared, ..Plan::download(0, size) }, Ending::Failed),
            1 => (Plan { verb: Verb::Ignore, declared, ..Plan::upload(0, size) }, Ending::Complete),
            2 => (Plan { verb: Verb::Hang, ..Plan::download(0, 1) }, Ending::Failed),
            _ => (Plan { declared, ..Plan::download(0, size) }, Ending::Complete),
        };
        let client = client.clone();
        acts.push(Box::pin(async move {
            let ending = client.request(plan, Pace::Fast).await;
            if ending != right {
                client.stage().oracle.violate(format!("{:?} ended as {ending:?} instead of {right:?}", plan.verb));
            }
        }));
    }
    together(acts).await;
    stage.settle(&[&client]).await;
}

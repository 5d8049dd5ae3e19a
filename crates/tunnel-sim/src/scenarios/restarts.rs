//! Processes that end, with and without a word.

use std::{collections::BTreeSet, rc::Rc, time::Duration};

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::Conditions;
use tokio::time::sleep;

use crate::{
    Caller, SimClient, Stage,
    body::Pace,
    plan::{Plan, Verb},
    together,
};

pub(super) async fn churn(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(10)).jitter(Duration::from_millis(10)));
    // Fewer places than come and go, more than are here at the end.
    let host = Rc::new(stage.tuned_host("home", |config| config.max_connections = 24).await);
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for index in 0..16_u64 {
        let (stage, host, mut random) = (stage.clone(), Rc::clone(&host), stage.random(1 + index));
        acts.push(Box::pin(async move {
            sleep(Duration::from_millis(random.u64(..20_000))).await;
            let client = stage.client(&format!("guest{index}"), &host);
            let life = Duration::from_millis(random.u64(50..4000));
            let size = random.u64(..800_000);
            let plan = Plan { gap: Duration::from_millis(random.u64(..40)), ..Plan::download(0, size) };
            let upload = Plan { verb: Verb::Echo, ..Plan::upload(0, size) };
            let (near, far) = (client.clone(), client.clone());
            // All three are dropped in the middle, and the process with them.
            let asking: [LocalBoxFuture<'static, ()>; 3] = [
                Box::pin(async move { near.request_for(plan, Pace::Fast, life).await }),
                Box::pin(async move { far.request_for(upload, Pace::Fast, life).await }),
                Box::pin(async move { sleep(life).await }),
            ];
            tokio::select! {
                biased;
                () = sleep(life) => {}
                () = together(asking) => {}
            }
            client.crash();
        }));
    }
    let (regular, mut random) = (stage.client("regular", &host), stage.random(0));
    regular.connected().await;
    let asking = regular.clone();
    acts.push(Box::pin(async move {
        for _ in 0..50 {
            asking.must(Plan::download(0, random.u64(..50_000)), Pace::Fast).await;
            sleep(Duration::from_millis(500)).await;
        }
    }));
    together(acts).await;
    // The host notices the last of those who have vanished.
    sleep(Duration::from_secs(20)).await;
    let mut present: Vec<SimClient> = (0..10).map(|index| stage.client(&format!("late{index}"), &host)).collect();
    present.push(regular);
    stage.settle(&present.iter().collect::<Vec<_>>()).await;
}

pub(super) async fn herd(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(10)));
    let host = stage.host("home").await;
    let clients: Vec<SimClient> = (0..24).map(|index| stage.client(&format!("client{index}"), &host)).collect();
    for client in &clients {
        client.connected().await;
    }
    host.crash();
    sleep(Duration::from_secs(40)).await;
    let dials = stage.oracle.last_dials();
    let moments: BTreeSet<Duration> = dials.values().copied().collect();
    if moments.len() * 4 < dials.len() * 3 {
        stage.oracle.violate(format!("{} clients dialled at {} moments", dials.len(), moments.len()));
    }
    host.restart().await;
    stage.settle(&clients.iter().collect::<Vec<_>>()).await;
}

pub(super) async fn crash_mid_body(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(15)).loss(0.005));
    let host = stage.host("home").await;
    let clients = [stage.client("one", &host), stage.client("two", &host)];
    let mut random = stage.random(0);
    for round in 0..4_u64 {
        for client in &clients {
            client.connected().await;
        }
        let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
        for client in &clients {
            for _ in 0..5 {
                let size = random.u64(100_000..2_000_000);
                let gap = Duration::from_millis(random.u64(5..60));
                let plan = match random.u8(..3) {
                    0 => Plan { gap, ..Plan::download(0, size) },
                    1 => Plan { gap, ..Plan::upload(0, size) },
                    _ => Plan { verb: Verb::Echo, gap, ..Plan::upload(0, size) },
                };
                let client = client.clone();
                acts.push(Box::pin(async move {
                    client.request(plan, Pace::Fast).await;
                }));
            }
        }
        let crash = async {
            sleep(Duration::from_millis(random.u64(..3000))).await;
            host.crash();
            sleep(Duration::from_millis(random.u64(..12_000) * (round % 3))).await;
            host.restart().await;
        };
        tokio::join!(biased; together(acts), crash);
    }
    stage.settle(&clients.each_ref()).await;
}

pub(super) async fn rolling(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(15)));
    let host = stage.host("home").await;
    let client = stage.client("phone", &host);
    client.connected().await;
    let mut random = stage.random(0);
    for _ in 0..3 {
        let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
        for _ in 0..6 {
            let plan =
                Plan { gap: Duration::from_millis(random.u64(..50)), ..Plan::download(0, random.u64(..600_000)) };
            let client = client.clone();
            // Accepted before the drain: finished in peace.
            acts.push(Box::pin(async move { client.must(plan, Pace::Fast).await }));
        }
        for _ in 0..10 {
            let (client, start) = (client.clone(), Duration::from_millis(random.u64(200..8000)));
            // After it: turned away untouched, or served by the next process.
            acts.push(Box::pin(async move {
                sleep(start).await;
                client.request(Plan::upload(0, 1000), Pace::Fast).await;
            }));
        }
        let roll = async {
            sleep(Duration::from_millis(150)).await;
            if !host.roll(Duration::from_mins(1)).await {
                stage.oracle.violate("a drain did not end in time");
            }
        };
        tokio::join!(biased; together(acts), roll);
        stage.note("rolled");
        client.connected().await;
    }
    stage.settle(&[&client]).await;
}

pub(super) async fn new_address(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(15)));
    stage.network.set_relay(true);
    let host = stage.host("home").await;
    let client = stage.client("phone", &host);
    client.connected().await;
    for round in 0..3 {
        let plan = Plan { gap: Duration::from_millis(50), ..Plan::download(0, 1_000_000) };
        let moving = async {
            sleep(Duration::from_millis(500 + 700 * round)).await;
            host.crash();
            sleep(Duration::from_secs(round * 4)).await;
            host.restart_elsewhere().await;
        };
        tokio::join!(biased; client.request(plan, Pace::Fast), moving);
        // The silence of the one connection is noticed a moment after that of the other.
        sleep(Duration::from_secs(1)).await;
        client.connected().await;
        client.must(Plan::download(0, 300_000), Pace::Fast).await;
    }
    stage.settle(&[&client]).await;
}

//! Good and bad networks, on which nothing may fail.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::Conditions;
use tokio::time::sleep;

use crate::{
    Caller, SimClient, Stage, Talk,
    body::Pace,
    oracle::Ending,
    plan::{Plan, Verb},
    together,
};

/// Sizes around the limits at which bodies are sent differently.
pub(super) const SIZES: [u64; 9] = [0, 1, 1000, 65_535, 65_537, 262_143, 262_145, 700_000, 1_500_000];

pub(super) async fn calm(stage: Stage) {
    let presets = [Conditions::default(), Conditions::preset("lan").unwrap_or_default()];
    stage.conditions(presets[stage.random(0).usize(..2)]);
    play_everything(stage, &SIZES).await;
}

pub(super) async fn bad(stage: Stage) {
    let presets = ["home-wifi", "lte", "satellite", "hotel"];
    let name = presets[stage.random(0).usize(..presets.len())];
    stage.note(name);
    stage.conditions(Conditions::preset(name).unwrap_or_default());
    play_everything(stage, &SIZES[..8]).await;
}

async fn play_everything(stage: Stage, sizes: &[u64]) {
    let host = stage.host("home").await;
    let clients = [stage.client("phone", &host), stage.client("laptop", &host)];
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        client.connected().await;
        let mut random = stage.random(1 + index as u64);
        for &size in sizes {
            for plan in variants(size, &mut random) {
                let client = client.clone();
                let start = Duration::from_millis(random.u64(..3000));
                acts.push(Box::pin(async move {
                    sleep(start).await;
                    client.must(plan, Pace::Fast).await;
                }));
            }
        }
        let client = client.clone();
        acts.push(Box::pin(async move {
            let talk = Talk { pause: Duration::from_millis(50), ahead: 10, ..Talk::of(60) };
            if client.talk(talk).await != Ending::Complete {
                client.stage().oracle.violate("a WebSocket broke off without a fault");
            }
        }));
    }
    together(acts).await;
    stage.settle(&clients.each_ref()).await;
}

pub(super) fn variants(size: u64, random: &mut fastrand::Rng) -> [Plan; 4] {
    let piece = [100_000, 16_384, 1000][random.usize(..3)];
    // Small pieces of a large body are tried elsewhere: here they would only take long.
    let piece = if size > 300_000 { piece.max(16_384) } else { piece };
    let declared = random.bool();
    [
        Plan { piece, declared, ..Plan::download(0, size) },
        Plan { piece, declared, ..Plan::upload(0, size) },
        Plan { piece, declared, verb: Verb::Echo, ..Plan::upload(0, size) },
        Plan { piece, down: size, gap: Duration::from_millis(1), ..Plan::upload(0, size.min(50_000)) },
    ]
}

pub(super) async fn changing(stage: Stage) {
    let host = stage.host("home").await;
    let client = stage.client("phone", &host);
    client.connected().await;
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for index in 0..3 {
        let client: SimClient = client.clone();
        acts.push(Box::pin(async move {
            let plan = Plan { piece: 20_000, gap: Duration::from_millis(60), ..Plan::download(0, 2_000_000) };
            sleep(Duration::from_millis(index * 500)).await;
            client.must(plan, Pace::Fast).await;
        }));
    }
    let (network, mut random) = (stage.network.clone(), stage.random(9));
    let (home, phone) = (host.node.clone(), client.node.clone());
    acts.push(Box::pin(async move {
        for _ in 0..6 {
            let (name, conditions) = Conditions::PRESETS[random.usize(..Conditions::PRESETS.len())];
            network.note("scenario", name);
            let _fault = network.degrade(&[&home], &[&phone], conditions);
            sleep(Duration::from_millis(random.u64(200..2500))).await;
        }
    }));
    together(acts).await;
    stage.settle(&[&client]).await;
}

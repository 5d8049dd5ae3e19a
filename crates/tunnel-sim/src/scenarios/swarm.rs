//! Everything at random.

use std::{rc::Rc, time::Duration};

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::{Conditions, Fault, Nat};
use tokio::time::sleep;

use crate::{
    SimClient, SimHost, Stage,
    body::Pace,
    plan::{Plan, Verb},
    together,
};

/// All requests begin, and all faults heal, within this.
const STORM: Duration = Duration::from_secs(30);

pub(super) async fn swarm(stage: Stage) {
    let mut random = stage.random(0);
    stage.conditions(weather(&mut random));
    stage.network.set_relay(random.bool());
    let host = Rc::new(stage.host("home").await);
    if random.u8(..) < 50 {
        host.node.set_nat(Nat::Relayed);
        stage.network.set_relay(true);
    }
    let clients: Vec<SimClient> =
        (0..random.usize(1..=3)).map(|index| stage.client(&format!("client{index}"), &host)).collect();

    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for (client, index) in clients.iter().zip(1_u64..) {
        let mut random = stage.random(index);
        for _ in 0..random.usize(1..=8) {
            acts.push(request(client.clone(), &mut random));
        }
    }
    for index in 0..random.u64(..4) {
        let (stage, host, client) = (stage.clone(), Rc::clone(&host), clients[random.usize(..clients.len())].clone());
        acts.push(Box::pin(trouble(stage, host, client, index)));
    }
    together(acts).await;
    stage.settle(&clients.iter().collect::<Vec<_>>()).await;
}

fn weather(random: &mut fastrand::Rng) -> Conditions {
    if random.bool() {
        return Conditions::PRESETS[random.usize(..Conditions::PRESETS.len())].1;
    }
    let mut conditions = Conditions::new(Duration::from_micros(random.u64(..80_000)));
    if random.bool() {
        conditions = conditions.jitter(Duration::from_micros(random.u64(..100_000)));
    }
    if random.bool() {
        conditions = conditions.loss(random.f64() * 0.05).reorder(random.f64() * 0.1);
    }
    if random.bool() {
        conditions = conditions.bandwidth(random.u64(250_000..20_000_000));
    }
    conditions
}

fn request(client: SimClient, random: &mut fastrand::Rng) -> LocalBoxFuture<'static, ()> {
    let start = STORM.mul_f64(random.f64() * 0.9);
    if random.u8(..) < 30 {
        let (messages, pause) = (random.u32(..30), Duration::from_millis(random.u64(..300)));
        let patience = Duration::from_millis(random.u64(..20_000));
        return Box::pin(async move {
            sleep(start).await;
            tokio::time::timeout(patience, client.web_socket(messages, pause)).await.ok();
        });
    }
    let size = match random.u8(..8) {
        0 => 0,
        1 => random.u64(200_000..700_000),
        _ => random.u64(..40_000),
    };
    let verb = match random.u8(..10) {
        0 => Verb::Hang,
        1 => Verb::Break,
        2 => Verb::Ignore,
        3..6 => Verb::Echo,
        _ => Verb::Serve,
    };
    let uploads = verb == Verb::Echo || random.bool();
    let plan = Plan {
        id: 0,
        verb,
        up: if uploads { size } else { 0 },
        down: if uploads { random.u64(..100) } else { size },
        piece: [1 + size / 3, 16 << 10, 1 + size / 40][random.usize(..3)],
        gap: if random.bool() { Duration::ZERO } else { Duration::from_millis(random.u64(..100)) },
        declared: random.bool(),
        trailers: random.bool(),
        buffered: random.u8(..) < 50,
    };
    let pace = match random.u8(..6) {
        0 => Pace::Slow(Duration::from_millis(random.u64(..50))),
        1 => Pace::Pause(random.u64(..=size), Duration::from_millis(random.u64(..10_000))),
        2 => Pace::Leave(random.u64(..=size)),
        _ => Pace::Fast,
    };
    let patience = Duration::from_millis(if random.u8(..) < 60 { random.u64(..5000) } else { 200_000 });
    Box::pin(async move {
        sleep(start).await;
        client.request_for(plan, pace, patience).await;
    })
}

/// One fault, which is over when the storm is.
async fn trouble(stage: Stage, host: Rc<SimHost>, client: SimClient, index: u64) {
    let mut random = stage.random(1000 + index);
    let start = STORM.mul_f64(random.f64());
    let lasts = STORM.saturating_sub(start).mul_f64(random.f64());
    sleep(start).await;
    let (network, home, away) = (&stage.network, &host.node, &client.node);
    let fault: Fault = match random.u8(..9) {
        0 => network.partition(&[home], &[away]),
        1 => network.isolate(home),
        2 => network.stall(&[home], &[away]),
        3 => network.block_direct(&[home], &[away]),
        4 => network.relay_outage(),
        5 => network.ignore_dials(home),
        6 => network.refuse_dials(home),
        7 => network.degrade(&[home], &[away], weather(&mut random)),
        // Two troubles of this kind never meet: only the first one may crash the host.
        _ if index == 0 => {
            host.crash();
            sleep(lasts).await;
            return host.restart().await;
        }
        _ => network.isolate(away),
    };
    sleep(lasts).await;
    fault.heal();
}

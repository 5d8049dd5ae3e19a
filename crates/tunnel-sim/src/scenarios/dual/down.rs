//! p2p does not work, or nothing does.

use std::time::Duration;

use p2p_provider::simulator::{Conditions, Fault};
use tokio::time::{Instant, sleep};
use tunnel_core::{Failure, TransportKind};

use super::{Cast, carried};
use crate::{
    Caller, Stage,
    body::Pace,
    oracle::Ending,
    plan::{Plan, Verb},
};

/// By what the clocks of two runs in the same network may differ: a step of the simulator.
const STEP: Duration = Duration::from_millis(1);

/// A service that breaks off is known to have done so within this: a few times the way there.
const BREAK_LIMIT: Duration = Duration::from_secs(2);

/// The longest that a request takes to fail when nothing works: an attempt to connect takes 5 s, with either transport.
const FAIL_LIMIT: Duration = Duration::from_secs(11);

pub(in crate::scenarios) async fn p2p_down(stage: Stage) {
    let mut random = stage.random(0);
    stage.conditions(Conditions::new(Duration::from_millis(random.u64(1..80))));
    let tunnel = stage.tunnel_server("tunnel");
    let host = stage.dual_host("home", &tunnel).await;
    let (kind, network) = (random.u8(..4), &stage.network);
    let legacy_only = stage.legacy_client("plain", &host);
    let fault = match kind {
        0 => Some(network.ignore_dials(&host.node)),
        1 => Some(network.refuse_dials(&host.node)),
        _ => None,
    };
    let client = stage.dual_client("phone", &host, |_| {});
    let fault: Option<Fault> = match kind {
        2 => Some(network.partition(&[&host.node], &[&client.node])),
        3 => {
            host.close_p2p().await;
            None
        }
        _ => fault,
    };
    let cast = Cast { stage: stage.clone(), tunnel, host, client };
    cast.enrolled().await;
    for _ in 0..60 {
        // Of larger ones it depends on those before when a window opens.
        let plan = Plan { down: random.u64(..16_000), ..carried(&mut random) };
        let [lone, both] = [&legacy_only, &cast.client].map(|client| client.begin(plan));
        let start = Instant::now();
        let alone_ended = legacy_only.pursue(&lone, Pace::Fast).await;
        let middle = Instant::now();
        let ending = cast.client.pursue(&both, Pace::Fast).await;
        let (took, alone) = (middle.elapsed(), middle - start);
        if [alone_ended, ending] != [Ending::Complete; 2] || cast.ways(both.id) != [TransportKind::Legacy] {
            stage.oracle.violate(format!("{both:?} ended as {ending:?} by {:?}", cast.ways(both.id)));
        }
        if took.abs_diff(alone) > STEP {
            stage.oracle.violate(format!("{both:?} took {took:?}, and {alone:?} without a dead p2p"));
        }
        sleep(Duration::from_millis(random.u64(..2000))).await;
    }
    alone(&cast, &mut random).await;
    // What only p2p carries.
    for plan in [Plan::upload(0, 1000), Plan { verb: Verb::Echo, ..Plan::upload(0, 400_000) }] {
        fail(&cast, plan).await;
    }
    drop(fault);
    cast.host.open_again().await;
    cast.client.connected().await;
    cast.returned().await;
    let plan = cast.client.begin(Plan::upload(0, 1000));
    if cast.client.pursue(&plan, Pace::Fast).await != Ending::Complete {
        stage.oracle.violate("an upload failed over p2p, which works");
    }
    stage.settle_with(&[&cast.client, &legacy_only], &[&cast.tunnel]).await;
}

/// What a tunnel server must do well when everything depends on it.
async fn alone(cast: &Cast, random: &mut fastrand::Rng) {
    let (client, oracle) = (&cast.client, &cast.stage.oracle);
    // More packets than a window has, for readers that stop in the middle, or are slow.
    let long = Plan { piece: 4096, declared: random.bool(), ..Plan::download(0, random.u64(300_000..600_000)) };
    client.must(long, Pace::Pause(random.u64(..200_000), Duration::from_secs(random.u64(1..10)))).await;
    client.must(long, Pace::Slow(Duration::from_millis(random.u64(1..20)))).await;
    // The service breaks off, and the client hears of it.
    for declared in [true, false] {
        let start = Instant::now();
        let broken = Plan { verb: Verb::Break, declared, ..Plan::download(0, random.u64(1..100_000)) };
        let ending = client.request(broken, Pace::Fast).await;
        if ending != Ending::Failed || start.elapsed() > BREAK_LIMIT {
            oracle.violate(format!("{broken:?} ended as {ending:?} after {:?}", start.elapsed()));
        }
    }
    // The client gives up, and the service hears of it: otherwise it would work on for longer than it may.
    client.request_for(Plan { verb: Verb::Hang, ..Plan::download(0, 1) }, Pace::Fast, Duration::from_millis(700)).await;
    let endless = Plan { piece: 100, gap: Duration::from_millis(100), ..Plan::download(0, 200_000) };
    client.request(endless, Pace::Leave(random.u64(..1000))).await;
}

pub(in crate::scenarios) async fn both_down(stage: Stage) {
    let mut random = stage.random(0);
    let cast = Cast::connected(stage.clone(), Conditions::new(Duration::from_millis(20)), |_| {}).await;
    for round in 0..6 {
        let network = &stage.network;
        let p2p = match round % 3 {
            0 => network.isolate(&cast.client.node),
            _ => cast.part(),
        };
        let legacy: Option<Fault> = match random.u8(..4) {
            0 => Some(network.partition(&[&cast.client.node], &[&cast.tunnel.node])),
            1 => Some(network.isolate(&cast.tunnel.node)),
            2 => {
                cast.tunnel.crash();
                None
            }
            _ => {
                cast.host.close_legacy();
                None
            }
        };
        // Until then a request may still be under way over a connection of which nobody knows that it is dead.
        cast.given_up().await;
        sleep(Duration::from_secs(random.u64(20..30))).await;
        for _ in 0..10 {
            let plan = if random.bool() { carried(&mut random) } else { Plan::upload(0, 1000) };
            fail(&cast, plan).await;
            sleep(Duration::from_millis(random.u64(..3000))).await;
        }
        drop((p2p, legacy));
        cast.heal().await;
        cast.enrolled().await;
        cast.returned().await;
    }
    cast.settle().await;
}

/// A request that neither transport carries fails soon, and says why of both.
async fn fail(cast: &Cast, plan: Plan) {
    let start = Instant::now();
    let failure = cast.client.fails(plan).await;
    let took = start.elapsed();
    if took > FAIL_LIMIT {
        cast.stage.oracle.violate(format!("a request took {took:?} to fail: {failure:?}"));
    }
    let says = |failure: &Failure| ["p2p: ", "legacy: "].iter().all(|name| failure.message().contains(name));
    if !failure.as_ref().is_some_and(says) {
        cast.stage.oracle.violate(format!("not the reasons of both transports: {failure:?}"));
    }
}

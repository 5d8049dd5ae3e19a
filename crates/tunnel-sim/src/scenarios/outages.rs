//! Networks that fail in part.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::{Conditions, Nat};
use tokio::time::{Instant, sleep};
use tunnel_core::Health;

use crate::{
    Caller, SimClient, Stage,
    body::Pace,
    oracle::Ending,
    plan::{Plan, Verb},
    together,
};

/// Requests of every kind, one after the other, until the time is over.
async fn ask_until(client: SimClient, end: Instant, part: u64) {
    let mut random = client.stage().random(part);
    while Instant::now() < end {
        let size = random.u64(..700_000);
        let gap = Duration::from_millis(random.u64(..20));
        let plan = match random.u8(..4) {
            0 => Plan { gap, ..Plan::upload(0, size) },
            1 => Plan { verb: Verb::Echo, ..Plan::upload(0, size) },
            _ => Plan { gap, ..Plan::download(0, size) },
        };
        client.request(plan, Pace::Fast).await;
        sleep(Duration::from_millis(random.u64(..300))).await;
    }
}

pub(super) async fn flapping(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(20)).jitter(Duration::from_millis(10)));
    let host = stage.host("home").await;
    let client = stage.client("phone", &host);
    client.connected().await;
    let end = Instant::now() + Duration::from_mins(2);
    let mut random = stage.random(0);
    let flapping = async {
        while Instant::now() < end {
            let fault = stage.network.partition(&[&host.node], &[&client.node]);
            sleep(Duration::from_millis(random.u64(100..9000))).await;
            fault.heal();
            sleep(Duration::from_millis(random.u64(100..9000))).await;
        }
    };
    let asking: Vec<LocalBoxFuture<'static, ()>> =
        (1..4).map(|part| Box::pin(ask_until(client.clone(), end, part)) as _).collect();
    tokio::join!(biased; together(asking), flapping);
    stage.settle(&[&client]).await;
}

/// The first right answer after a dead zone: a fresh attempt begins within a second, and takes two round trips to the
/// answer. A connection that is still alive is not faster than its own repetitions, which grow to 2 s here.
fn zone_limit(zone: Duration, rtt: Duration) -> Duration {
    let first_packet = if zone > IDLE_MAX { Duration::from_secs(1) } else { Duration::from_secs(2) };
    first_packet + rtt * 2 + ZONE_SLACK
}

/// No connection lives longer without a packet: the idle timeout of 5 s begins with the last packet that was sent in vain.
const IDLE_MAX: Duration = Duration::from_secs(7);

/// For what is written and read besides.
const ZONE_SLACK: Duration = Duration::from_millis(100);

pub(super) async fn dead_zones(stage: Stage) {
    let mut random = stage.random(0);
    let rtt = Duration::from_millis([10, 60, 600][random.usize(..3)]);
    stage.conditions(Conditions::new(rtt / 2));
    let host = stage.host("home").await;
    let client = stage.client("phone", &host);
    client.connected().await;
    for zone in [300, 3000, 5000, 30_000, 120_000] {
        let zone = Duration::from_millis(zone);
        client.must(Plan::download(0, 1000), Pace::Fast).await;
        // Nobody can tell beforehand when a zone ends; a tenth of a second is left to chance.
        let zone = zone + Duration::from_millis(random.u64(..100));
        let fault = stage.network.partition(&[&host.node], &[&client.node]);
        let end = Instant::now() + zone;
        let asking: Vec<LocalBoxFuture<'static, ()>> =
            (0..2).map(|_| Box::pin(ask_in_vain(client.clone(), end)) as _).collect();
        together(asking).await;
        sleep(end.duration_since(Instant::now())).await;
        fault.heal();
        first_answer(&client, zone_limit(zone, rtt)).await;
        client.connected().await;
    }
    stage.settle(&[&client]).await;
}

pub(super) async fn dead_zones_with_news(stage: Stage) {
    let rtt = Duration::from_millis(40);
    stage.conditions(Conditions::new(rtt / 2));
    let host = stage.host("home").await;
    let client = stage.client("phone", &host);
    client.connected().await;
    for zone in [30, 120] {
        let fault = stage.network.partition(&[&host.node], &[&client.node]);
        sleep(Duration::from_secs(zone)).await;
        fault.heal();
        // Nobody has asked for long; the system tells that the network is back.
        client.network_changed();
        sleep(Duration::from_millis(100)).await;
        first_answer(&client, rtt * 2 + ZONE_SLACK).await;
        client.connected().await;
    }
    stage.settle(&[&client]).await;
}

/// Asks until then; whoever asks in a dead zone gets no answer, but hears so in time.
async fn ask_in_vain(client: SimClient, end: Instant) {
    while Instant::now() < end {
        let patience = end.duration_since(Instant::now());
        client.request_for(Plan::upload(0, 1000), Pace::Fast, patience).await;
        sleep(Duration::from_millis(50)).await;
    }
}

/// Asks until there is a right answer, which must come in time.
async fn first_answer(client: &SimClient, limit: Duration) {
    let begun = Instant::now();
    while client.request(Plan::download(0, 100), Pace::Fast).await != Ending::Complete {
        sleep(Duration::from_millis(10)).await;
    }
    if begun.elapsed() > limit {
        let took = begun.elapsed();
        client.stage().oracle.violate(format!("the first answer after a dead zone took {took:?}, not {limit:?}"));
    }
}

pub(super) async fn partition_during_websocket(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(20)));
    let host = stage.host("home").await;
    let client = stage.client("phone", &host);
    client.connected().await;
    let mut random = stage.random(0);
    // Shorter than a connection lives: nothing is lost. Longer: the WebSocket ends with an error.
    for (outage, survives) in [(2, true), (12, false), (3, true), (20, false)] {
        let talking: Vec<LocalBoxFuture<'static, Ending>> = (0..3)
            .map(|_| {
                let client = client.clone();
                Box::pin(async move { client.web_socket(100, Duration::from_millis(50)).await }) as _
            })
            .collect();
        let partition = async {
            sleep(Duration::from_millis(random.u64(500..2000))).await;
            let _fault = stage.network.partition(&[&host.node], &[&client.node]);
            sleep(Duration::from_secs(outage)).await;
            let healthy = matches!(client.health(), Health::Healthy { .. });
            if survives != healthy {
                stage.oracle.violate(format!("{:?} in a partition of {outage} s", client.health()));
            }
        };
        let (endings, ()) = tokio::join!(biased; futures::future::join_all(talking), partition);
        if survives != endings.iter().all(|ending| *ending == Ending::Complete) {
            stage.oracle.violate(format!("WebSockets ended as {endings:?} in a partition of {outage} s"));
        }
        client.connected().await;
    }
    stage.settle(&[&client]).await;
}

pub(super) async fn relay_outage(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(20)).loss(0.005));
    stage.network.set_relay(true);
    let host = stage.host("home").await;
    host.node.set_nat(Nat::Relayed);
    let clients = [stage.client("one", &host), stage.client("two", &host)];
    for client in &clients {
        client.connected().await;
    }
    let end = Instant::now() + Duration::from_mins(1);
    let outages = async {
        for secs in [3, 15, 8] {
            sleep(Duration::from_secs(8)).await;
            let _fault = stage.network.relay_outage();
            sleep(Duration::from_secs(secs)).await;
        }
    };
    let asking: Vec<LocalBoxFuture<'static, ()>> =
        clients.iter().zip(1..).map(|(client, part)| Box::pin(ask_until(client.clone(), end, part)) as _).collect();
    tokio::join!(biased; together(asking), outages);
    stage.settle(&clients.each_ref()).await;
}

pub(super) async fn direct_path_lost(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(20)));
    stage.network.set_relay(true);
    let host = stage.host("home").await;
    let client = stage.client("phone", &host);
    client.connected().await;
    let mut random = stage.random(0);
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for _ in 0..4 {
        let plan = Plan { gap: Duration::from_millis(random.u64(800..1200)), ..Plan::download(0, 2_000_000) };
        let client = client.clone();
        // Two minutes long, through all changes of the path.
        acts.push(Box::pin(async move { client.must(plan, Pace::Fast).await }));
    }
    let changes = async {
        sleep(Duration::from_millis(random.u64(..3000))).await;
        let fault = stage.network.block_direct(&[&host.node], &[&client.node]);
        sleep(Duration::from_secs(random.u64(5..30))).await;
        fault.heal();
        // Time to come back, and then again.
        sleep(Duration::from_secs(65)).await;
        let _fault = stage.network.block_direct(&[&host.node], &[&client.node]);
        sleep(Duration::from_secs(5)).await;
    };
    tokio::join!(biased; together(acts), changes);
    stage.settle(&[&client]).await;
}

pub(super) async fn stall(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(20)));
    let host = stage.host("home").await;
    let client = stage.client("phone", &host);
    client.connected().await;
    let end = Instant::now() + Duration::from_secs(80);
    let stalls = async {
        for secs in [2, 30, 6] {
            sleep(Duration::from_secs(7)).await;
            let _fault = stage.network.stall(&[&host.node], &[&client.node]);
            sleep(Duration::from_secs(secs)).await;
        }
    };
    let asking: Vec<LocalBoxFuture<'static, ()>> =
        (1..4).map(|part| Box::pin(ask_until(client.clone(), end, part)) as _).collect();
    tokio::join!(biased; together(asking), stalls);
    stage.settle(&[&client]).await;
}

pub(super) async fn failing_dials(stage: Stage) {
    let host = stage.host("home").await;
    for (name, refused) in [("refused", true), ("ignored", false)] {
        let fault =
            if refused { stage.network.refuse_dials(&host.node) } else { stage.network.ignore_dials(&host.node) };
        let client = stage.client(name, &host);
        for _ in 0..10 {
            let start = Instant::now();
            let ending = client.request(Plan::upload(0, 1000), Pace::Fast).await;
            // An attempt takes 5 s at most, and one may be under way already.
            if ending != Ending::Undelivered || start.elapsed() > Duration::from_secs(11) {
                let took = start.elapsed();
                stage.oracle.violate(format!("a request that cannot be sent ended as {ending:?} after {took:?}"));
            }
            if matches!(client.health(), Health::Healthy { .. }) {
                stage.oracle.violate(format!("{:?} without a connection", client.health()));
            }
            sleep(Duration::from_millis(700)).await;
        }
        fault.heal();
        client.connected().await;
        client.must(Plan::upload(0, 1000), Pace::Fast).await;
        client.crash();
    }
    sleep(Duration::from_secs(20)).await;
    let client = stage.client("last", &host);
    stage.settle(&[&client]).await;
}

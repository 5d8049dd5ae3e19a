//! The switch, thrown back and forth under load.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use migration::stage::{Stage, peer};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tunnel_p2p::transports::TransportMode::{self, Dual};
use tunnel_router::Mode;

use crate::load::{PATIENCE, request};

/// Requests in a second.
const RATE: u32 = 100;
const FLIPS: usize = 200;

/// What has become of the requests.
#[derive(Default)]
struct Outcome {
    by_transport: BTreeMap<String, usize>,
    failed: Vec<String>,
}

impl Outcome {
    fn add(&mut self, result: Result<anyhow::Result<String>, tokio::time::error::Elapsed>) {
        match result {
            Ok(Ok(transport)) => *self.by_transport.entry(transport).or_default() += 1,
            Ok(Err(error)) => self.failed.push(format!("{error:#}")),
            Err(_) => self.failed.push(format!("nothing happened within {PATIENCE:?}")),
        }
    }
}

/// Sends requests at the rate, for as long as `during` takes.
async fn under_load(client: Arc<migration::stage::HomeClient>, during: impl Future<Output = ()>) -> Outcome {
    let mut requests = JoinSet::new();
    let mut outcome = Outcome::default();
    let mut during = std::pin::pin!(during);
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0.. {
        tokio::select! {
            biased;
            () = &mut during => break,
            _ = ticks.tick() => {}
        }
        let client = Arc::clone(&client);
        requests.spawn(async move { timeout(PATIENCE, request(&client, number)).await });
        while let Some(ended) = requests.try_join_next() {
            outcome.add(ended.unwrap());
        }
    }
    while let Some(ended) = requests.join_next().await {
        outcome.add(ended.unwrap());
    }
    outcome
}

/// At the home server, through all modes: most changes come before the one before has come into force.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_changes_of_the_servers_mode_fail_and_alter_no_request() {
    let stage = Stage::start().await.unwrap();
    let mut config = stage.config(peer().unwrap()).unwrap();
    config.mode = Dual;
    // Its clients try again within half a second.
    config.settle = Duration::from_secs(3);
    let (_running, transports) = stage.home(config).unwrap();
    timeout(PATIENCE, transports.switched()).await.unwrap();
    let client = Arc::new(stage.client(transports.ticket()).await.unwrap());
    client.p2p_connected().await.unwrap();

    let mut random = fastrand::Rng::with_seed(5);
    let mut in_force: BTreeMap<&str, usize> = BTreeMap::new();
    let flipping = async {
        let mut mode = Dual;
        for flip in 0..FLIPS {
            let others: Vec<TransportMode> = TransportMode::ALL.into_iter().filter(|other| *other != mode).collect();
            mode = others[random.usize(..others.len())];
            transports.set_mode(mode).unwrap();
            if flip % 20 == 19 {
                timeout(PATIENCE, transports.switched()).await.unwrap();
                *in_force.entry(mode.name()).or_default() += 1;
                sleep(Duration::from_millis(500)).await;
            } else {
                sleep(Duration::from_millis(random.u64(20..120))).await;
            }
        }
    };
    let outcome = under_load(Arc::clone(&client), flipping).await;
    assert!(outcome.failed.is_empty(), "{} failed: {:#?}", outcome.failed.len(), outcome.failed);
    let count = |transport| outcome.by_transport.get(transport).copied().unwrap_or_default();
    // A router uses a way that comes and goes ever less.
    assert!(count("p2p") > 10 && count("legacy") > 50, "{:?}", outcome.by_transport);
    assert!(in_force.len() > 1, "{in_force:?}");
    eprintln!("{FLIPS} changes, {:?} in force; requests by {:?}", in_force, outcome.by_transport);
}

/// At the client: the next request already goes the other way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_changes_of_the_clients_mode_fail_and_alter_no_request() {
    let stage = Stage::start().await.unwrap();
    let mut config = stage.config(peer().unwrap()).unwrap();
    config.mode = Dual;
    let (_running, transports) = stage.home(config).unwrap();
    timeout(PATIENCE, transports.switched()).await.unwrap();
    let client = Arc::new(stage.client(transports.ticket()).await.unwrap());
    client.p2p_connected().await.unwrap();

    let flipping = async {
        for flip in 0..FLIPS {
            let mode = if flip % 2 == 0 { Mode::Legacy } else { Mode::P2pFirst };
            client.router().set_mode(Some(mode));
            if mode == Mode::Legacy {
                let transport = request(&client, flip as u64).await.unwrap();
                assert_eq!(transport, "legacy", "the next request after change {flip}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let outcome = under_load(Arc::clone(&client), flipping).await;
    assert!(outcome.failed.is_empty(), "{} failed: {:#?}", outcome.failed.len(), outcome.failed);
    let count = |transport| outcome.by_transport.get(transport).copied().unwrap_or_default();
    assert!(count("p2p") > 50 && count("legacy") > 50, "{:?}", outcome.by_transport);
}

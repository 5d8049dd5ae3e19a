//! Schedules: who does what, when, and what befalls the network meanwhile.

use std::{rc::Rc, time::Duration};

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::{Conditions, Fault, Nat};
use proptest::{collection, option, prelude::*};
use tokio::time::{sleep, timeout};
use tunnel_sim::{
    Caller, Environment, Report, SimClient, SimHost, Stage,
    body::Pace,
    plan::{Plan, Verb},
    run_story, together,
};

/// Everything begins within this, in milliseconds, and every fault heals within this of its beginning.
const STORM_MILLIS: u64 = 15_000;

/// Refers to the client of this number, modulo how many there are.
type Slot = u8;

/// A whole run.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    seed: u64,
    clients: usize,
    conditions: Conditions,
    relay: bool,
    relayed: bool,
    acts: Vec<Act>,
    /// What the host does, one after the other.
    host: Vec<HostAct>,
}

/// One thing that somebody does, or that befalls the network.
#[derive(Clone, Debug)]
enum Act {
    Request { client: Slot, start: Duration, plan: Plan, pace: Pace, patience: Duration },
    WebSocket { client: Slot, start: Duration, messages: u32, pause: Duration, patience: Duration },
    CloseClient { client: Slot, start: Duration },
    CrashClient { client: Slot, start: Duration },
    Trouble { client: Slot, start: Duration, lasts: Duration, kind: Trouble },
}

#[derive(Clone, Debug)]
enum Trouble {
    Partition,
    IsolateHost,
    IsolateClient,
    Stall,
    BlockDirect,
    RelayOutage,
    IgnoreDials,
    RefuseDials,
    Degrade(Conditions),
}

#[derive(Clone, Debug)]
enum HostAct {
    Crash {
        after: Duration,
        lasts: Duration,
        elsewhere: bool,
    },
    /// Finishes what it has, if that takes no longer than `grace`, and comes back.
    Roll {
        after: Duration,
        grace: Duration,
    },
}

impl Schedule {
    /// Plays it, on a stage of its own.
    pub(crate) fn run(&self) -> Report {
        let this = self.clone();
        run_story("schedule", move |stage| Box::pin(this.play(stage)), &Environment::with_seed(self.seed), false)
    }

    async fn play(self, stage: Stage) {
        stage.conditions(self.conditions);
        stage.network.set_relay(self.relay || self.relayed);
        let host = Rc::new(stage.host("home").await);
        if self.relayed {
            host.node.set_nat(Nat::Relayed);
        }
        let clients: Vec<SimClient> =
            (0..self.clients).map(|index| stage.client(&format!("client{index}"), &host)).collect();
        let mut gone = vec![false; clients.len()];
        let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
        for act in self.acts {
            let (Act::Request { client, .. }
            | Act::WebSocket { client, .. }
            | Act::CloseClient { client, .. }
            | Act::CrashClient { client, .. }
            | Act::Trouble { client, .. }) = act;
            let index = usize::from(client) % clients.len();
            gone[index] |= matches!(act, Act::CloseClient { .. } | Act::CrashClient { .. });
            acts.push(Box::pin(act.play(stage.clone(), Rc::clone(&host), clients[index].clone())));
        }
        let elsewhere = self.relay || self.relayed;
        let acting = Rc::clone(&host);
        acts.push(Box::pin(async move {
            for act in self.host {
                act.play(&acting, elsewhere).await;
            }
        }));
        together(acts).await;
        stage
            .settle(&clients.iter().zip(gone).filter(|(_, gone)| !gone).map(|(client, _)| client).collect::<Vec<_>>())
            .await;
    }
}

impl Act {
    async fn play(self, stage: Stage, host: Rc<SimHost>, client: SimClient) {
        match self {
            Self::Request { start, plan, pace, patience, .. } => {
                sleep(start).await;
                client.request_for(plan, pace, patience).await;
            }
            Self::WebSocket { start, messages, pause, patience, .. } => {
                sleep(start).await;
                timeout(patience, client.web_socket(messages, pause)).await.ok();
            }
            Self::CloseClient { start, .. } => {
                sleep(start).await;
                client.close();
            }
            Self::CrashClient { start, .. } => {
                sleep(start).await;
                client.crash();
            }
            Self::Trouble { start, lasts, kind, .. } => {
                sleep(start).await;
                let _fault = kind.begin(&stage, &host, &client);
                sleep(lasts).await;
            }
        }
    }
}

impl Trouble {
    fn begin(self, stage: &Stage, host: &SimHost, client: &SimClient) -> Fault {
        let (network, home, away) = (&stage.network, &host.node, &client.node);
        match self {
            Self::Partition => network.partition(&[home], &[away]),
            Self::IsolateHost => network.isolate(home),
            Self::IsolateClient => network.isolate(away),
            Self::Stall => network.stall(&[home], &[away]),
            Self::BlockDirect => network.block_direct(&[home], &[away]),
            Self::RelayOutage => network.relay_outage(),
            Self::IgnoreDials => network.ignore_dials(home),
            Self::RefuseDials => network.refuse_dials(home),
            Self::Degrade(conditions) => network.degrade(&[home], &[away], conditions),
        }
    }
}

impl HostAct {
    async fn play(self, host: &SimHost, can_move: bool) {
        match self {
            Self::Crash { after, lasts, elsewhere } => {
                sleep(after).await;
                host.crash();
                sleep(lasts).await;
                // Without a relay nobody would find it again.
                if elsewhere && can_move { host.restart_elsewhere().await } else { host.restart().await }
            }
            Self::Roll { after, grace } => {
                sleep(after).await;
                host.roll(grace).await;
            }
        }
    }
}

// How schedules are made up.

pub(crate) fn schedule() -> impl Strategy<Value = Schedule> {
    let weather = prop_oneof![2 => Just(Conditions::default()), 3 => conditions()];
    let network = (weather, any::<bool>(), prop::bool::weighted(0.2));
    let acts = collection::vec(act(), 1..24);
    let host = collection::vec(host_act(), 0..3);
    (any::<u64>(), 1_usize..=3, network, acts, host).prop_map(
        |(seed, clients, (conditions, relay, relayed), acts, host)| Schedule {
            seed,
            clients,
            conditions,
            relay,
            relayed,
            acts,
            host,
        },
    )
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn start() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), millis(0..100), millis(0..STORM_MILLIS)]
}

fn act() -> impl Strategy<Value = Act> {
    let slot = any::<Slot>;
    let patience = || prop_oneof![2 => Just(Duration::from_secs(200)), 1 => millis(0..100), 1 => millis(0..5_000)];
    let pace = prop_oneof![
        3 => Just(Pace::Fast),
        1 => millis(0..50).prop_map(Pace::Slow),
        1 => (0_u64..400_000, millis(0..10_000)).prop_map(|(after, pause)| Pace::Pause(after, pause)),
        1 => (0_u64..400_000).prop_map(Pace::Leave),
    ];
    let request = (slot(), start(), plan(), pace, patience())
        .prop_map(|(client, start, plan, pace, patience)| Act::Request { client, start, plan, pace, patience });
    let web_socket = (slot(), start(), 0_u32..20, millis(0..300), patience()).prop_map(
        |(client, start, messages, pause, patience)| Act::WebSocket { client, start, messages, pause, patience },
    );
    let trouble = (slot(), start(), millis(0..STORM_MILLIS), trouble())
        .prop_map(|(client, start, lasts, kind)| Act::Trouble { client, start, lasts, kind });
    prop_oneof![
        14 => request,
        3 => web_socket,
        1 => (slot(), start()).prop_map(|(client, start)| Act::CloseClient { client, start }),
        1 => (slot(), start()).prop_map(|(client, start)| Act::CrashClient { client, start }),
        4 => trouble,
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let verb = prop_oneof![
        5 => Just(Verb::Serve),
        5 => Just(Verb::Echo),
        1 => Just(Verb::Ignore),
        1 => Just(Verb::Hang),
        1 => Just(Verb::Break),
    ];
    let size = || prop_oneof![2 => Just(0_u64), 4 => 1_u64..40_000, 2 => 200_000_u64..700_000];
    let piece = prop_oneof![Just(16_u64 << 10), 1_000_u64..70_000, 30_u64..300];
    let gap = prop_oneof![3 => Just(Duration::ZERO), 1 => millis(0..50)];
    (verb, size(), size(), piece, gap, any::<[bool; 3]>()).prop_map(
        |(verb, up, down, piece, gap, [declared, trailers, buffered])| Plan {
            verb,
            up,
            // Bounds the number of pieces.
            piece: piece.max(up.max(down) / 2_000),
            gap,
            declared,
            trailers,
            buffered,
            ..Plan::download(0, down)
        },
    )
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        Just(Trouble::Partition),
        Just(Trouble::IsolateHost),
        Just(Trouble::IsolateClient),
        Just(Trouble::Stall),
        Just(Trouble::BlockDirect),
        Just(Trouble::RelayOutage),
        Just(Trouble::IgnoreDials),
        Just(Trouble::RefuseDials),
        conditions().prop_map(Trouble::Degrade),
    ]
}

fn host_act() -> impl Strategy<Value = HostAct> {
    let crash = (millis(0..8_000), millis(0..8_000), any::<bool>())
        .prop_map(|(after, lasts, elsewhere)| HostAct::Crash { after, lasts, elsewhere });
    let roll = (millis(0..8_000), millis(0..8_000)).prop_map(|(after, grace)| HostAct::Roll { after, grace });
    prop_oneof![crash, roll]
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let bandwidth = option::of(250_000_u64..20_000_000);
    (0_u64..100, 0_u64..100, 0.0..0.05_f64, 0.0..0.1_f64, bandwidth).prop_map(
        |(latency, jitter, loss, reorder, bandwidth)| {
            let conditions = Conditions::new(Duration::from_millis(latency));
            let conditions = conditions.jitter(Duration::from_millis(jitter)).loss(loss).reorder(reorder);
            bandwidth.map_or(conditions, |rate| conditions.bandwidth(rate))
        },
    )
}

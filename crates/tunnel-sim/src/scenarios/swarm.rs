//! Everything at random.

use std::{cell::RefCell, rc::Rc, time::Duration};

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::{Conditions, Fault, Nat};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};
use tunnel_p2p::{ClientConfig, HostConfig};

use crate::{
    Caller, SimClient, SimHost, Stage, Talk,
    body::Pace,
    plan::{End, File, Plan, Validator, Verb, WsVerb},
    together,
};

/// All requests begin, and all faults heal, within this; what waits for its turn comes a little later.
const STORM: Duration = Duration::from_secs(30);

/// Everybody who takes part.
struct Cast {
    stage: Stage,
    hosts: Vec<Home>,
    /// As they are now: those that crash are replaced.
    clients: RefCell<Vec<SimClient>>,
    /// One client crashes at a time.
    turn: Mutex<()>,
    relay: bool,
}

/// A host, which is restarted by one at a time.
struct Home {
    host: SimHost,
    turn: Mutex<()>,
}

pub(super) async fn swarm(stage: Stage) {
    let mut random = stage.random(0);
    stage.conditions(weather(&mut random));
    let relayed = random.u8(..) < 50;
    let relay = relayed || random.bool();
    stage.network.set_relay(relay);

    let mut hosts = Vec::new();
    for index in 0..random.usize(1..=2) {
        let host = stage.tuned_host(&format!("home{index}"), |config| scant_host(config, &mut random)).await;
        if relayed {
            host.node.set_nat(Nat::Relayed);
        }
        hosts.push(Home { host, turn: Mutex::new(()) });
    }
    let clients: Vec<SimClient> = (0..random.usize(1..=4))
        .map(|index| {
            let host = &hosts[random.usize(..hosts.len())].host;
            stage.tuned_client(&format!("client{index}"), host, |config| scant_client(config, &mut random))
        })
        .collect();

    let count = clients.len();
    let cast =
        Rc::new(Cast { stage: stage.clone(), hosts, clients: RefCell::new(clients), turn: Mutex::new(()), relay });
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for (client, part) in (0..count).zip(1_u64..) {
        let mut random = stage.random(part);
        for _ in 0..random.usize(1..=20) {
            // Some come together.
            let start = STORM.mul_f64(random.f64() * 0.9);
            for _ in 0..[1, 1, 1, 5][random.usize(..4)] {
                acts.push(Box::pin(request(Rc::clone(&cast), client, start, random.fork())));
            }
        }
    }
    for part in 1000..1000 + random.u64(..7) {
        acts.push(Box::pin(trouble(Rc::clone(&cast), stage.random(part))));
    }
    together(acts).await;
    let clients = cast.clients.borrow().clone();
    stage.settle(&clients.iter().collect::<Vec<_>>()).await;
}

/// Now and then there are few places.
fn scant_host(config: &mut HostConfig, random: &mut fastrand::Rng) {
    if random.u8(..) < 80 {
        (config.max_requests, config.max_websockets) = (random.u32(1..8), random.u32(1..4));
    }
}

fn scant_client(config: &mut ClientConfig, random: &mut fastrand::Rng) {
    if random.u8(..) < 80 {
        (config.max_requests, config.max_websockets) = (random.u32(1..8), random.u32(1..4));
    }
    if random.u8(..) < 80 {
        // Longer than a round trip and a few losses.
        config.head_timeout = Duration::from_millis(random.u64(5000..20_000));
        config.queue_timeout = Duration::from_millis(random.u64(5000..20_000));
    }
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

/// One request, or one WebSocket, of whoever is the client of this number when it begins.
async fn request(cast: Rc<Cast>, client: usize, start: Duration, mut random: fastrand::Rng) {
    sleep(start).await;
    let client = cast.clients.borrow()[client].clone();
    if random.u8(..) < 60 {
        let (talk, patience) = (talk(&mut random), patience(&mut random));
        timeout(patience, client.talk(talk)).await.ok();
        return;
    }
    let plan = plan(&mut random);
    let size = plan.expected_down();
    let pace = match random.u8(..6) {
        0 => Pace::Slow(Duration::from_millis(random.u64(..50))),
        1 => Pace::Pause(random.u64(..=size), Duration::from_millis(random.u64(..10_000))),
        2 => Pace::Leave(random.u64(..=size)),
        _ => Pace::Fast,
    };
    client.request_for(plan, pace, patience(&mut random)).await;
}

fn patience(random: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(if random.u8(..) < 60 { random.u64(..5000) } else { 200_000 })
}

fn talk(random: &mut fastrand::Rng) -> Talk {
    let messages = random.u32(..60);
    let verb = match random.u8(..8) {
        0 => WsVerb::Hang,
        1 => WsVerb::Cut(random.u32(..=messages)),
        _ => WsVerb::Echo,
    };
    Talk {
        verb,
        messages,
        pause: Duration::from_millis([0, random.u64(..300)][random.usize(..2)]),
        ahead: [1, 5, 100][random.usize(..3)],
        large: random.bool(),
        deaf: Duration::from_millis([0, random.u64(..10_000)][random.usize(..2)]),
        carried: false,
    }
}

fn plan(random: &mut fastrand::Rng) -> Plan {
    let size = match random.u8(..16) {
        0 | 1 => 0,
        2 => random.u64(700_000..3_000_000),
        3 | 4 => random.u64(200_000..700_000),
        _ => random.u64(..40_000),
    };
    let verb = match random.u8(..12) {
        0 => Verb::Hang,
        1 => Verb::Panic,
        2 => Verb::Ignore,
        3..6 => Verb::Echo,
        _ => Verb::Serve,
    };
    let mut end = || match random.u8(..24) {
        0 => End::Broken,
        1 => End::Short,
        // There must be a byte before the one that is too many.
        2 if size > 200 => End::Long,
        _ => End::Proper,
    };
    let (up_end, down_end) = (end(), end());
    let (up, down) = match random.u8(..3) {
        _ if verb == Verb::Echo => (size, 0),
        0 => (size, random.u64(2..100)),
        1 => (size / 2, size),
        _ => (0, size),
    };
    let gap = if random.bool() { Duration::ZERO } else { Duration::from_millis(random.u64(..100)) };
    let file = file(random);
    let seeks = file.ranges && down > 0 && matches!(verb, Verb::Serve | Verb::Ignore) && down_end == End::Proper;
    let from = if seeks && random.bool() { random.u64(..down) } else { 0 };
    Plan {
        id: 0,
        verb,
        up,
        down,
        piece: [1 + size / 3, 16 << 10, 1 + size / 40][random.usize(..3)],
        gap,
        declared: random.bool(),
        trailers: random.bool(),
        buffered: random.u8(..) < 50,
        json: up >= 2 && random.u8(..) < 80,
        up_end,
        down_end,
        file,
        from,
    }
}

fn file(random: &mut fastrand::Rng) -> File {
    let validator = Validator::ALL[random.usize(..Validator::ALL.len())].1;
    File { validator, ranges: random.bool(), changes: [0, 0, 2, 3][random.usize(..4)] }
}

/// One trouble, which is over when the storm is.
async fn trouble(cast: Rc<Cast>, mut random: fastrand::Rng) {
    let start = STORM.mul_f64(random.f64());
    let lasts = STORM.saturating_sub(start).mul_f64(random.f64());
    sleep(start).await;
    let network = &cast.stage.network;
    let home = &cast.hosts[random.usize(..cast.hosts.len())];
    let index = random.usize(..cast.clients.borrow().len());
    let client = cast.clients.borrow()[index].clone();
    let (near, far) = (&home.host.node, &client.node);
    let fault: Fault = match random.u8(..14) {
        0 => network.partition(&[near], &[far]),
        1 => network.isolate(near),
        2 => network.isolate(far),
        3 => network.stall(&[near], &[far]),
        4 => network.block_direct(&[near], &[far]),
        5 => network.relay_outage(),
        6 => network.ignore_dials(near),
        7 => network.refuse_dials(near),
        8 => network.degrade(&[near], &[far], weather(&mut random)),
        9 => {
            let _turn = cast.turn.lock().await;
            let client = cast.clients.borrow()[index].clone();
            client.crash();
            sleep(lasts).await;
            cast.clients.borrow_mut()[index] = client.restart();
            return;
        }
        10 => return far.start_elsewhere(),
        11 => {
            let _turn = home.turn.lock().await;
            if !home.host.roll(Duration::from_secs(20)).await {
                cast.stage.note("a drain took too long");
            }
            return;
        }
        number => {
            let _turn = home.turn.lock().await;
            home.host.crash();
            sleep(lasts).await;
            // Who has moved is found through the relay.
            if number == 12 && cast.relay {
                return home.host.restart_elsewhere().await;
            }
            return home.host.restart().await;
        }
    };
    sleep(lasts).await;
    fault.heal();
}

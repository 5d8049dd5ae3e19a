//! Many requests, slow readers, and everybody who gives up.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::Conditions;
use tokio::time::{Instant, sleep, timeout};
use tunnel_p2p::HostConfig;

use crate::{
    Caller, Stage, Talk,
    body::Pace,
    oracle::Ending,
    plan::{End, Plan, Verb, WsVerb},
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
    // Small pieces, of which thousands would lie unread without credits: sent one by one, or they would share a frame.
    let crumbs = Plan { piece: 20, gap: Duration::from_millis(1), declared: false, ..Plan::download(0, 100_000) };
    let echo = Plan { verb: Verb::Echo, up: 100_000, ..crumbs };
    for plan in [crumbs, echo] {
        for pace in [Pace::Pause(0, Duration::from_secs(10)), Pace::Slow(Duration::from_millis(4))] {
            let slow = slow.clone();
            acts.push(Box::pin(async move { slow.must(plan, pace).await }));
        }
    }
    let talk = Talk {
        ahead: 5000,
        large: false,
        pause: Duration::from_millis(1),
        deaf: Duration::from_secs(10),
        ..Talk::of(5000)
    };
    let deaf = slow.clone();
    acts.push(Box::pin(async move {
        if deaf.talk(talk).await != Ending::Complete {
            deaf.stage().oracle.violate("a WebSocket with a slow reader broke off");
        }
    }));
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
        for verb in [WsVerb::Hang, WsVerb::Hang, WsVerb::Echo, WsVerb::Echo] {
            let talk = Talk { verb, ahead: 10, pause: Duration::from_millis(10), ..Talk::of(1000) };
            let (client, patience) = (client.clone(), Duration::from_millis(random.u64(..3000)));
            acts.push(Box::pin(async move {
                timeout(patience, client.talk(talk)).await.ok();
            }));
        }
    }
    together(acts).await;
    stage.settle(&clients.each_ref()).await;
}

pub(super) async fn event_streams(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(10)));
    let host = stage.host("home").await;
    let client = stage.client("phone", &host);
    client.connected().await;
    let mut random = stage.random(1);
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for _ in 0..8 {
        let piece = random.u64(1..3000);
        let gap = Duration::from_millis(random.u64(30..500));
        let plan = Plan { piece, gap, declared: random.bool(), ..Plan::download(0, piece * 100) };
        let client = client.clone();
        // 10 ms on the way, and the steps of the clock.
        acts.push(Box::pin(async move { client.must(plan, Pace::Prompt(Duration::from_millis(13))).await }));
    }
    for _ in 0..4 {
        let client = client.clone();
        acts.push(Box::pin(async move { client.must(Plan::download(0, 3_000_000), Pace::Fast).await }));
    }
    together(acts).await;
    stage.settle(&[&client]).await;
}

pub(super) async fn scarce_places(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(10)).jitter(Duration::from_millis(5)));
    let scarce = |config: &mut HostConfig| (config.max_requests, config.max_websockets) = (3, 2);
    let host = stage.tuned_host("home", scarce).await;
    let client = stage.client("phone", &host);
    client.connected().await;
    let mut random = stage.random(1);
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for _ in 0..40 {
        let size = random.u64(..400_000);
        let (verb, down_end) = match random.u8(..5) {
            0 => (Verb::Hang, End::Proper),
            1 => (Verb::Panic, End::Proper),
            2 => (Verb::Serve, End::Broken),
            3 => (Verb::Ignore, End::Proper),
            _ => (Verb::Serve, End::Proper),
        };
        let plan = Plan { verb, down: size, down_end, ..Plan::upload(0, random.u64(..400_000)) };
        let pace = if random.bool() { Pace::Fast } else { Pace::Leave(random.u64(..=size)) };
        let (client, start) = (client.clone(), Duration::from_millis(random.u64(..10_000)));
        let patience = Duration::from_millis(random.u64(..2000));
        acts.push(Box::pin(async move {
            sleep(start).await;
            client.request_for(plan, pace, patience).await;
        }));
    }
    for _ in 0..12 {
        let verb = match random.u8(..3) {
            0 => WsVerb::Hang,
            1 => WsVerb::Cut(random.u32(..5)),
            _ => WsVerb::Echo,
        };
        let (client, start) = (client.clone(), Duration::from_millis(random.u64(..10_000)));
        let patience = Duration::from_millis(random.u64(..2000));
        acts.push(Box::pin(async move {
            sleep(start).await;
            timeout(patience, client.talk(Talk { verb, ..Talk::of(10) })).await.ok();
        }));
    }
    together(acts).await;
    // The host has heard of all that were given up.
    sleep(Duration::from_secs(1)).await;
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for _ in 0..12 {
        let (asking, talking) = (client.clone(), client.clone());
        acts.push(Box::pin(async move { asking.must(Plan::upload(0, 1000), Pace::Fast).await }));
        acts.push(Box::pin(async move {
            if talking.web_socket(2, Duration::ZERO).await != Ending::Complete {
                talking.stage().oracle.violate("a WebSocket found no place");
            }
        }));
    }
    together(acts).await;
    stage.settle(&[&client]).await;
}

pub(super) async fn service_failures(stage: Stage) {
    stage.conditions(Conditions::new(Duration::from_millis(10)));
    let host = stage.host("home").await;
    let client = stage.client("phone", &host);
    client.connected().await;
    let mut random = stage.random(1);
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for _ in 0..60 {
        let size = random.u64(2..600_000);
        let declared = random.bool();
        let end = [End::Broken, End::Short, End::Long][random.usize(..3)];
        let (download, upload) =
            (Plan { declared, ..Plan::download(0, size) }, Plan { declared, ..Plan::upload(0, size) });
        let (plan, whole) = match random.u8(..7) {
            0 => (Plan { down_end: end, ..download }, !declared && end != End::Broken),
            1 => (Plan { up_end: end, ..upload }, !declared && end != End::Broken),
            2 => (Plan { verb: Verb::Echo, up_end: end, ..upload }, !declared && end != End::Broken),
            3 => (Plan { verb: Verb::Ignore, ..upload }, true),
            4 => (Plan { verb: Verb::Hang, ..upload }, false),
            5 => (Plan { verb: Verb::Panic, ..upload }, false),
            _ => (download, true),
        };
        let right = if whole { Ending::Complete } else { Ending::Failed };
        let client = client.clone();
        acts.push(Box::pin(async move {
            let ending = client.request(plan, Pace::Fast).await;
            if ending != right {
                client.stage().oracle.violate(format!("{plan:?} ended as {ending:?} instead of {right:?}"));
            }
        }));
    }
    for verb in [WsVerb::Hang, WsVerb::Cut(0), WsVerb::Cut(3), WsVerb::Cut(10)] {
        let client = client.clone();
        acts.push(Box::pin(async move {
            let ending = client.talk(Talk { verb, ..Talk::of(10) }).await;
            if ending != Ending::Failed {
                client.stage().oracle.violate(format!("a WebSocket with {verb:?} ended as {ending:?}"));
            }
        }));
    }
    together(acts).await;
    stage.settle(&[&client]).await;
}

//! From the app to the server and back, through HTTP at both ends.
//!
//! The HTTP and WebSocket libraries run here as they are. What could make two runs differ stays out of them: their timers
//! are tokio's; the `date` header, which hyper takes from the wall clock, is off in the gateway and in the server; keys
//! and masks of WebSockets are random in content, not in size, and the trace has sizes only. HTTP/2 is not spoken, because
//! h2 asks the wall clock how long it remembers a reset stream.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::Conditions;
use tokio::time::sleep;

use super::weather::{SIZES, variants};
use crate::{
    Caller, SimApp, SimGateway, SimHost, SimServer, Stage,
    body::Pace,
    oracle::Ending,
    plan::{Plan, Verb},
    together,
};

/// Everybody on the way, each on a machine of its own.
struct Way {
    stage: Stage,
    server: SimServer,
    host: SimHost,
    gateway: SimGateway,
    apps: [SimApp; 2],
}

impl Way {
    async fn start(stage: Stage, conditions: Conditions) -> Self {
        stage.conditions(conditions);
        let server = stage.server("music");
        let host = stage.host_of("home", &server).await;
        let gateway = stage.gateway("gateway", &host);
        let apps = [stage.app("phone", &gateway), stage.app("laptop", &gateway)];
        // The host and its server are neighbours, whatever the weather.
        let near = Conditions::new(Duration::from_micros(50));
        stage.network.degrade(&[&host.node], &[&server.node], near).forever();
        gateway.connected().await;
        Self { stage, server, host, gateway, apps }
    }

    async fn settle(&self) {
        self.stage.settle_apps(&self.apps.each_ref(), 1, &self.server).await;
    }
}

pub(super) async fn calm_and_bad(stage: Stage) {
    let mut random = stage.random(0);
    let (name, conditions) = Conditions::PRESETS[random.usize(..Conditions::PRESETS.len())];
    stage.note(name);
    let sizes = if name == "lan" { &SIZES } else { &SIZES[..8] };
    let way = Way::start(stage, conditions).await;
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for (app, part) in way.apps.iter().zip(1..) {
        let mut random = way.stage.random(part);
        for &size in sizes {
            for plan in variants(size, &mut random) {
                let (app, start) = (app.clone(), Duration::from_millis(random.u64(..3000)));
                acts.push(Box::pin(async move {
                    sleep(start).await;
                    app.must(plan, Pace::Fast).await;
                }));
            }
            let early = Plan { verb: Verb::Ignore, declared: random.bool(), ..Plan::upload(0, size) };
            let (app, start) = (app.clone(), Duration::from_millis(random.u64(..3000)));
            acts.push(Box::pin(async move {
                sleep(start).await;
                // What is small has arrived before anybody answers. An answer to a larger upload may be lost: the HTTP
                // library in the gateway closes the connection behind it without reading on, and an app that is still
                // writing may see that first.
                if size <= 1000 {
                    app.must(early, Pace::Fast).await;
                } else {
                    app.request(early, Pace::Fast).await;
                }
            }));
        }
        for _ in 0..2 {
            let app = app.clone();
            acts.push(Box::pin(async move {
                if app.web_socket(30, Duration::from_millis(50)).await != Ending::Complete {
                    app.stage().oracle.violate("a WebSocket broke off without a fault");
                }
            }));
        }
        // Longer than either hop stays without a sign of life.
        let (app, pause) = (app.clone(), Duration::from_secs(100));
        acts.push(Box::pin(async move {
            if app.web_socket(2, pause).await != Ending::Complete {
                app.stage().oracle.violate("a silent WebSocket broke off");
            }
        }));
    }
    together(acts).await;
    way.settle().await;
}

pub(super) async fn faults(stage: Stage) {
    let mut random = stage.random(0);
    let jitter = Duration::from_millis(random.u64(..20));
    let way = Way::start(stage, Conditions::new(Duration::from_millis(15)).jitter(jitter).loss(0.003)).await;
    // A reset that is lost is not sent again, with real TCP neither: then only the idle timeout of the body notices that
    // an app is gone. Here every app's reset arrives.
    for app in &way.apps {
        let near = Conditions::new(Duration::from_millis(3)).jitter(jitter);
        way.stage.network.degrade(&[&app.node], &[&way.gateway.node], near).forever();
    }
    for fault in [fail_server, lose_app, part, fail_host, fail_gateway] {
        let acts = requests(&way, &mut random);
        let start = Duration::from_millis(random.u64(..3000));
        let lasts = Duration::from_millis(random.u64(..12_000) * random.u64(..2));
        let trouble = async {
            sleep(start).await;
            fault(&way, lasts).await;
        };
        tokio::join!(biased; together(acts), trouble);
        way.gateway.connected().await;
        for app in &way.apps {
            app.resume().await;
        }
    }
    way.settle().await;
}

/// Long ones of every kind, some of which their apps give up.
fn requests(way: &Way, random: &mut fastrand::Rng) -> Vec<LocalBoxFuture<'static, ()>> {
    let mut acts: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
    for app in &way.apps {
        for _ in 0..8 {
            let size = random.u64(1..1_500_000);
            let gap = Duration::from_millis(random.u64(..60));
            let plan = match random.u8(..6) {
                0 | 1 => Plan { gap, ..Plan::download(0, size) },
                2 => Plan { gap, ..Plan::upload(0, size) },
                3 => Plan { verb: Verb::Break, gap, ..Plan::download(0, size) },
                // Without an upload: a server that does not read does not see its client leave.
                4 => Plan { verb: Verb::Hang, ..Plan::download(0, 1) },
                _ => Plan { verb: Verb::Echo, gap, ..Plan::upload(0, size) },
            };
            let plan = Plan { declared: random.bool(), ..plan };
            let pace = match random.u8(..6) {
                0 => Pace::Slow(Duration::from_millis(random.u64(..20))),
                1 => Pace::Pause(random.u64(..size), Duration::from_millis(random.u64(..10_000))),
                2 => Pace::Leave(random.u64(..size)),
                _ => Pace::Fast,
            };
            let patience = Duration::from_millis(random.u64(500..30_000));
            let gives_up = plan.verb == Verb::Hang || random.u8(..) < 60;
            let (app, start) = (app.clone(), Duration::from_millis(random.u64(..2000)));
            acts.push(Box::pin(async move {
                sleep(start).await;
                if gives_up {
                    app.request_for(plan, pace, patience).await;
                } else {
                    app.request(plan, pace).await;
                }
            }));
        }
        let (app, messages) = (app.clone(), random.u32(1..200));
        acts.push(Box::pin(async move {
            app.web_socket(messages, Duration::from_millis(20)).await;
        }));
    }
    acts
}

fn fail_server(way: &Way, lasts: Duration) -> LocalBoxFuture<'_, ()> {
    Box::pin(async move {
        way.server.crash();
        sleep(lasts).await;
        way.server.restart();
    })
}

/// In the middle of what it sends and receives.
fn lose_app(way: &Way, lasts: Duration) -> LocalBoxFuture<'_, ()> {
    Box::pin(async move {
        way.apps[0].crash();
        sleep(lasts).await;
        way.apps[0].restart();
    })
}

fn part(way: &Way, lasts: Duration) -> LocalBoxFuture<'_, ()> {
    Box::pin(async move {
        let _fault = way.stage.network.partition(&[&way.gateway.node], &[&way.host.node]);
        sleep(lasts).await;
    })
}

fn fail_host(way: &Way, lasts: Duration) -> LocalBoxFuture<'_, ()> {
    Box::pin(async move {
        way.host.crash();
        sleep(lasts).await;
        way.host.restart().await;
    })
}

fn fail_gateway(way: &Way, lasts: Duration) -> LocalBoxFuture<'_, ()> {
    Box::pin(async move {
        way.gateway.crash();
        sleep(lasts).await;
        way.gateway.restart();
    })
}

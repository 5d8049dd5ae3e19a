//! From the app to the server and back, with two ways in the middle.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use p2p_provider::simulator::{Conditions, Fault};
use tokio::time::{Instant, sleep, timeout};
use tunnel_core::TransportKind;
use tunnel_router::{RETURN_WITHIN, State};

use super::{ENROL_LIMIT, carried};
use crate::{Caller, SimApp, SimGateway, SimHost, SimServer, SimTunnelServer, Stage, body::Pace, plan::Plan, together};

/// The longest that it takes to notice that the other side of a connection is gone.
const NOTICE_LIMIT: Duration = Duration::from_secs(16);

struct Way {
    stage: Stage,
    server: SimServer,
    tunnel: SimTunnelServer,
    host: SimHost,
    gateway: SimGateway,
    app: SimApp,
}

pub(in crate::scenarios) async fn whole_way(stage: Stage) {
    let mut random = stage.random(0);
    let way = Way::start(stage, Conditions::new(Duration::from_millis(random.u64(1..40)))).await;
    for round in 0..4 {
        way.must(&mut random, TransportKind::P2p).await;
        let acts = way.requests(&mut random);
        let trouble = async {
            sleep(Duration::from_millis(random.u64(..3000))).await;
            // In turns; and in the end both.
            let p2p = if round == 1 { None } else { way.harm_p2p(&mut random).await };
            let legacy = if round % 2 == 0 { None } else { way.harm_tunnel(&mut random) };
            if round == 0 {
                // The app gets what it asks for, without p2p.
                sleep(NOTICE_LIMIT).await;
                way.must(&mut random, TransportKind::Legacy).await;
            }
            sleep(Duration::from_millis(random.u64(100..12_000))).await;
            drop((p2p, legacy));
            way.heal().await;
        };
        tokio::join!(biased; together(acts), trouble);
        sleep(NOTICE_LIMIT).await;
        way.returned().await;
    }
    way.stage.settle_apps_with(&[&way.app], 1, &way.server, &[&way.tunnel]).await;
}

impl Way {
    async fn start(stage: Stage, conditions: Conditions) -> Self {
        stage.conditions(conditions);
        let server = stage.server("music");
        let tunnel = stage.tunnel_server("tunnel");
        let host = stage.dual_host_of("home", &tunnel, &server).await;
        let gateway = stage.gateway("gateway", &host);
        let app = stage.app("phone", &gateway);
        let near = Conditions::new(Duration::from_micros(50));
        stage.network.degrade(&[&host.node], &[&server.node], near).forever();
        gateway.connected().await;
        let this = Self { stage, server, tunnel, host, gateway, app };
        this.returned().await;
        this
    }

    /// Waits until both ways are used again.
    async fn returned(&self) {
        let is_back = || {
            let state = self.gateway.router().and_then(|router| Some(router.status().p2p?.state));
            let enrolled = self.tunnel.statistics().is_some_and(|statistics| statistics.hosts > 0);
            matches!(state, Some(State::Healthy | State::Suspect)) && enrolled
        };
        let returning = async {
            while !is_back() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let limit = RETURN_WITHIN.max(ENROL_LIMIT);
        if timeout(limit, returning).await.is_err() {
            self.stage.oracle.violate(format!("the gateway does not have both ways after {limit:?}"));
        }
    }

    /// A few requests of which none may fail, over this transport.
    async fn must(&self, random: &mut fastrand::Rng, transport: TransportKind) {
        for _ in 0..5 {
            let plan = self.app.begin(carried(random));
            let begun = Instant::now();
            let ending = self.app.pursue(&plan, Pace::Fast).await;
            let ways = self.stage.oracle.executions(plan.id);
            if ending != crate::oracle::Ending::Complete || ways != [Some(transport)] {
                let took = begun.elapsed();
                let what =
                    format!("{plan:?} ended as {ending:?} by {ways:?} after {took:?}, with {transport:?} to use");
                self.stage.oracle.violate(what);
            }
        }
    }

    fn requests(&self, random: &mut fastrand::Rng) -> Vec<LocalBoxFuture<'static, ()>> {
        let asking = (0..20).map(|_| -> LocalBoxFuture<'static, ()> {
            let size = random.u64(..400_000);
            let gap = Duration::from_millis(random.u64(..200));
            let long = Plan { gap, ..Plan::file(0, size) };
            let post = Plan { gap, ..Plan::json(0, random.u64(2..20_000)) };
            let plan = [long, post, carried(random)][random.usize(..3)];
            let start = Duration::from_millis(random.u64(..10_000));
            let patience = Duration::from_millis(if random.u8(..) < 30 { random.u64(..5000) } else { 200_000 });
            let app = self.app.clone();
            Box::pin(async move {
                sleep(start).await;
                app.request_for(plan, Pace::Fast, patience).await;
            })
        });
        asking.collect()
    }

    async fn harm_p2p(&self, random: &mut fastrand::Rng) -> Option<Fault> {
        let (network, host, gateway) = (&self.stage.network, &self.host.node, &self.gateway.node);
        match random.u8(..3) {
            0 => Some(network.stall(&[host], &[gateway])),
            1 => {
                self.host.close_p2p().await;
                Some(network.refuse_dials(host))
            }
            _ => Some(network.partition(&[host], &[gateway])),
        }
    }

    fn harm_tunnel(&self, random: &mut fastrand::Rng) -> Option<Fault> {
        match random.u8(..3) {
            0 => {
                self.tunnel.crash();
                None
            }
            1 => {
                self.host.close_legacy();
                None
            }
            _ => Some(self.stage.network.isolate(&self.tunnel.node)),
        }
    }

    async fn heal(&self) {
        self.host.open_again().await;
        if self.tunnel.statistics().is_none() {
            self.tunnel.restart();
        }
    }
}

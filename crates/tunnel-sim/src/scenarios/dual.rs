//! Clients with two ways to their host: by p2p, and through a tunnel server.

mod calm;
mod down;
mod failover;
mod operator;
mod posts;
mod returning;
mod shadow;
mod truth;
mod tunnel_faults;
mod websockets;
mod whole_way;

use std::time::Duration;

use p2p_provider::simulator::{Conditions, Fault};
use tokio::time::{Instant, sleep, timeout};
use tunnel_core::TransportKind;
use tunnel_router::{RETURN_WITHIN, RouterConfig, State};

pub(super) use self::{
    calm::calm,
    down::{both_down, p2p_down},
    failover::failover,
    operator::kill_switch,
    posts::posts,
    returning::{coming_back, flapping},
    shadow::shadow,
    tunnel_faults::tunnel_faults,
    websockets::websockets,
    whole_way::whole_way,
};
use crate::{SimClient, SimHost, SimTunnelServer, Stage, plan::Plan};

/// What a tunnel server carries, beside files.
pub(super) fn carried(random: &mut fastrand::Rng) -> Plan {
    let size = [random.u64(..2000), random.u64(..300_000)][random.usize(..2)];
    let gap = Duration::from_millis([0, random.u64(..20)][random.usize(..2)]);
    let plan = match random.u8(..4) {
        0 => Plan { down: random.u64(..2000), ..Plan::json(0, random.u64(2..5000)) },
        1 => Plan::download(0, size),
        _ => Plan::file(0, size),
    };
    Plan { declared: random.bool(), gap, ..plan }
}

/// A host comes to its tunnel server within this: pauses between its attempts are 45 s at most, and an attempt takes 5 s.
const ENROL_LIMIT: Duration = Duration::from_secs(51);

/// Everybody who takes part.
struct Cast {
    stage: Stage,
    tunnel: SimTunnelServer,
    host: SimHost,
    client: SimClient,
}

impl Cast {
    async fn start(stage: Stage, conditions: Conditions, change: impl FnOnce(&mut RouterConfig)) -> Self {
        stage.conditions(conditions);
        let tunnel = stage.tunnel_server("tunnel");
        let host = stage.dual_host("home", &tunnel).await;
        let client = stage.dual_client("phone", &host, change);
        let this = Self { stage, tunnel, host, client };
        this.enrolled().await;
        this
    }

    /// As [`start`](Self::start), with p2p connected.
    async fn connected(stage: Stage, conditions: Conditions, change: impl FnOnce(&mut RouterConfig)) -> Self {
        let this = Self::start(stage, conditions, change).await;
        this.client.connected().await;
        this.returned().await;
        this
    }

    /// Waits until the host is at the tunnel server.
    async fn enrolled(&self) {
        let enrolling = async {
            while self.tunnel.statistics().is_none_or(|statistics| statistics.hosts == 0) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(ENROL_LIMIT, enrolling).await.is_err() {
            self.stage.oracle.violate(format!("the host did not come to the tunnel server within {ENROL_LIMIT:?}"));
        }
    }

    /// Waits until the router uses p2p.
    async fn returned(&self) {
        let start = Instant::now();
        while !self.uses_p2p() {
            sleep(Duration::from_millis(50)).await;
            if start.elapsed() > RETURN_WITHIN {
                let state = self.p2p_state();
                return self.stage.oracle.violate(format!("p2p is {state:?} after {RETURN_WITHIN:?}"));
            }
        }
    }

    /// Waits until the router does not use p2p any more.
    async fn given_up(&self) {
        let start = Instant::now();
        while self.uses_p2p() {
            sleep(Duration::from_millis(50)).await;
            if start.elapsed() > Duration::from_secs(30) {
                return self.stage.oracle.violate("p2p is dead, and the router does not notice");
            }
        }
    }

    fn p2p_state(&self) -> Option<State> {
        self.client.router().and_then(|router| Some(router.status().p2p?.state))
    }

    fn uses_p2p(&self) -> bool {
        matches!(self.p2p_state(), Some(State::Healthy | State::Suspect))
    }

    /// Nothing passes between client and host; through the tunnel server it does.
    fn part(&self) -> Fault {
        self.stage.network.partition(&[&self.client.node], &[&self.host.node])
    }

    /// By which transports a request was executed, in order.
    fn ways(&self, id: u64) -> Vec<TransportKind> {
        self.stage.oracle.executions(id).into_iter().flatten().collect()
    }

    async fn settle(&self) {
        self.enrolled().await;
        self.stage.settle_with(&[&self.client], &[&self.tunnel]).await;
        truth::check(&self.stage, &self.client);
    }

    /// p2p dies, somehow.
    async fn harm_p2p(&self, random: &mut fastrand::Rng) -> Option<Fault> {
        let (network, host, client) = (&self.stage.network, &self.host.node, &self.client.node);
        match random.u8(..4) {
            0 => Some(network.stall(&[host], &[client])),
            1 => {
                self.host.close_p2p().await;
                None
            }
            2 => {
                self.host.close_p2p().await;
                Some(network.refuse_dials(host))
            }
            _ => Some(self.part()),
        }
    }

    /// The tunnel server dies, or hangs, or cannot be reached.
    fn harm_tunnel(&self, random: &mut fastrand::Rng) -> Option<Fault> {
        let (network, tunnel) = (&self.stage.network, &self.tunnel.node);
        let side = [&self.host.node, &self.client.node][random.usize(..2)];
        match random.u8(..5) {
            0 => {
                self.tunnel.crash();
                None
            }
            1 => {
                self.host.close_legacy();
                None
            }
            2 => Some(network.isolate(tunnel)),
            3 => Some(network.partition(&[side], &[tunnel])),
            // Its system answers, it does not.
            _ => Some(network.stall(&[tunnel], &[&self.host.node, &self.client.node])),
        }
    }

    /// Whatever was closed is open again.
    async fn heal(&self) {
        self.host.open_again().await;
        if self.tunnel.statistics().is_none() {
            self.tunnel.restart();
        }
    }
}

//! A node with a client, and the requests that it makes.

use std::{sync::Arc, time::Duration};

use http::Method;
use p2p_provider::simulator::{SimNode, SimP2P, SimPeerConfig};
use tokio::time::{Instant, sleep, timeout};
use tunnel_core::{Failure, Health, Request, Transport, Via};
use tunnel_legacy::{LegacyClient, LegacyConfig};
use tunnel_p2p::{Client, ClientConfig, Ticket};
use tunnel_router::{Router, RouterConfig};

use super::{
    Caller, SimHost, Stage, Talk,
    caller::{EXECUTIONS_MAX, check_head, http_request, note},
    tunnel::Account,
    ws,
};
use crate::{
    body::{Pace, Read, Side, read},
    oracle::{Ending, RESUME_LIMIT, Sight, Watch},
    plan::Plan,
};

/// A client on a node of its own. Clones share it.
#[derive(Clone)]
pub struct SimClient {
    /// The node.
    pub node: SimNode,
    stage: Stage,
    recipe: Recipe,
    /// How often the node was started before.
    life: u64,
    ways: Ways,
    /// Its peer, if it uses p2p.
    peer: Option<SimP2P>,
}

/// What a client is made of.
#[derive(Clone, Default)]
pub(super) struct Recipe {
    /// Of the host, if the client uses p2p.
    pub(super) ticket: Option<Ticket>,
    /// Of the host at a tunnel server, if the client uses that.
    pub(super) account: Option<Account>,
    /// How it chooses between the two.
    pub(super) routing: Option<RouterConfig>,
}

impl Recipe {
    pub(super) fn p2p(ticket: Ticket) -> Self {
        Self { ticket: Some(ticket), ..Self::default() }
    }

    pub(super) fn legacy(host: &SimHost) -> Self {
        Self { account: host.account(), ..Self::default() }
    }

    /// Whatever the host has.
    pub(super) fn both(host: &SimHost, routing: RouterConfig) -> Self {
        Self { ticket: Some(host.ticket()), account: host.account(), routing: Some(routing) }
    }
}

/// What the process of a client has to reach its host.
#[derive(Clone)]
struct Ways {
    transport: Arc<dyn Transport>,
    p2p: Option<Arc<Client<SimP2P>>>,
    router: Option<(Router, Watch)>,
}

impl SimClient {
    pub(super) fn start(
        stage: &Stage,
        node: SimNode,
        recipe: Recipe,
        life: u64,
        change: impl FnOnce(&mut ClientConfig),
    ) -> Self {
        let part = u64::from_be_bytes(std::array::from_fn(|i| node.id().0[i])).wrapping_add(life);
        let mut random = stage.random(part);
        let p2p = recipe.ticket.clone().map(|ticket| p2p(stage, &node, ticket, random.u64(..), change));
        let (p2p, peer) = p2p.map(|(client, peer)| (Arc::new(client), peer)).unzip();
        let legacy = recipe.account.as_ref().map(|account| Arc::new(legacy(&node, account)));
        let ways = Ways::new(stage, &node.name(), &recipe, p2p, legacy, random.u64(..));
        Self { node, stage: stage.clone(), recipe, life, ways, peer }
    }

    /// Waits until its p2p is connected, if it has one.
    pub async fn connected(&self) {
        let Some(p2p) = &self.ways.p2p else { return };
        let connecting = async {
            while p2p.connected().await.is_err() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        if timeout(RESUME_LIMIT, connecting).await.is_err() {
            self.stage.oracle.violate(format!("{} did not connect within {RESUME_LIMIT:?}", self.node.name()));
        }
    }

    /// What it thinks of its ways to the host.
    #[must_use]
    pub fn health(&self) -> Health {
        self.ways.transport.health()
    }

    /// The way to the host.
    #[must_use]
    pub fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.ways.transport)
    }

    /// What chooses between p2p and the tunnel server, if it has both.
    #[must_use]
    pub fn router(&self) -> Option<&Router> {
        self.ways.router.as_ref().map(|(router, _)| router)
    }

    /// The system of its machine tells that the network has changed.
    pub fn network_changed(&self) {
        if let Some(peer) = &self.peer {
            peer.tell_network_change();
        }
    }

    /// Whether it has p2p connections to its host when all is well.
    pub(super) const fn has_p2p(&self) -> bool {
        self.ways.p2p.is_some()
    }

    /// Ends its connections in order. Whatever it was doing fails.
    pub fn close(&self) {
        if let Some(p2p) = &self.ways.p2p {
            p2p.close();
        }
    }

    /// Ends its process without a word. Whatever it was doing is dropped by whoever does it.
    pub fn crash(&self) {
        self.node.crash();
        self.close();
        if let Some((_, watch)) = self.ways.router {
            self.stage.oracle.forget(watch);
        }
    }

    /// Starts a process on its node after a crash, with the ticket of before: a new client.
    #[must_use]
    pub fn restart(&self) -> Self {
        self.node.start();
        Self::start(&self.stage, self.node.clone(), self.recipe.clone(), self.life + 1, |_| {})
    }

    /// Makes a request that cannot have an answer; returns why.
    pub async fn fails(&self, plan: Plan) -> Option<Failure> {
        let plan = self.begin(plan);
        let (parts, body) = http_request(&plan).into_parts();
        let sent = self.transport().send(Request::http(plan.id, parts, body)).await;
        let Err(error) = sent else {
            self.stage.oracle.violate(format!("request {} was answered: {plan:?}", plan.id));
            self.stage.oracle.end(plan.id, Ending::Aborted);
            return None;
        };
        self.explain(plan.id, error.failure());
        let ending = if error.may_have_been_delivered() { Ending::Failed } else { Ending::Undelivered };
        self.stage.oracle.end(plan.id, ending);
        Some(error.failure().clone())
    }

    /// It has the head of an answer, and was told how it came.
    pub(super) fn answered(&self, id: u64, execution: u32, via: Option<Via>) {
        self.stage.oracle.answered(id, execution, via);
        if let (Some((_, watch)), Some(Via { reason: Some("p2p-down" | "p2p-connecting"), .. })) =
            (&self.ways.router, via)
        {
            self.stage.oracle.shunned_p2p(id, *watch);
        }
    }

    /// A request that is handed back was not delivered, and can be sent as it is.
    async fn must_be_whole(&self, plan: &Plan, request: Request, delivered: bool) {
        let oracle = &self.stage.oracle;
        if delivered || request.id != plan.id {
            oracle.violate(format!("request {} was handed back wrongly: {request:?}", plan.id));
        }
        // What its source breaks off is as broken here.
        let whole = plan.is_whole_up();
        if whole && read(request.body, plan, Side::Request, Pace::Fast, oracle).await != Read::Complete {
            oracle.violate(format!("request {} was handed back with a broken body", plan.id));
        }
    }

    pub(super) fn explain(&self, id: u64, failure: &Failure) {
        note(self, id, &format!("{}: {failure}", failure.kind().name()));
    }
}

impl Ways {
    fn new(
        stage: &Stage,
        name: &str,
        recipe: &Recipe,
        p2p: Option<Arc<Client<SimP2P>>>,
        legacy: Option<Arc<LegacyClient>>,
        seed: u64,
    ) -> Self {
        let mut router = None;
        let transport: Arc<dyn Transport> = match (&p2p, legacy) {
            (Some(p2p), Some(legacy)) => {
                let mut config = recipe.routing.clone().unwrap_or_default();
                config.seed = seed;
                let both = Router::start(Some(Arc::clone(p2p) as _), Some(legacy), config);
                let both = both.expect("the settings are right");
                let (router_seen, link) = (both.clone(), Arc::clone(p2p));
                let watch = stage.oracle.watch(name, move || Sight {
                    connected: matches!(link.health(), Health::Healthy { .. }),
                    switches: router_seen.status().counts.switches,
                });
                router = Some((both.clone(), watch));
                Arc::new(both)
            }
            (Some(p2p), None) => Arc::clone(p2p) as _,
            (None, Some(legacy)) => legacy,
            (None, None) => panic!("{name} has no way to a host"),
        };
        Self { transport, p2p, router }
    }
}

fn p2p(
    stage: &Stage,
    node: &SimNode,
    ticket: Ticket,
    seed: u64,
    change: impl FnOnce(&mut ClientConfig),
) -> (Client<SimP2P>, SimP2P) {
    let peer = node.peer(SimPeerConfig::default()).expect("a new node has no peer");
    let mut config = ClientConfig::default();
    config.body_idle_timeout = Duration::from_secs(30);
    config.seed = Some(seed);
    if let Some(connect_timeout) = stage.environment.connect_timeout {
        config.connect_timeout = connect_timeout;
    }
    change(&mut config);
    (Client::start(peer.clone(), ticket, config), peer)
}

fn legacy(node: &SimNode, account: &Account) -> LegacyClient {
    let mut config = LegacyConfig::new(account.url());
    config.client_id = Some(account.client_id.clone());
    config.token = Some(account.token.clone());
    config.signature = Some(account.signature.clone());
    config.body_idle_timeout = Duration::from_secs(30);
    let (node, address) = (node.clone(), account.address);
    let connect = move || {
        let node = node.clone();
        async move { node.connect_tcp(address).await }
    };
    LegacyClient::with_connector(config, connect).expect("the settings are right")
}

impl Caller for SimClient {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn node(&self) -> &SimNode {
        &self.node
    }

    /// Over both transports a safe request may come twice until its head is there, again after the body has broken off,
    /// and once more to be compared.
    fn executions_max(&self, plan: &Plan) -> u32 {
        if self.router().is_none() || plan.method() != Method::GET { 1 } else { EXECUTIONS_MAX }
    }

    /// Opening one is harmless. A host that comes back to its tunnel server opens it again for every client that goes on.
    fn openings_max(&self) -> u32 {
        if self.router().is_some() { u32::MAX } else { 1 }
    }

    async fn exchange(&self, plan: &Plan, pace: Pace) -> Ending {
        let oracle = &self.stage.oracle;
        let (parts, body) = http_request(plan).into_parts();
        let start = Instant::now();
        let response = match self.transport().send(Request::http(plan.id, parts, body)).await {
            Ok(response) => {
                if let Pace::Prompt(limit) = pace
                    && start.elapsed() > limit * 2 + plan.gap
                {
                    oracle.violate(format!("the head of the response {} took {:?}", plan.id, start.elapsed()));
                }
                response
            }
            Err(error) => {
                self.explain(plan.id, error.failure());
                let delivered = error.may_have_been_delivered();
                if let Some(request) = error.into_request() {
                    self.must_be_whole(plan, request, delivered).await;
                }
                return if delivered { Ending::Failed } else { Ending::Undelivered };
            }
        };
        let execution = check_head(oracle, plan, response.status, &response.headers);
        self.answered(plan.id, execution, response.via);
        match read(response.body, plan, Side::Response(execution), pace, oracle).await {
            Read::Complete => Ending::Complete,
            Read::Left => Ending::Aborted,
            Read::Failed(failure) => {
                self.explain(plan.id, &failure);
                Ending::Failed
            }
        }
    }

    async fn converse(&self, id: u64, talk: &Talk) -> Ending {
        ws::converse(self, id, talk).await
    }

    fn condition(&self) -> String {
        format!("({:?})", self.health())
    }
}

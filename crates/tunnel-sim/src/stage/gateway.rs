//! A node with a gateway.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use p2p_provider::simulator::SimNode;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tunnel_edge::{Gateway, GatewayConfig, Profile};
use tunnel_router::Router;

use super::{SimClient, Stage, client::Recipe, tcp::Port};

/// Where apps connect.
const PORT: u16 = 8017;

/// Apps come from other machines, so they need it.
pub(super) const ACCESS_TOKEN: &str = "open-sesame";

/// A gateway, and the client behind it, on a node of their own.
pub struct SimGateway {
    /// The node.
    pub node: SimNode,
    stage: Stage,
    recipe: Recipe,
    running: Mutex<Option<Running>>,
}

struct Running {
    client: SimClient,
    _serving: AbortOnDropHandle<()>,
}

impl SimGateway {
    pub(super) fn start(stage: &Stage, node: SimNode, recipe: Recipe) -> Self {
        let this = Self { node, stage: stage.clone(), recipe, running: Mutex::default() };
        this.run();
        this
    }

    /// Where apps reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.node.address(PORT)
    }

    /// Whether it has two ways to its host.
    pub(super) const fn is_dual(&self) -> bool {
        self.recipe.ticket.is_some() && self.recipe.account.is_some()
    }

    /// What chooses between its two ways, if it runs and has both.
    #[must_use]
    pub fn router(&self) -> Option<Router> {
        self.running().as_ref()?.client.router().cloned()
    }

    /// Waits until its client is connected to the host, if the gateway runs.
    pub async fn connected(&self) {
        let client = self.running().as_ref().map(|running| running.client.clone());
        if let Some(client) = client {
            client.connected().await;
        }
    }

    /// Ends its process without a word to the host; its system resets the connections of its apps.
    pub fn crash(&self) {
        if let Some(running) = self.running().take() {
            running.client.crash();
        }
    }

    /// Starts it again after a crash.
    pub fn restart(&self) {
        self.node.start();
        self.run();
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let client = SimClient::start(&self.stage, self.node.clone(), self.recipe.clone(), 0, |_| {});
        let config = GatewayConfig {
            profile: Profile::Plain,
            access_token: Some(ACCESS_TOKEN.to_owned()),
            body_idle_timeout: Duration::from_secs(30),
            ..GatewayConfig::default()
        };
        let port = Port::open(&self.node, PORT).expect("the node runs and nobody listens there");
        let gateway = Gateway::on(port, config, client.transport()).expect("there is an access token");
        let serving = AbortOnDropHandle::new(Handle::current().spawn(gateway.run(CancellationToken::new())));
        *self.running() = Some(Running { client, _serving: serving });
    }
}

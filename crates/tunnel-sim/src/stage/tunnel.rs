//! A node with a tunnel server.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use p2p_provider::simulator::SimNode;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tunnel_legacy::{
    TunnelUrl,
    server::{
        Clock, MemoryStorage, Random, Snapshot, Statistics, Storage, TunnelServer, TunnelServerConfig,
        storage::TokenHash,
    },
};

use super::{Stage, tcp::Port};

/// Where hosts and apps connect.
const PORT: u16 = 8004;

/// When simulated days begin, in seconds since 1970.
const MORNING: u64 = 1_762_000_000;

/// A tunnel server on a node of its own. Its accounts survive its process.
pub struct SimTunnelServer {
    /// The node.
    pub node: SimNode,
    config: TunnelServerConfig,
    accounts: Arc<MemoryStorage>,
    running: Mutex<Option<Running>>,
}

struct Running {
    statistics: Statistics,
    _serving: AbortOnDropHandle<()>,
}

/// What a host and its clients need to find each other at a tunnel server.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) address: SocketAddr,
    pub(super) client_id: String,
    pub(super) token: String,
    pub(super) signature: String,
}

impl Account {
    pub(super) fn url(&self) -> TunnelUrl {
        format!("http://{}", self.address).parse().expect("addresses are plain")
    }
}

impl SimTunnelServer {
    pub(super) fn start(stage: &Stage, node: SimNode, change: impl FnOnce(&mut TunnelServerConfig)) -> Self {
        let seed = stage.random(u64::from_be_bytes(std::array::from_fn(|i| node.id().0[i]))).u64(..);
        let clock = Clock::starting_at(MORNING);
        let mut config = TunnelServerConfig::new("open-tunnel", clock).with_random(Random::seeded(seed));
        config.limits.idle_timeout = Duration::from_secs(30);
        change(&mut config);
        let this = Self { node, config, accounts: Arc::default(), running: Mutex::default() };
        this.run();
        this
    }

    /// Opens an account for a host.
    pub(super) async fn account(&self, client_id: &str) -> Account {
        let account = Account {
            address: self.node.address(PORT),
            client_id: client_id.to_owned(),
            token: format!("token-of-{client_id}"),
            signature: format!("signature-of-{client_id}"),
        };
        let (token, signature) = (TokenHash::of(&account.token), TokenHash::of(&account.signature));
        let kept = async {
            self.accounts.add_client_token(client_id, &token).await?;
            self.accounts.add_signature_token(client_id, &signature, u64::MAX, MORNING).await
        };
        kept.await.expect("node names are short");
        account
    }

    /// What it counts, if it runs.
    #[must_use]
    pub fn statistics(&self) -> Option<Snapshot> {
        self.running().as_ref().map(|running| running.statistics.snapshot())
    }

    /// Ends its process without a word; its system resets its connections.
    pub fn crash(&self) {
        self.node.crash();
        self.running().take();
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
        let port = Port::open(&self.node, PORT).expect("the node runs and nobody listens there");
        let server = TunnelServer::on(port, self.config.clone(), Arc::clone(&self.accounts) as _);
        let server = server.expect("the settings are right");
        let statistics = server.statistics();
        let serving = AbortOnDropHandle::new(Handle::current().spawn(server.run(CancellationToken::new())));
        *self.running() = Some(Running { statistics, _serving: serving });
    }
}

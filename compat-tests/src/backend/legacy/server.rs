//! The tunnel server of a case.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tunnel_legacy::TunnelUrl;
use tunnel_legacy::server::{
    Clock, Limits, MemoryStorage, Random, Statistics, Storage, TunnelServer, TunnelServerConfig, storage::TokenHash,
};

use crate::{
    backend::{
        lock, spawn,
        world::{Machine, World},
    },
    patience::PATIENCE,
};

/// Any time at which no token has expired.
const NOW: u64 = 1_750_000_000;

/// How long requests under way may take when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A tunnel server on a machine of its own, which can die and come back with the same accounts. Clones share it.
pub struct Server<W: World>(Arc<Inner<W>>);

struct Inner<W: World> {
    machine: W::Machine,
    storage: Arc<MemoryStorage>,
    clock: Clock,
    random: Random,
    running: Mutex<Option<Running>>,
}

struct Running {
    shutdown: CancellationToken,
    statistics: Statistics,
    serving: AbortOnDropHandle<()>,
}

impl<W: World> Clone for Server<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What a client id has at the server.
#[derive(Clone, Debug)]
pub struct Account {
    /// The client id.
    pub client_id: String,
    /// Its client access token.
    pub token: String,
    /// Its signature token.
    pub signature: String,
}

impl<W: World> Server<W> {
    /// Starts it.
    pub(super) async fn new(world: &W) -> Self {
        let inner = Inner {
            machine: world.machine("tunnel-server"),
            storage: Arc::new(MemoryStorage::default()),
            clock: Clock::starting_at(NOW),
            random: Random::seeded(1),
            running: Mutex::new(None),
        };
        let this = Self(Arc::new(inner));
        this.run().await;
        this
    }

    /// Where hosts and clients find it.
    pub fn address(&self) -> SocketAddr {
        self.0.machine.address()
    }

    /// Makes an account, as `/auth/register-client` and `/auth/signature-token` do.
    pub async fn register(&self, client_id: &str) -> Account {
        let (token, signature) = (format!("token-of-{client_id}"), format!("signature-of-{client_id}"));
        let storage = &self.0.storage;
        let hashes = (TokenHash::of(&token), TokenHash::of(&signature));
        storage.add_client_token(client_id, &hashes.0).await.expect("memory does not fail");
        let expires = NOW + 14 * 24 * 3600;
        storage.add_signature_token(client_id, &hashes.1, expires, NOW).await.expect("memory does not fail");
        Account { client_id: client_id.to_owned(), token, signature }
    }

    /// The counters of the process that runs.
    pub fn statistics(&self) -> Statistics {
        lock(&self.0.running).as_ref().expect("it runs").statistics.clone()
    }

    /// Ends the process without a word.
    pub fn kill(&self) {
        self.0.machine.crash();
        drop(lock(&self.0.running).take());
    }

    /// Ends the process in order.
    pub async fn stop(&self) {
        let Some(running) = lock(&self.0.running).take() else { return };
        running.shutdown.cancel();
        timeout(PATIENCE, running.serving).await.expect("it stops").expect("it does not panic");
        self.0.machine.crash();
    }

    /// Starts it again: same address, same accounts, nothing else.
    pub async fn start(&self) {
        self.0.machine.start();
        self.run().await;
    }

    #[expect(clippy::field_reassign_with_default, reason = "Limits is non-exhaustive: there is no other way")]
    async fn run(&self) {
        let inner = &*self.0;
        let port = inner.machine.listen().await.expect("its port is free");
        // The cases bring as many requests to one host as they like.
        let mut limits = Limits::default();
        limits.requests_per_client_max = 4096;
        limits.ws_per_client_max = 4096;
        limits.drain_timeout = DRAIN_TIMEOUT;
        let config = TunnelServerConfig::new("access-token", inner.clock.clone())
            .with_random(inner.random.clone())
            .with_limits(limits);
        let storage: Arc<dyn Storage> = inner.storage.clone();
        let server = TunnelServer::on(port, config, storage).expect("the settings are right");
        let (shutdown, statistics) = (CancellationToken::new(), server.statistics());
        let serving = spawn(server.run(shutdown.clone()));
        *lock(&inner.running) = Some(Running { shutdown, statistics, serving });
    }
}

/// The address, as clients and hosts want it.
pub(super) fn url(server: SocketAddr) -> TunnelUrl {
    format!("http://{server}").parse().expect("an address")
}

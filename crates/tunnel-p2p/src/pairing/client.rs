//! A client that finds its host by itself.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use p2p_provider::{P2PProvider, PeerId};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{
    Failure, FailureKind, Health, PathDetails, Request, Response, SendError, Transport, WsOpen, WsUpgrade,
};

use super::{KnownHosts, PairError, Refusal, RememberError, StateFileError, pair};
use crate::{Client, ClientConfig, Ticket, task};

/// How often the connection, and a host that may have been forgotten, are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The settings of a [`PairedClient`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PairingConfig {
    /// The settings of the connection.
    pub client: ClientConfig,
    /// The client id under which the tunnel server knows the host.
    pub client_id: String,
    /// The tunnel server, as it is to stand in the file of known hosts.
    pub tunnel: String,
    /// What the host's owner is to see in the list of peers. Default: nothing.
    pub name: Option<String>,
    /// The pause after a failed attempt to pair: doubles from `retry_min` to `retry_max`. Default 1 s to 1 min.
    pub retry_min: Duration,
    /// See [`retry_min`](Self::retry_min).
    pub retry_max: Duration,
    /// How long a paired host may be out of reach before the tunnel server is asked for its addresses: doubles from
    /// `refresh_min` to `refresh_max` while they do not help. Default 30 s to 10 min. After the start, when all that is
    /// known may be old, it is `retry_min`.
    pub refresh_min: Duration,
    /// See [`refresh_min`](Self::refresh_min).
    pub refresh_max: Duration,
}

impl PairingConfig {
    /// The defaults, for the host of this client id at this tunnel server.
    pub fn new(client_id: impl Into<String>, tunnel: impl Into<String>) -> Self {
        Self {
            client: ClientConfig::default(),
            client_id: client_id.into(),
            tunnel: tunnel.into(),
            name: None,
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_mins(1),
            refresh_min: Duration::from_secs(30),
            refresh_max: Duration::from_mins(10),
        }
    }
}

/// A [`Client`] that pairs with its host through a tunnel server when it does not know it, and asks there for fresh
/// addresses when it does not reach it. While it cannot pair it is [`Health::Down`] and says why; requests never wait for it.
///
/// A host whose key is another than the one in [`KnownHosts`] is not used; the health says what to do, and what a person
/// changes in that file is noticed. Clones share everything; the last one to go closes the connection.
///
/// ```
/// use std::sync::Arc;
///
/// use p2p_provider::iroh::{IrohConfig, IrohP2P};
/// use tunnel_core::Transport;
/// use tunnel_p2p::pairing::{KnownHosts, PairedClient, PairingConfig};
///
/// /// `key` is kept: the host lets it in. `tunnel` is a `tunnel_legacy::LegacyClient`, say.
/// # async fn start(
/// #     key: p2p_provider::SecretKey,
/// #     tunnel: Arc<dyn Transport>,
/// #     state: &std::path::Path,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let provider = IrohP2P::bind(IrohConfig::new(key)).await?;
/// let hosts = Arc::new(KnownHosts::new(state.join("hosts")));
/// let config = PairingConfig::new("home", "https://tunnel.example.org");
/// let p2p = PairedClient::start(provider, hosts, tunnel, config);
/// # let _: PairedClient<IrohP2P> = p2p;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PairedClient<P: P2PProvider> {
    shared: Arc<Shared<P>>,
    _task: Arc<AbortOnDropHandle<()>>,
}

struct Shared<P: P2PProvider> {
    provider: P,
    hosts: Arc<KnownHosts>,
    tunnel: Arc<dyn Transport>,
    config: PairingConfig,
    now: Mutex<Now<P>>,
}

/// Where the client stands.
struct Now<P: P2PProvider> {
    /// There is one once the host is known.
    current: Option<(Ticket, Client<P>)>,
    /// Why there is none, or why the one that there is will not do.
    trouble: Option<Failure>,
    closed: bool,
}

/// An attempt to pair has not come to a ticket.
#[derive(Debug, thiserror::Error)]
enum Unpaired {
    #[error(transparent)]
    Ask(#[from] PairError),
    #[error(transparent)]
    Remember(#[from] RememberError),
}

impl<P: P2PProvider> PairedClient<P> {
    /// Starts in the background, on the current tokio runtime: with the host that `hosts` knows, or by asking for it through
    /// `tunnel`.
    #[must_use]
    pub fn start(provider: P, hosts: Arc<KnownHosts>, tunnel: Arc<dyn Transport>, config: PairingConfig) -> Self {
        let now = Now { current: None, trouble: None, closed: false };
        let shared = Arc::new(Shared { provider, hosts, tunnel, config, now: Mutex::new(now) });
        let task = task::spawn(run(Arc::clone(&shared)));
        Self { shared, _task: Arc::new(task) }
    }

    /// The host, once this client is paired with it.
    #[must_use]
    pub fn host(&self) -> Option<PeerId> {
        self.shared.lock().current.as_ref().map(|(ticket, _)| ticket.host.id)
    }

    /// Closes the connection, and pairs no more. Idempotent.
    pub fn close(&self) {
        let mut now = self.shared.lock();
        now.closed = true;
        if let Some((_, client)) = &now.current {
            client.close();
        }
    }
}

impl<P: P2PProvider> Shared<P> {
    fn lock(&self) -> MutexGuard<'_, Now<P>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client, or why there is none.
    fn client(&self) -> Result<Client<P>, Failure> {
        let now = self.lock();
        match &now.current {
            Some((_, client)) => Ok(client.clone()),
            None => Err(now.trouble.clone().unwrap_or_else(|| self.not_paired("it has not answered yet"))),
        }
    }

    fn not_paired(&self, why: impl fmt::Display) -> Failure {
        let client_id = &self.config.client_id;
        Failure::new(FailureKind::Unreachable, format!("not paired with the host of {client_id:?} yet: {why}"))
    }

    /// Connects by this ticket from now on. Requests under way on an older connection end with it.
    fn set(&self, ticket: Ticket) {
        let client = Client::start(self.provider.clone(), ticket.clone(), self.config.client.clone());
        let mut now = self.lock();
        if now.closed {
            return;
        }
        now.trouble = None;
        now.current = Some((ticket, client));
    }

    /// Keeps a failure to show, unless the connection works all the same.
    fn note(&self, unpaired: &Unpaired) {
        let mut now = self.lock();
        match unpaired {
            Unpaired::Remember(error @ RememberError::Changed { .. }) => {
                let failure = Failure::new(FailureKind::Unauthorized, error.to_string());
                if now.trouble.as_ref() != Some(&failure) {
                    tracing::error!("{failure}");
                }
                now.trouble = Some(failure);
            }
            // The connection's own failure says more.
            other if now.current.is_some() => tracing::info!("no fresh addresses of the host: {other}"),
            Unpaired::Ask(error @ PairError::Refused { refusal: Refusal::Revoked, .. }) => {
                now.trouble = Some(Failure::new(FailureKind::Unauthorized, self.not_paired(error).to_string()));
            }
            other => now.trouble = Some(self.not_paired(other)),
        }
    }

    /// The ticket of the host that is known. A file that cannot be used is as good as none: the host is asked.
    async fn known(&self) -> Result<Option<Ticket>, StateFileError> {
        let (hosts, config) = (Arc::clone(&self.hosts), self.config.clone());
        let found = spawn_blocking(move || hosts.find(&config.client_id, &config.tunnel)).await;
        // Only a runtime that ends has no answer, and then nobody asks.
        Ok(found.unwrap_or(Ok(None))?.map(|host| host.ticket))
    }

    /// Asks the host to let this key in, and checks that it is the host that is known.
    async fn pair(&self) -> Result<Ticket, Unpaired> {
        let config = &self.config;
        let peer = self.provider.local_peer_id();
        let ticket = pair(&*self.tunnel, &config.client_id, peer, config.name.as_deref()).await?;
        let (hosts, config, kept) = (Arc::clone(&self.hosts), config.clone(), ticket.clone());
        let remembered =
            spawn_blocking(move || hosts.remember(&config.client_id, &config.tunnel, &kept)).await.unwrap_or(Ok(()));
        remembered?;
        Ok(ticket)
    }
}

async fn run<P: P2PProvider>(shared: Arc<Shared<P>>) {
    loop {
        // Addresses from a file may be old: after the first attempt the host is asked for those of now.
        let (ticket, patience) = match shared.known().await {
            Ok(Some(ticket)) => (ticket, shared.config.retry_min),
            Ok(None) => (first(&shared).await, shared.config.refresh_min),
            Err(error) => {
                // Without it nobody knows which key the host had.
                shared.lock().trouble = Some(shared.not_paired(&error));
                sleep(LOOK_INTERVAL).await;
                continue;
            }
        };
        shared.set(ticket);
        tend(&shared, patience).await;
        shared.lock().current = None;
    }
}

/// Pairs with a host that is not known.
async fn first<P: P2PProvider>(shared: &Shared<P>) -> Ticket {
    let mut pause = shared.config.retry_min;
    loop {
        match shared.pair().await {
            Ok(ticket) => {
                tracing::info!(host = %ticket.host.id.short(), "paired through the tunnel server");
                return ticket;
            }
            Err(unpaired) => {
                tracing::debug!("not paired: {unpaired}");
                shared.note(&unpaired);
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(shared.config.retry_max);
    }
}

/// Keeps the addresses of a paired host fresh. Ends when the host has turned into another one and a person has agreed.
async fn tend<P: P2PProvider>(shared: &Shared<P>, mut patience: Duration) {
    let mut away_since = None;
    let mut changed = false;
    loop {
        sleep(LOOK_INTERVAL.min(patience)).await;
        if changed && matches!(shared.known().await, Ok(None)) {
            return;
        }
        let healthy = shared.client().is_ok_and(|client| matches!(client.health(), Health::Healthy { .. }));
        if healthy {
            (patience, away_since, changed) = (shared.config.refresh_min, None, false);
            shared.lock().trouble = None;
            continue;
        }
        if away_since.get_or_insert_with(Instant::now).elapsed() < patience {
            continue;
        }
        match shared.pair().await {
            Ok(ticket) => {
                changed = false;
                let same = shared.lock().current.as_ref().is_some_and(|(known, _)| *known == ticket);
                if same {
                    shared.lock().trouble = None;
                } else {
                    tracing::info!("the host has other addresses than before");
                    shared.set(ticket);
                }
            }
            Err(unpaired) => {
                changed = matches!(&unpaired, Unpaired::Remember(RememberError::Changed { .. }));
                shared.note(&unpaired);
            }
        }
        patience = (patience * 2).clamp(shared.config.refresh_min, shared.config.refresh_max);
        away_since = None;
    }
}

#[async_trait]
impl<P: P2PProvider> Transport for PairedClient<P> {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        match self.shared.client() {
            Ok(client) => client.send(request).await,
            Err(failure) => Err(SendError::undelivered(failure, request)),
        }
    }

    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        self.shared.client()?.open_ws(open).await
    }

    fn health(&self) -> Health {
        let now = self.shared.lock();
        let connection = now.current.as_ref().map(|(_, client)| client.health());
        match (connection, &now.trouble) {
            (None | Some(Health::Down(_)), Some(trouble)) => Health::Down(trouble.clone()),
            (Some(health), _) => health,
            // The first answer is on its way.
            (None, None) => Health::Probing,
        }
    }

    fn path(&self) -> Option<PathDetails> {
        self.shared.client().ok()?.path()
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.shared.client()?.probe().await
    }
}

impl<P: P2PProvider> fmt::Debug for PairedClient<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairedClient").field("client_id", &self.shared.config.client_id).finish_non_exhaustive()
    }
}

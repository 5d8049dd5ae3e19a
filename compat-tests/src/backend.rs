//! What a backend is.

mod any;
pub mod differences;
pub mod dual;
pub mod facade;
pub mod iroh;
pub mod legacy;
pub mod p2p;
pub mod simulator;
pub mod world;

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use p2p_provider::{P2PProvider, PeerAddr, PeerId};
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{Failure, Handler, Transport, Via};

pub use self::any::AnyBackend;

/// A way to carry requests from clients to hosts. The value is one run of one case; it owns whatever the case starts.
pub trait Backend: Clone + Send + Sync + 'static {
    /// A host that runs.
    type Host: RunningHost;
    /// A client of one host.
    type Client: RunningClient;

    /// How responses say that they travelled.
    fn via(&self) -> Via;

    /// Starts a host, as a process of its own, in front of `handler`.
    fn host(&self, handler: Arc<dyn Handler>, settings: HostSettings) -> impl Future<Output = Self::Host> + Send;

    /// Starts a host again whose process has ended: same identity, same address, same settings.
    fn revive(
        &self,
        dead: <Self::Host as RunningHost>::Dead,
        handler: Arc<dyn Handler>,
    ) -> impl Future<Output = Self::Host> + Send;

    /// Starts a client of `host`, as a process of its own. It connects in the background.
    fn client(&self, host: &Self::Host, settings: ClientSettings) -> impl Future<Output = Self::Client> + Send;
}

/// A backend that can be had from nothing.
pub trait Run: Backend {
    /// Runs a case to its end, on a runtime of the backend's choice, and panics if the case does.
    fn run<F, Fut>(name: &str, case: F)
    where
        F: Fn(Self) -> Fut,
        Fut: Future<Output = ()>;
}

/// A host, as seen from outside of its process. Cases end it by a method; what dropping it does is not specified.
pub trait RunningHost: Send + Sync + 'static {
    /// What is left of a host whose process has ended: its identity, its address and its settings.
    type Dead: Send + 'static;

    /// Takes no new requests, lets those in flight end within `grace`, then stops. Whether all of them ended.
    fn drain(self, grace: Duration) -> impl Future<Output = (bool, Self::Dead)> + Send;

    /// Ends the process in order: connections are closed, clients are told.
    fn stop(self) -> impl Future<Output = Self::Dead> + Send;

    /// Ends the process without a word, as SIGKILL does. What its handler holds is dropped.
    fn kill(self) -> impl Future<Output = Self::Dead> + Send;
}

/// A client, as seen by the case. Cases end it by a method; what dropping it does is not specified.
pub trait RunningClient: Send + Sync + 'static {
    /// The way to the host.
    fn transport(&self) -> Arc<dyn Transport>;

    /// Waits until the way to the host is open, large bodies included, or until an attempt has failed.
    fn connected(&self) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Closes the client: requests under way fail, later ones fail at once. The process goes on.
    fn close(&self);

    /// Ends the process without a word. A request under way may then hang for ever.
    fn kill(self) -> impl Future<Output = ()> + Send;
}

/// The settings of a host that cases change. The defaults are those of the product.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// The client id that it serves.
    pub client_id: Option<String>,
    /// Requests in flight per client.
    pub max_requests: u32,
    /// WebSockets open per client.
    pub max_websockets: u32,
    /// The longest wait for the next byte of a request body.
    pub body_idle_timeout: Duration,
    /// The largest WebSocket message, in bytes.
    pub ws_message_bytes_max: u32,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            client_id: None,
            max_requests: 1024,
            max_websockets: 256,
            body_idle_timeout: Duration::from_hours(1),
            ws_message_bytes_max: 16 << 20,
        }
    }
}

/// The settings of a client that cases change. The defaults are those of the product.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The client id that it asks for.
    pub client_id: Option<String>,
    /// Whether it presents the credential that the host wants.
    pub credential: Credential,
    /// The longest wait for the head of a response.
    pub head_timeout: Duration,
    /// The longest wait for the next byte of a response body.
    pub body_idle_timeout: Duration,
    /// Requests in flight at once.
    pub max_requests: u32,
    /// WebSockets open at once.
    pub max_websockets: u32,
    /// How long a request waits for a free place.
    pub queue_timeout: Duration,
    /// The largest WebSocket message, in bytes.
    pub ws_message_bytes_max: u32,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            client_id: None,
            credential: Credential::Right,
            head_timeout: Duration::from_secs(75),
            body_idle_timeout: Duration::from_hours(1),
            max_requests: 1024,
            max_websockets: 256,
            queue_timeout: Duration::from_secs(10),
            ws_message_bytes_max: 16 << 20,
        }
    }
}

/// What a client presents to its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// What the host gave out.
    Right,
    /// Something else.
    Wrong,
}

/// A backend of [`p2p_provider`], for cases about peers rather than tunnels. [`p2p`] makes its hosts and clients.
pub trait PeerBackend: Backend {
    /// A peer.
    type Provider: P2PProvider;

    /// Starts a peer that others can reach at its `local_addr`, as a process of its own.
    fn peer(&self) -> impl Future<Output = Self::Provider> + Send;

    /// The address of a peer that never answers.
    fn dead_peer(&self) -> impl Future<Output = PeerAddr> + Send;

    /// Ends the process of a peer without a word, or after it has been closed.
    fn kill_peer(&self, peer: Self::Provider) -> impl Future<Output = ()> + Send;

    /// Makes the process of a peer stand still, as SIGSTOP does: its address stays taken, and nobody answers there.
    fn freeze_peer(&self, peer: &Self::Provider) -> impl Future<Output = ()> + Send;

    /// Lets the process of a peer go on that was [frozen](Self::freeze_peer).
    fn thaw_peer(&self, peer: &Self::Provider) -> impl Future<Output = ()> + Send;

    /// Starts a peer again that was [killed](Self::kill_peer): same key, same address.
    fn revive_peer(&self, peer: PeerId) -> impl Future<Output = Self::Provider> + Send;
}

/// Spawns a task that ends with its handle.
pub(crate) fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::runtime::Handle::current().spawn(future))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

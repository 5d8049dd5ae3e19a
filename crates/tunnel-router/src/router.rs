//! The router: decides and acts.

mod background;
mod body;
mod compare;
mod exchange;
mod explain;
mod failures;
mod heads;
mod probe;
mod record;
mod request;
mod shared;
mod splice;
mod status;
mod task;
mod upload;
mod watchdog;
mod websocket;

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{
    Failure, Health, PathDetails, Request, Response, SendError, Transport, TransportKind, WsOpen, WsUpgrade,
};

use self::{exchange::Exchange, shared::Shared};
pub use self::{
    explain::{Explanation, Question},
    status::{P2pStatus, Status, TransportStatus},
};
pub(crate) use self::{request::Again, shared::lock};
use crate::{ConfigError, Decision, Mismatch, Mode, RouterConfig};

/// Sends each request over p2p or legacy. Clones share everything.
#[derive(Clone)]
pub struct Router {
    shared: Arc<Shared>,
    _background: Arc<AbortOnDropHandle<()>>,
}

impl Router {
    /// Starts to watch the health of p2p, in the background, on the current tokio runtime, until the last clone is dropped.
    pub fn start(
        p2p: Option<Arc<dyn Transport>>,
        legacy: Option<Arc<dyn Transport>>,
        config: RouterConfig,
    ) -> Result<Self, ConfigError> {
        let (jobs, waiting) = tokio::sync::mpsc::channel(compare::WAITING_MAX);
        let shared = Shared::new(p2p, legacy, config, jobs)?;
        let background = task::spawn(background::run(Arc::clone(&shared), waiting));
        Ok(Self { shared, _background: Arc::new(background) })
    }

    /// Takes new settings, from the next request on. Requests under way end under the old ones. On an error the old
    /// settings stay. The kill switch and the override stay as they are.
    pub fn reload(&self, config: RouterConfig) -> Result<(), ConfigError> {
        self.shared.reload(config)
    }

    /// While it is on, new requests go over legacy only, whatever else is configured. Without a legacy transport it has no
    /// effect. Requests under way end where they are.
    pub fn kill_switch(&self, on: bool) {
        self.shared.set_kill_switch(on);
    }

    /// The mode of all new requests; `None`: as configured. Not remembered beyond this process.
    pub fn set_mode(&self, mode: Option<Mode>) {
        self.shared.force_mode(mode);
    }

    /// The network of this machine has changed: probes p2p now and begins the pauses between probes anew.
    pub fn network_changed(&self) {
        self.shared.network_changed();
    }

    /// How a request would go now, and why. Sends nothing.
    #[must_use]
    pub fn explain(&self, question: &Question) -> Explanation {
        explain::explain(&self.shared, question)
    }

    /// The state of the router.
    #[must_use]
    pub fn status(&self) -> Status {
        status::status(&self.shared)
    }

    /// The last 256 decisions, newest first.
    #[must_use]
    pub fn decisions(&self) -> Vec<Decision> {
        self.shared.decisions.newest_first(self.shared.now())
    }

    /// The last 32 comparisons that found a difference, newest first.
    #[must_use]
    pub fn mismatches(&self) -> Vec<Mismatch> {
        self.shared.mismatches.newest_first()
    }
}

#[async_trait]
impl Transport for Router {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        Exchange::begin(&self.shared, &request).send(request).await
    }

    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        Exchange::begin_ws(&self.shared, &open).open(open).await
    }

    /// Healthy if either transport works; the path is that of the one that a request would take.
    fn health(&self) -> Health {
        status::health(&self.shared)
    }

    /// That of p2p, whichever transport a request would take.
    fn path(&self) -> Option<PathDetails> {
        self.shared.transport(TransportKind::P2p)?.path()
    }

    fn can_carry(&self, request: &Request) -> Result<(), Failure> {
        explain::can_carry(&self.shared, request)
    }

    fn can_carry_ws(&self, open: &WsOpen) -> Result<(), Failure> {
        explain::can_carry_ws(&self.shared, open)
    }

    /// The limit of the only transport; none if p2p is among them, for p2p streams.
    fn body_bytes_max(&self) -> Option<usize> {
        self.shared.all().map(|(_, transport)| transport.body_bytes_max()).reduce(|a, b| Some(a?.max(b?)))?
    }

    /// Whether either transport works. Probes p2p first, and legacy if that fails.
    async fn probe(&self) -> Result<(), Failure> {
        probe::either(&self.shared).await
    }
}

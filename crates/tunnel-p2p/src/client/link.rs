//! One connection to the host, as long as it lasts.

use std::sync::Arc;

use p2p_provider::P2PConnection;
use tokio::sync::{Semaphore, SetOnce};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tunnel_core::Failure;

use crate::{
    ClientConfig, failure,
    session::Session,
    wire::{
        control::{self, Welcome},
        frame::FrameType,
    },
};

/// A connection to the host and the places on it.
pub(crate) struct Link<C: P2PConnection> {
    pub(super) session: Arc<Session<C>>,
    pub(super) requests: Arc<Semaphore>,
    pub(super) websockets: Arc<Semaphore>,
    /// Everything in flight holds a token of it.
    pub(super) in_flight: TaskTracker,
    /// The host wants no new requests here.
    pub(super) draining: CancellationToken,
    /// The host's client id, once it has authorized us.
    client_id: SetOnce<Option<String>>,
}

impl<C: P2PConnection> Link<C> {
    pub(super) fn new(session: Arc<Session<C>>, config: &ClientConfig) -> Arc<Self> {
        Arc::new(Self {
            session,
            requests: Arc::new(Semaphore::new(config.max_requests as usize)),
            websockets: Arc::new(Semaphore::new(config.max_websockets as usize)),
            in_flight: TaskTracker::new(),
            draining: CancellationToken::new(),
            client_id: SetOnce::new(),
        })
    }

    /// Whether new requests may go here.
    pub(super) fn is_open(&self) -> bool {
        !self.draining.is_cancelled() && self.session.main.connection.close_reason().is_none()
    }

    /// The host's client id, once it has authorized this client.
    pub(super) fn client_id(&self) -> Option<&Option<String>> {
        self.client_id.get()
    }

    /// Waits until the host has authorized this client. Cancel safe.
    pub(super) async fn welcomed(&self) {
        self.client_id.wait().await;
    }

    /// Takes the payload of a `WELCOME`.
    pub(super) fn set_welcome(&self, payload: &[u8], config: &ClientConfig) -> Result<(), Failure> {
        let welcome: Welcome<'_> =
            control::parse(FrameType::Welcome, payload).map_err(|error| failure::wire(&error))?;
        if self.client_id.set(welcome.client_id.map(str::to_owned)).is_ok() {
            // The host's limits count where they are lower. Permits in use stay; QUIC's stream limit holds for them.
            self.requests.forget_permits(config.max_requests.saturating_sub(welcome.max_requests) as usize);
            self.websockets.forget_permits(config.max_websockets.saturating_sub(welcome.max_websockets) as usize);
            tracing::debug!(minor = welcome.minor, software = welcome.software, "authorized by the host");
        }
        Ok(())
    }

    /// Waits until nothing is in flight. No new request may start.
    pub(super) async fn idle(&self) {
        self.in_flight.close();
        self.in_flight.wait().await;
    }
}

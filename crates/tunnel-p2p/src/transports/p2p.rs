//! The peer-to-peer way.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture};
use p2p_provider::{P2PError, P2PProvider};
use tokio::sync::Mutex;
use tunnel_core::{Failure, FailureKind, Handler};

use super::way::{OpenWay, Way, WayState};
use crate::{Host, HostConfig, Ticket};

type Bind<P> = dyn Fn() -> BoxFuture<'static, Result<P, P2PError>> + Send + Sync;

/// The peer stays bound while requests of an earlier opening are still under way, so that the next one has its port.
pub(super) struct P2pWay<P> {
    bind: Box<Bind<P>>,
    host: HostConfig,
    peer: Mutex<Option<P>>,
}

impl<P: P2PProvider> P2pWay<P> {
    pub(super) fn new<F>(bind: impl Fn() -> F + Send + Sync + 'static, host: HostConfig) -> Self
    where
        F: Future<Output = Result<P, P2PError>> + Send + 'static,
    {
        Self { bind: Box::new(move || bind().boxed()), host, peer: Mutex::new(None) }
    }
}

#[async_trait]
impl<P: P2PProvider> Way for P2pWay<P> {
    async fn open(&self, handler: Arc<dyn Handler>) -> Result<Box<dyn OpenWay>, Failure> {
        let failed = |error: P2PError| Failure::new(FailureKind::Unreachable, error.to_string());
        let mut bound = self.peer.lock().await;
        let peer = match &*bound {
            Some(peer) => peer.clone(),
            None => bound.insert((self.bind)().await.map_err(failed)?).clone(),
        };
        let host = Host::start(peer, handler, self.host.clone()).await.map_err(failed)?;
        Ok(Box::new(OpenP2p(host)))
    }

    async fn release(&self) {
        if let Some(peer) = self.peer.lock().await.take() {
            peer.close().await;
        }
    }
}

struct OpenP2p<P: P2PProvider>(Host<P>);

#[async_trait]
impl<P: P2PProvider> OpenWay for OpenP2p<P> {
    fn state(&self) -> WayState {
        WayState::Open
    }

    async fn changed_from(&self, _seen: &WayState) {
        std::future::pending::<()>().await;
    }

    fn ticket(&self) -> Option<Ticket> {
        Some(self.0.ticket())
    }

    async fn drain(self: Box<Self>, grace: Duration) -> bool {
        self.0.drain(grace).await
    }
}

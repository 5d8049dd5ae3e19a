//! A host on both transports.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;
use tunnel_core::Handler;
use tunnel_p2p::Ticket;

use crate::backend::{
    Backend, HostSettings, PeerBackend, RunningHost,
    legacy::{Account, DeadLegacyHost, LegacyBackend, LegacyRunningHost},
    p2p::{DeadHost, P2pHost},
    world::World,
};

/// One host, of which the way by p2p can be taken away and given back.
pub struct DualHost<W: World> {
    peers: W::Peers,
    legacy: LegacyRunningHost<W>,
    p2p: Mutex<P2p<W::Peers>>,
    /// What p2p is revived with.
    handler: Arc<dyn Handler>,
    ticket: Ticket,
}

enum P2p<B: PeerBackend> {
    Up(P2pHost<B>),
    /// Standing still.
    Frozen(P2pHost<B>),
    Down(DeadHost),
    /// While it changes.
    Moving,
}

/// What is left of a [`DualHost`].
pub struct DeadDualHost<W: World> {
    legacy: DeadLegacyHost<W>,
    p2p: DeadHost,
    ticket: Ticket,
}

impl<W: World> DualHost<W> {
    pub(super) async fn start(
        peers: &W::Peers,
        legacy: &LegacyBackend<W>,
        [p2p_handler, legacy_handler]: [Arc<dyn Handler>; 2],
        settings: HostSettings,
    ) -> Self {
        let legacy = legacy.host(legacy_handler, settings.clone()).await;
        let p2p = P2pHost::start(peers, Arc::clone(&p2p_handler), settings).await;
        let ticket = p2p.ticket();
        Self { peers: peers.clone(), legacy, p2p: Mutex::new(P2p::Up(p2p)), handler: p2p_handler, ticket }
    }

    pub(super) async fn revive(
        peers: &W::Peers,
        legacy: &LegacyBackend<W>,
        dead: DeadDualHost<W>,
        handler: Arc<dyn Handler>,
        p2p_too: bool,
    ) -> Self {
        let legacy = legacy.revive(dead.legacy, Arc::clone(&handler)).await;
        let p2p = if p2p_too {
            P2p::Up(P2pHost::revive(peers, dead.p2p, Arc::clone(&handler)).await)
        } else {
            P2p::Down(dead.p2p)
        };
        Self { peers: peers.clone(), legacy, p2p: Mutex::new(p2p), handler, ticket: dead.ticket }
    }

    /// What clients need to reach it over p2p.
    pub(super) fn ticket(&self) -> Ticket {
        self.ticket.clone()
    }

    /// What clients need to reach it through the tunnel server.
    pub(super) fn account(&self) -> &Account {
        self.legacy.account()
    }

    /// The way by p2p is closed, and clients are told.
    pub async fn cut_p2p(&self) {
        let mut p2p = self.p2p.lock().await;
        if let P2p::Up(host) = std::mem::replace(&mut *p2p, P2p::Moving) {
            *p2p = P2p::Down(host.stop().await);
        } else {
            panic!("p2p is up");
        }
    }

    /// The way by p2p stands still, and nobody is told.
    pub async fn stall_p2p(&self) {
        let mut p2p = self.p2p.lock().await;
        if let P2p::Up(host) = std::mem::replace(&mut *p2p, P2p::Moving) {
            host.freeze().await;
            *p2p = P2p::Frozen(host);
        } else {
            panic!("p2p is up");
        }
    }

    /// The way by p2p works again.
    pub async fn heal_p2p(&self) {
        let mut p2p = self.p2p.lock().await;
        *p2p = match std::mem::replace(&mut *p2p, P2p::Moving) {
            P2p::Down(dead) => P2p::Up(P2pHost::revive(&self.peers, dead, Arc::clone(&self.handler)).await),
            P2p::Frozen(host) => {
                host.thaw().await;
                P2p::Up(host)
            }
            _ => panic!("p2p was cut or stalled"),
        };
    }
}

impl<W: World> RunningHost for DualHost<W> {
    type Dead = DeadDualHost<W>;

    async fn drain(self, grace: Duration) -> (bool, DeadDualHost<W>) {
        let ((p2p_ended, p2p), (legacy_ended, legacy)) =
            tokio::join!(self.p2p.into_inner().drain(grace), self.legacy.drain(grace));
        (p2p_ended && legacy_ended, DeadDualHost { legacy, p2p, ticket: self.ticket })
    }

    async fn stop(self) -> DeadDualHost<W> {
        let (p2p, legacy) = tokio::join!(self.p2p.into_inner().stop(), self.legacy.stop());
        DeadDualHost { legacy, p2p, ticket: self.ticket }
    }

    async fn kill(self) -> DeadDualHost<W> {
        let (p2p, legacy) = tokio::join!(self.p2p.into_inner().kill(), self.legacy.kill());
        DeadDualHost { legacy, p2p, ticket: self.ticket }
    }
}

impl<B: PeerBackend> P2p<B> {
    async fn drain(self, grace: Duration) -> (bool, DeadHost) {
        match self {
            Self::Up(host) => host.drain(grace).await,
            other => (true, other.kill().await),
        }
    }

    async fn stop(self) -> DeadHost {
        match self {
            Self::Up(host) => host.stop().await,
            other => other.kill().await,
        }
    }

    async fn kill(self) -> DeadHost {
        match self {
            Self::Up(host) | Self::Frozen(host) => host.kill().await,
            Self::Down(dead) => dead,
            Self::Moving => panic!("nobody ends a host that is moving"),
        }
    }
}

//! One way into a server.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use tunnel_core::{Failure, Handler};

use crate::Ticket;

/// The ways that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WayKind {
    /// Through the tunnel server.
    Tunnel,
    /// Peer to peer.
    P2p,
}

impl WayKind {
    pub(super) const ALL: [Self; 2] = [Self::Tunnel, Self::P2p];

    pub(super) const fn feature(self) -> &'static str {
        match self {
            Self::Tunnel => "legacy",
            Self::P2p => "iroh",
        }
    }

    pub(super) const fn is_compiled(self) -> bool {
        match self {
            Self::Tunnel => cfg!(feature = "legacy"),
            Self::P2p => cfg!(feature = "iroh"),
        }
    }

    pub(super) const fn fix(self) -> &'static str {
        match self {
            Self::Tunnel => "add TransportsConfig::with_tunnel",
            Self::P2p => "add TransportsConfig::with_p2p",
        }
    }
}

impl fmt::Display for WayKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tunnel => "the way through the tunnel server",
            Self::P2p => "the peer-to-peer way",
        })
    }
}

/// How a way is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WayState {
    /// It takes no new requests.
    Closed,
    /// It is being opened.
    Opening,
    /// It takes requests.
    Open,
    /// It does not work; it is tried again.
    Down(Failure),
}

/// A way that can be opened, again and again.
#[async_trait]
pub(super) trait Way: Send + Sync {
    /// Opens it, for this handler.
    async fn open(&self, handler: Arc<dyn Handler>) -> Result<Box<dyn OpenWay>, Failure>;

    /// Lets go of what stays between two openings.
    async fn release(&self);
}

/// A way that is open. Dropping it cuts what is under way.
#[async_trait]
pub(super) trait OpenWay: Send + Sync {
    fn state(&self) -> WayState;

    /// Waits until the state is another than the one that was seen. Cancel safe.
    async fn changed_from(&self, seen: &WayState);

    fn ticket(&self) -> Option<Ticket> {
        None
    }

    /// Takes no new requests, and closes when those under way have ended, within `grace`. Whether they have.
    async fn drain(self: Box<Self>, grace: Duration) -> bool;
}

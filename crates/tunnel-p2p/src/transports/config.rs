//! The settings of both ways.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

#[cfg(feature = "iroh")]
use p2p_provider::iroh::{IrohConfig, IrohP2P};
use p2p_provider::{P2PError, P2PProvider};

use super::{ParseModeError, TRANSPORT_VARIABLE, TransportMode, WayKind, p2p::P2pWay, way::Way};
use crate::{HostConfig, pairing::AuthorizedPeers, sender::SenderConfig};

/// The settings of [`TunnelTransports`](super::TunnelTransports); start from [`TransportsConfig::new`].
#[non_exhaustive]
pub struct TransportsConfig {
    /// The mode at the start.
    pub mode: TransportMode,
    /// What the loop is promised, and promises.
    pub sender: SenderConfig,
    /// From p2p to the tunnel, the peers stay until the tunnel server is connected, but not for longer than this: an
    /// operator who wants p2p off gets it off. Default: 10 s.
    pub handover_timeout: Duration,
    /// From the tunnel to p2p, the tunnel stays for so long after p2p is open, so that clients find the host there before
    /// they lose it here. Default: 90 s, more than the minute after which a client at the latest tries p2p again.
    pub settle: Duration,
    /// How long requests of a way that is left may take to end. Default: 10 min.
    pub drain_timeout: Duration,
    /// Who may come in, to whom the tunnel may add, and the client id.
    pub(super) pairing: Option<(Arc<AuthorizedPeers>, Option<String>)>,
    pub(super) ways: BTreeMap<WayKind, Arc<dyn Way>>,
}

impl TransportsConfig {
    /// The defaults, with no way yet.
    #[must_use]
    pub const fn new(mode: TransportMode) -> Self {
        Self {
            mode,
            sender: SenderConfig { exact: false, seed: None },
            handover_timeout: Duration::from_secs(10),
            settle: Duration::from_secs(90),
            drain_timeout: Duration::from_mins(10),
            pairing: None,
            ways: BTreeMap::new(),
        }
    }

    /// The way through a tunnel server.
    #[cfg(feature = "legacy")]
    #[must_use]
    pub fn with_tunnel(mut self, config: tunnel_legacy::LegacyHostConfig) -> Self {
        self.ways.insert(WayKind::Tunnel, Arc::new(super::legacy::LegacyWay::new(config)));
        self
    }

    /// The way through a tunnel server, with the arguments of upstream's `TunnelSender::new`: its address, as in
    /// `https://tunnel.example`, that of its WebSocket, and the account.
    #[cfg(feature = "legacy")]
    pub fn with_upstream_tunnel(
        self,
        host: &str,
        url: &str,
        client_id: &str,
        access_token: &str,
    ) -> Result<Self, TransportsError> {
        Ok(self.with_tunnel(super::legacy::upstream(host, url, client_id, access_token)?))
    }

    /// The peer-to-peer way. If the host has a list of [peers](HostConfig::peers), clients may pair through the tunnel
    /// server (`spec/pairing.md`).
    #[cfg(feature = "iroh")]
    #[must_use]
    pub fn with_p2p(self, peer: IrohConfig, host: HostConfig) -> Self {
        self.with_p2p_provider(move || IrohP2P::bind(peer.clone()), host)
    }

    /// The peer-to-peer way, over peers of any kind. `bind` is called whenever the way is opened and nothing of it is left.
    #[must_use]
    pub fn with_p2p_provider<P, F>(mut self, bind: impl Fn() -> F + Send + Sync + 'static, host: HostConfig) -> Self
    where
        P: P2PProvider,
        F: Future<Output = Result<P, P2PError>> + Send + 'static,
    {
        self.pairing = host.peers.clone().map(|peers| (peers, host.client_id.clone()));
        self.ways.insert(WayKind::P2p, Arc::new(P2pWay::new(bind, host)));
        self
    }

    /// Answers no questions of pairing through the tunnel; who is in the list of peers stays.
    #[must_use]
    pub fn without_pairing(mut self) -> Self {
        self.pairing = None;
        self
    }

    /// Takes the mode from the environment variable [`MOOSICBOX_TRANSPORT`](TRANSPORT_VARIABLE) if it is set and not empty.
    /// The library never reads the environment by itself: pass `|name| std::env::var(name).ok()`.
    pub fn with_variables(mut self, variable: impl Fn(&str) -> Option<String>) -> Result<Self, TransportsError> {
        if let Some(text) = variable(TRANSPORT_VARIABLE).filter(|text| !text.trim().is_empty()) {
            self.mode = text.parse().map_err(TransportsError::Variable)?;
        }
        Ok(self)
    }

    /// Whether everything is there that this mode needs.
    pub(super) fn check(&self, mode: TransportMode) -> Result<(), TransportsError> {
        match WayKind::ALL.into_iter().find(|way| mode.has(*way) && !self.ways.contains_key(way)) {
            None => Ok(()),
            Some(way) if way.is_compiled() || self.ways.is_empty() => Err(TransportsError::NotConfigured { mode, way }),
            Some(way) => Err(TransportsError::NotCompiled { mode, way }),
        }
    }
}

/// A mode that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportsError {
    /// Local: the way has no settings.
    #[error("the mode {mode} needs {way}, which is not configured; {}", way.fix())]
    NotConfigured {
        /// The mode.
        mode: TransportMode,
        /// The way.
        way: WayKind,
    },
    /// Local: the way is not compiled in.
    #[error("the mode {mode} needs {way}, which is not compiled in; build tunnel-p2p with the cargo feature {:?}", way.feature())]
    NotCompiled {
        /// The mode.
        mode: TransportMode,
        /// The way.
        way: WayKind,
    },
    /// Operator: the variable names no mode.
    #[error("{TRANSPORT_VARIABLE}: {0}")]
    Variable(#[source] ParseModeError),
    /// Operator: the address or the account of the tunnel server is not usable.
    #[error("the tunnel server: {0}")]
    Tunnel(String),
    /// Local: the transports are closed.
    #[error("the transports are closed")]
    Closed,
}

//! Both ways into a server at once: through a tunnel server and peer to peer, with a switch between them.
//!
//! [`TunnelTransports`] gives a server one stream of messages for its loop, whichever way a request came, and sends each
//! answer back the way of its request. The [mode](TransportMode) can be changed while requests are under way:
//!
//! | mode | requests come | what it is for |
//! |---|---|---|
//! | `tunnel` | through the tunnel server only | how it was, and the way back |
//! | `dual` | both ways; each client chooses | the rollout |
//! | `p2p` | peer to peer only | the end of it |
//!
//! Nothing under way is cut by a change: a way that is left takes no new requests, and ends when its last one has. No way
//! is left before another is open: from `p2p` to `tunnel` the peers stay until the tunnel server is connected
//! ([`handover_timeout`](TransportsConfig::handover_timeout)), and from `tunnel` to `p2p` the tunnel stays for as long as
//! clients may need to find the host again ([`settle`](TransportsConfig::settle)).
//!
//! Which modes there are is a question of cargo features (`legacy`, `iroh`), then of configuration. A mode for which a way
//! is missing is an error that names what to add.
//!
//! ```no_run
//! use p2p_provider::{SecretKey, iroh::IrohConfig};
//! use tunnel_legacy::LegacyHostConfig;
//! use tunnel_p2p::{
//!     HostConfig, TicketSecret,
//!     transports::{TransportMode, TransportsConfig, TunnelTransports},
//! };
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = TransportsConfig::new(TransportMode::Tunnel)
//!     .with_tunnel(LegacyHostConfig::new("https://tunnel.example".parse()?, "my-home", "its access token"))
//!     .with_p2p(IrohConfig::new(SecretKey::generate()), HostConfig::new(TicketSecret::generate()))
//!     // MOOSICBOX_TRANSPORT, if the operator has set it.
//!     .with_variables(|name| std::env::var(name).ok())?;
//! let transports = TunnelTransports::from_config(config)?;
//! let mut messages = transports.start();
//! // Later, while requests are under way.
//! transports.set_mode(TransportMode::Dual)?;
//! # drop(messages.recv().await);
//! # Ok(())
//! # }
//! ```

mod config;
#[cfg(feature = "legacy")]
mod legacy;
mod mode;
mod p2p;
mod switch;
mod way;

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

pub(crate) use self::switch::Switch;
pub use self::{
    config::{TransportsConfig, TransportsError},
    mode::{ParseModeError, TRANSPORT_VARIABLE, TransportMode},
    switch::TransportsState,
    way::{WayKind, WayState},
};
use crate::{
    Ticket,
    sender::{P2PTunnelSender, P2PTunnelSenderHandle, SenderConfig, TunnelMessage},
};

/// A sender with both ways, and the switch between them. Clones share everything.
#[derive(Clone)]
pub struct TunnelTransports {
    sender: P2PTunnelSender,
    handle: P2PTunnelSenderHandle,
    switch: Arc<Switch>,
}

impl TunnelTransports {
    /// Checks the configuration; opens nothing before [`start`](Self::start).
    pub fn from_config(config: TransportsConfig) -> Result<Self, TransportsError> {
        let sender = config.sender;
        Self::with_sender(config, sender)
    }

    fn with_sender(config: TransportsConfig, sender: SenderConfig) -> Result<Self, TransportsError> {
        let switch = Arc::new(Switch::new(config)?);
        let (sender, handle) = P2PTunnelSender::detached(sender);
        Ok(Self { sender: sender.with_transports(Arc::clone(&switch)), handle, switch })
    }

    /// The sender, with upstream's methods, for the loop.
    #[must_use]
    pub fn sender(&self) -> P2PTunnelSender {
        self.sender.clone()
    }

    /// The handle, with upstream's methods, for the rest of the server.
    #[must_use]
    pub fn handle(&self) -> P2PTunnelSenderHandle {
        self.handle.clone()
    }

    /// Opens the ways of the mode, in the background, on the current tokio runtime, and returns the messages for the loop.
    #[must_use = "without a loop nothing is answered"]
    pub fn start(&self) -> mpsc::Receiver<TunnelMessage> {
        self.sender.start()
    }

    /// The mode that is wanted.
    #[must_use]
    pub fn mode(&self) -> TransportMode {
        self.switch.state().wanted
    }

    /// Changes the mode, now or before the start. Returns at once; [`switched`](Self::switched) waits until it holds.
    pub fn set_mode(&self, mode: TransportMode) -> Result<(), TransportsError> {
        self.switch.set_mode(mode)
    }

    /// Waits until the mode that is wanted holds: its ways are open, and no other takes requests. Cancel safe.
    pub async fn switched(&self) {
        self.switch.switched().await;
    }

    /// How things are. Never waits.
    #[must_use]
    pub fn state(&self) -> TransportsState {
        self.switch.state()
    }

    /// The ticket for clients, while the peer-to-peer way is open.
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        self.switch.ticket()
    }

    /// Takes no new requests, lets those under way end within `grace`, then closes all ways; the loop's messages end. Whether
    /// all requests ended in time. Dropping the future cuts them.
    pub async fn close(&self, grace: Duration) -> bool {
        self.switch.begin_to_close(grace);
        self.handle.close();
        self.switch.closed().await
    }
}

//! Pairing: a host lets in the keys that it knows, and a client finds its host through their tunnel server.
//!
//! A [`Host`](crate::Host) with a list of [`AuthorizedPeers`] lets in those whose key is in it, turns away those whose key
//! is revoked, and remembers those that present the ticket's secret. The list is a file; what is written there, by a
//! person or by another process, holds within a quarter of a second, for connections that are open as well.
//!
//! [`PairingHandler`] goes between the tunnel server and a host's service, and adds the keys of those who ask, which the
//! tunnel server has authenticated. [`pair`] asks; [`PairedClient`] is a [`Transport`](tunnel_core::Transport) that asks
//! when it has to, remembers in [`KnownHosts`] whom it has found, and does not take another host for it.
//!
//! `spec/pairing.md` says what this protects against, and what not.

mod ask;
mod client;
mod entry;
mod fields;
mod file;
mod handler;
mod known_hosts;
mod list;
mod message;
mod peers;

pub(crate) use self::list::Verdict;
pub use self::{
    ask::{PairError, pair},
    client::{PairedClient, PairingConfig},
    entry::{How, PeerEntry},
    file::StateFileError,
    handler::PairingHandler,
    known_hosts::{KnownHost, KnownHosts, RememberError},
    list::PEERS_MAX,
    message::{PAIRING_PATH, Refusal, is_pairing_request},
    peers::{AuthorizeError, AuthorizedPeers},
};

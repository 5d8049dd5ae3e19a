//! Tunnel requests over the WebSocket of a tunnel server.
//!
//! ```text
//! app ──HTTP, WebSocket──▶ tunnel server ══ one WebSocket ══▶ host
//! ```
//!
//! Speaks what the published crates of MoosicBox speak, and between two ends of this project the few additions of
//! `spec/legacy.md`.
//!
//! - [`LegacyClient`]: a [`Transport`](tunnel_core::Transport) towards a tunnel server.
//! - [`LegacyHost`]: answers the requests that come through a tunnel server from a [`Handler`](tunnel_core::Handler).
//! - [`AuthClient`]: the calls by which a home server gets its tokens.
//! - [`message`]: the JSON texts of the WebSocket. Bodies travel in the packets of [`tunnel_core::packet`].
//! - `server` (feature `server`): a reference tunnel server.

pub mod client;
mod connect;
mod credentials;
mod error;
pub mod host;
pub mod message;
mod peek;
mod reason;
#[cfg(feature = "server")]
pub mod server;
mod task;
mod url;

pub use client::{LegacyClient, LegacyConfig};
pub use credentials::AuthClient;
pub use error::LegacyError;
pub use host::{LegacyHost, LegacyHostConfig, LegacyHostState};
pub use url::TunnelUrl;

//! Tunnel requests over the WebSocket of a tunnel server.
//!
//! ```text
//! app ──HTTP, WebSocket──▶ tunnel server ══ one WebSocket ══▶ host
//! ```
//!
//! Speaks what the published crates of MoosicBox speak, and between two ends of this project the few additions of
//! `spec/legacy.md`.
//!
//! - [`message`]: the JSON texts of the WebSocket. Bodies travel in the packets of [`tunnel_core::packet`].

pub mod message;
#[cfg(feature = "server")]
pub mod server;

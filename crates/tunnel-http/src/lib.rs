//! HTTP/1.1 and WebSockets over any byte stream: what every part that speaks them needs.
//!
//! | item | what it is |
//! |---|---|
//! | [`HttpClient`] | sends requests to one server over pooled connections, and opens WebSockets |
//! | [`WsSocket`] | one hop of a WebSocket, with pings and a liveness check |
//! | [`handshake`] | the opening handshake of a WebSocket, both sides |
//! | [`Listener`], [`Tcp`], [`Door`] | where connections come from, and how many at once |
//! | [`IdleBody`] | a body that fails when nothing arrives for too long |
//! | [`fields`], [`query`] | header fields of one hop; parameters of a raw query |
//!
//! Like everything that the simulator runs, it takes time from tokio and bytes from whatever it is given.

mod accept;
mod client;
pub mod fields;
pub mod handshake;
mod idle;
pub mod query;
mod ws;

pub use accept::{Door, Listener, Tcp};
pub use client::{HttpClient, HttpClientConfig, HttpError, HttpPeer};
pub use idle::IdleBody;
pub use tokio_tungstenite::tungstenite::protocol::Role as WsRole;
pub use ws::{WsLimits, WsPeer, WsSocket};

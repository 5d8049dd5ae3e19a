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
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use tunnel_core::{Handler, Transport};
//! use tunnel_legacy::{AuthClient, LegacyClient, LegacyConfig, LegacyHost, LegacyHostConfig, TunnelUrl};
//!
//! # async fn run(service: Arc<dyn Handler>) -> Result<(), Box<dyn std::error::Error>> {
//! let url: TunnelUrl = "https://tunnel.example".parse()?;
//!
//! // At home, once: the token is to be stored.
//! let access_token = AuthClient::new(url.clone())?.register("my-home", "the tunnel server's access token").await?;
//! // At home, from then on.
//! let host = LegacyHost::start(LegacyHostConfig::new(url.clone(), "my-home", &access_token), service)?;
//!
//! // Elsewhere.
//! let mut config = LegacyConfig::new(url);
//! config.client_id = Some("my-home".to_owned());
//! config.token = Some(access_token);
//! let transport: Arc<dyn Transport> = Arc::new(LegacyClient::new(config)?);
//! # drop((host, transport));
//! # Ok(())
//! # }
//! ```

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

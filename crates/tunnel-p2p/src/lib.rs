//! Tunnel requests over peer-to-peer streams.
//!
//! A [`Host`] runs beside a service and answers requests; a [`Client`] sends them, from anywhere. They find each other
//! by a [`Ticket`], or by [`pairing`] through a tunnel server. Both are generic over the
//! [`P2PProvider`](p2p_provider::P2PProvider) that carries their streams.
//!
//! One connection per client carries requests, one stream each; a second one carries large bodies, so that a download
//! does not delay a click. The wire format is in `spec/wire.md`.
//!
//! # What holds
//!
//! - A response body ends with success only after the service's own end; a cut is an error.
//! - Dropping a response body, or the future of [`Transport::send`](tunnel_core::Transport::send), drops the
//!   [`Handler`](tunnel_core::Handler)'s future or body on the host within one round trip.
//! - Nothing a peer sends makes this side panic, or hold more than the configured limits.
//! - A lost connection is made again in the background; requests meanwhile fail in bounded time with the reason.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use p2p_provider::{
//!     SecretKey,
//!     iroh::{IrohConfig, IrohP2P},
//! };
//! use tunnel_core::{Body, Failure, FailureKind, Handler, Request, Response, Transport, WsOpen, WsUpgrade};
//! use tunnel_p2p::{Client, ClientConfig, Host, HostConfig, TicketSecret};
//!
//! struct Hello;
//!
//! #[async_trait]
//! impl Handler for Hello {
//!     async fn http(&self, _request: Request) -> Result<Response, Failure> {
//!         Ok(Response::new(http::StatusCode::OK, Body::full("hello")))
//!     }
//!
//!     async fn ws(&self, _open: WsOpen) -> Result<WsUpgrade, Failure> {
//!         Err(Failure::new(FailureKind::BadRequest, "no WebSockets here"))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let at_home = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
//! let host = Host::start(at_home, Arc::new(Hello), HostConfig::new(TicketSecret::generate())).await?;
//!
//! let away = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
//! let client = Client::start(away, host.ticket(), ClientConfig::default());
//! let (parts, ()) = http::Request::get("/").body(())?.into_parts();
//! let response = client.send(Request::http(1, parts, Body::empty())).await?;
//! assert_eq!(response.status, http::StatusCode::OK);
//! # Ok(())
//! # }
//! ```

mod body;
mod client;
mod codec;
mod config;
mod control;
mod credit;
mod failure;
mod frames;
#[doc(hidden)]
pub mod fuzzing;
mod host;
pub mod pairing;
mod path_clock;
pub mod receiver;
pub mod sender;
mod session;
mod task;
mod ticket;
pub mod transports;
mod websocket;
mod wire;
mod ws_protocol;

pub use body::body_streams;
pub use client::Client;
pub use config::{ClientConfig, HostConfig};
pub use host::{ClientInfo, Host};
pub use ticket::{ParseTicketError, Ticket, TicketSecret};
pub use wire::{ALPN, MINOR, WireError};

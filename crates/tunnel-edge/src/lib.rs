//! The two HTTP edges of the tunnel: in (the [gateway]) and out (the local [service]).
//!
//! Both speak exact HTTP: any method, raw path and query bytes, every header value, repeated headers in their order,
//! trailers, early responses, bodies streamed both ways. Neither knows how a request travels between them.
//!
//! ```text
//! app ──HTTP/1.1, h2c, WebSocket──▶ Gateway ──▶ dyn Transport ··· LocalService (a Handler) ──HTTP/1.1──▶ service
//! ```
//!
//! Both run over TCP, the local service also over Unix sockets; [`Gateway::on`] and [`LocalService::with_connector`] put
//! them on any other byte stream.
//!
//! - [`Gateway`]: listens where apps connect, decides who may ask, and turns what they send into transport calls.
//! - [`LocalService`]: answers requests from a server on this machine, over pooled connections.
//! - [`Profile`]: which habits of the MoosicBox tunnel the two keep; [`Profile::Plain`] has none.

pub mod gateway;
mod profile;
pub mod service;

pub use gateway::{AuthServer, Gateway, GatewayConfig, GatewayError, Listener};
pub use profile::Profile;
pub use service::{LocalService, ServiceConfig, ServiceError, ServiceTarget};

//! Tunnel requests over the WebSocket of a tunnel server: client, host, and a reference tunnel server.

#[cfg(feature = "server")]
pub mod server;

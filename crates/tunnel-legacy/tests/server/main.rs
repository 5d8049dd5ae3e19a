//! The reference tunnel server over real sockets on loopback, with raw HTTP and WebSocket clients.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod account;
mod cors;
mod flow;
mod hostile;
mod in_process;
mod lifetime;
mod ours;
mod proxy;
mod response;
mod support;
mod vectors;
mod websocket;

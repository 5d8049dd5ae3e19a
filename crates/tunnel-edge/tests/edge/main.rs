//! The gateway and the local service together, over real sockets on loopback, with nothing between them but a
//! transport that hands each request straight to the handler.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

mod access;
mod faults;
mod http;
mod support;
mod two_transports;
mod websocket;

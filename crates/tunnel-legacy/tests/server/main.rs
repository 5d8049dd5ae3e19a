//! The reference tunnel server over real sockets on loopback, with raw HTTP and WebSocket clients.

mod proxy;
mod support;

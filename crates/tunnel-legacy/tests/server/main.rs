//! The reference tunnel server over real sockets on loopback, with raw HTTP and WebSocket clients.

mod access;
mod account;
mod cors;
mod flow;
mod hostile;
mod lifetime;
mod proxy;
mod response;
mod support;
mod vectors;
mod websocket;

//! Client, tunnel server and host together, over real sockets on loopback: the server mended, and with every mistake of
//! the published one.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

mod bodies;
mod outages;
mod requests;
mod support;
mod websockets;

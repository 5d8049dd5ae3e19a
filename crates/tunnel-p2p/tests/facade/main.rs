//! The sender and the receiver, as programs know them that were written for upstream's.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

mod receiver;
mod sender;
mod service;
mod support;
mod tunnel_stream;
mod websockets;

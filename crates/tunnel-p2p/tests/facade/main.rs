//! The sender and the receiver, as programs know them that were written for upstream's.

mod receiver;
mod sender;
mod service;
mod support;
mod tunnel_stream;
mod websockets;

//! The contract of tunnel-p2p: what a request, a response and a transport are.
//!
//! This crate knows no socket, no QUIC and no WebSocket library. It holds the few types on which the other crates
//! agree, so that a transport can be exchanged without touching the edges, and an edge without touching a transport.
//!
//! | item | what it is |
//! |---|---|
//! | [`Request`], [`Response`], [`Body`] | one HTTP exchange, bodies streamed, trailers kept |
//! | [`WsOpen`], [`WsUpgrade`], [`WsSession`] | one WebSocket, message by message |
//! | [`Transport`] | the client side: carries requests to a host |
//! | [`Handler`] | the host side: answers requests |
//! | [`Failure`], [`SendError`] | what went wrong, whose fault it is, and whether a retry is safe |
//! | [`packet`] | the binary `TunnelResponse` packets of today's tunnel |
//! | [`convert`] | requests in the tunnel's own form, turned into HTTP and back |
//!
//! # Rules that every implementation keeps
//!
//! - Dropping a response body is the abort: the other side stops working on it within one round trip.
//! - A body ends with success only after the sender's explicit end. A cut is an error, never a short body.
//! - A [`SendError`] hands the request back only when it was provably never delivered.
//! - A slow reader slows its own sender and nobody else.

mod body;
pub mod convert;
mod failure;
mod request;
mod response;
mod transport;
mod ws;

pub mod packet;

pub use body::Body;
pub use failure::{Failure, FailureKind, SendError};
pub use request::{Request, RequestHead};
pub use response::{Response, TransportKind, Via};
pub use transport::{Handler, Health, PathDetails, PathKind, Transport};
pub use ws::{WsClose, WsMessage, WsOpen, WsSession, WsUpgrade};

pub use moosicbox_tunnel;

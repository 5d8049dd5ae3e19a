//! The host against small tunnel servers made by hand, on byte streams in memory and a clock that does not run by itself.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

mod connecting;
mod flow;
mod hostile;
mod requests;
mod support;
mod websockets;

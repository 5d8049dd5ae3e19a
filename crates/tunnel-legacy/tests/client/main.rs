//! The client against small tunnel servers made by hand, hostile ones among them, on byte streams in memory.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

mod answers;
mod auth;
mod hostile;
mod if_range;
mod refusals;
mod support;
mod websocket;

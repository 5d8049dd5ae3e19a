//! A home server with both transports: its modes, and what a change of them does to requests.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

mod before;
mod load;
mod modes;
mod pairing;
mod toggle;

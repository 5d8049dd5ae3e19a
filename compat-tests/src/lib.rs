//! One list of behaviours, shown by every backend.
//!
//! | module | what it holds |
//! |---|---|
//! | [`backend`] | what a backend is, and the backends that there are |
//! | [`cases`] | the behaviours of a tunnel: a [`Host`](backend::RunningHost) and its clients |
//! | [`black_box`] | what any live deployment is asked, over HTTP, with the demo service behind it |
//! | [`demo_service`] | a small HTTP service with everything that a tunnel could spoil |
//! | [`peer_cases`] | the behaviours of peers: connections, streams, and the peer-to-peer wire |
//! | [`service`], [`hub`], [`files`] | services that live in memory |
//! | [`request`], [`body`] | requests and bodies made to order |
//! | [`pair`], [`patience`] | a host with a client, and how long cases wait |
//!
//! A case is an async function that is generic over its backend and panics where the backend does not behave. It is
//! listed once, in [`for_each_case!`] or [`for_each_peer_case!`]; `tests/compat.rs` makes a test of it for each backend,
//! named like `simulator::abort::reaches_the_host`. A backend may not skip a case.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::must_use_candidate,
    clippy::new_ret_no_self,
    clippy::future_not_send,
    reason = "a case fails by panicking, and runs where its backend puts it"
)]

pub mod backend;
pub mod black_box;
pub mod body;
pub mod cases;
pub mod demo_service;
pub mod fallback_cases;
pub mod files;
pub mod hub;
pub mod legacy_cases;
pub mod pair;
pub mod patience;
pub mod peer_cases;
pub mod request;
pub mod script;
pub mod service;

//! The dual-mode router: one [`Transport`](tunnel_core::Transport) made of two, p2p and legacy.
//!
//! Each request is decided for itself: by the operator's policy ([`Mode`], [`Rule`], rollout by client id), and, where the
//! policy leaves a choice, by the health of p2p. What fails over p2p before it can have had an effect goes over legacy;
//! what is slow over p2p and safe to repeat is also started over legacy; a response that breaks off continues over the
//! other transport where it is provably the same content. `spec/routing.md` has the rules and the reasons of every number.
//!
//! | module | what it does |
//! |---|---|
//! | `policy` | pure: the mode of a request |
//! | `health` | pure: whether p2p is to be used |
//! | `router` | acts: sends, hedges, falls back, watches |
//! | `failover` | continues a response over the other transport |
//! | `shadow` | compares the two transports, off the critical path |
//!
//! This crate knows neither QUIC nor WebSocket: it sees two transports.

mod config;
mod counters;
mod decisions;
mod failover;
mod health;
mod policy;
mod reason;
mod router;
mod shadow;

pub use config::{ConfigError, RouterConfig};
pub use counters::{Answered, Both, Counts, ShadowCounts, Transitions};
pub use decisions::{Decision, Outcome};
pub use health::{Cause, RETURN_WITHIN, SWITCHES_PER_HOUR_MAX, State, Transition};
pub use policy::{BUCKETS, Mode, PathPattern, PatternError, Rule, Source, UnknownMode, bucket};
pub use reason::Reason;
pub use router::{Explanation, P2pStatus, Question, Router, Status, TransportStatus};
pub use shadow::Mismatch;

//! Whole tunnels in simulated networks: scenarios, and what must hold in each.
//!
//! A [`Scenario`] plays on a [`Stage`]: a network with hosts and clients, faults and bad weather, all from one seed.
//! The [`oracle`] sees every event and every request, and keeps a list of what did not hold:
//!
//! - every request ends exactly once, in bounded time, and is executed at most once;
//! - what is reported as not delivered was not delivered;
//! - no body is short, long, reordered or mixed with another, unless it ends with an error;
//! - when a client gives up, its service stops in bounded time;
//! - nothing arrives on a stream after its reset, nothing follows an error;
//! - what waits between a service and its reader stays within the windows;
//! - after faults have healed, every client gets an answer in bounded time, has both of its connections, knows that it is
//!   well, and nothing is left over;
//! - after a loss clients do not dial without a pause;
//! - nobody panics, unless the plan says so.
//!
//! Most scenarios act on the contract directly, with [clients](SimClient) and [hosts](SimHost). The whole way is longer:
//! [apps](SimApp) speak HTTP with a [gateway](SimGateway), and a host with a [server](SimServer). There a body that breaks
//! off must also look broken to the app: chunks without an end, or fewer bytes than were declared.
//!
//! [`run_scenario`] plays one scenario with one seed, in virtual time; the same seed gives the same trace.
//! [`scenarios::all`] lists them, [`scenarios::swarm`] makes one up from each seed.
//!
//! ```
//! use tunnel_sim::{Environment, run_scenario, scenarios};
//!
//! let report = run_scenario(&scenarios::swarm(), &Environment::with_seed(42), false);
//! assert!(report.violations.is_empty(), "{:?}: {}", report.violations, report.replay());
//! ```

pub mod body;
mod environment;
pub mod oracle;
pub mod plan;
mod run;
pub mod scenarios;
mod service;
mod stage;

pub use environment::{Environment, EnvironmentError};
pub use run::{Report, run_scenario, run_story};
pub use scenarios::Scenario;
pub use service::Service;
pub use stage::{Caller, SimApp, SimClient, SimGateway, SimHost, SimServer, SimTunnelServer, Stage, Talk, together};

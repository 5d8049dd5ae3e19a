//! Whole tunnels in simulated networks.

mod environment;

pub use environment::{Environment, EnvironmentError};

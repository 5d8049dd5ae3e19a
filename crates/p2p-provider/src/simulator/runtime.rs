//! A runtime on which time is virtual.

use std::future::Future;

use super::SimNetwork;

/// Runs `simulation` to its end in a new network, in virtual time, on this thread.
///
/// The clock stands still while there is something to do and jumps to the next deadline when there is not, so an hour of
/// waiting takes no time. Everything must run on this runtime and take time and chance from it: `tokio::time`, and
/// randomness with a seed.
///
/// A simulation in which nobody ever has anything to do again hangs, as it would in reality; those that may come to that
/// put a `tokio::time::timeout` around themselves.
///
/// # Panics
///
/// When the simulation does, or when there is no runtime to be had.
pub fn run<F: Future>(seed: u64, simulation: impl FnOnce(SimNetwork) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    runtime.block_on(async { simulation(SimNetwork::new(seed)).await })
}

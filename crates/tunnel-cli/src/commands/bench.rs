//! `tunnel-p2p bench`, and the service that it starts.

use crate::{
    bench,
    cli::BenchOptions,
    error::{CliError, Outcome},
    output::Output,
    runtime::block_on,
};

/// Runs the benchmark on this thread; HTTP parts are processes of their own.
pub(super) fn run(options: &BenchOptions, output: Output) -> Result<Outcome, CliError> {
    block_on(bench::run(options, output))
}

/// Runs the service of the benchmark.
pub(super) fn service(output: Output) -> Result<Outcome, CliError> {
    block_on(bench::service(output))
}

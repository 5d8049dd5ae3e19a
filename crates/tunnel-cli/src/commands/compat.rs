//! `tunnel-p2p compat`.

use crate::{
    cli::CompatOptions,
    compat,
    error::{CliError, Outcome},
    output::Output,
    runtime::block_on,
};

/// Runs the checks on this thread.
pub(super) fn run(options: &CompatOptions, output: Output) -> Result<Outcome, CliError> {
    block_on(compat::run(options, output))
}

//! `tunnel-p2p simulate`.

use crate::{
    cli::SimulateOptions,
    error::{CliError, Outcome},
    output::Output,
    simulate,
};

/// Plays the scenarios on threads of their own.
pub(super) fn run(options: &SimulateOptions, output: Output) -> Result<Outcome, CliError> {
    simulate::run(options, output)
}

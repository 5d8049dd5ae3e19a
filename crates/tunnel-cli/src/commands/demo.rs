//! `tunnel-p2p demo`.

use crate::{
    cli::DemoOptions,
    demo,
    error::{CliError, Outcome},
    output::Output,
    runtime::block_on,
};

/// Runs the demo on this thread; its parts have threads of their own.
pub(super) fn run(options: &DemoOptions, output: Output) -> Result<Outcome, CliError> {
    block_on(demo::run(options, output))
}

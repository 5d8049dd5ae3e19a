//! stub
use crate::{
    cli::DemoOptions,
    error::{CliError, Outcome},
    output::Output,
};
pub(super) fn run(_options: &DemoOptions, _output: Output) -> Result<Outcome, CliError> {
    Ok(Outcome::Done)
}

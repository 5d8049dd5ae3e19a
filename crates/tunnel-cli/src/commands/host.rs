//! stub
use crate::{
    config::HostOptions,
    error::{CliError, Outcome},
    output::Output,
};
pub(super) fn run(_options: HostOptions, _output: Output) -> Result<Outcome, CliError> {
    Ok(Outcome::Done)
}

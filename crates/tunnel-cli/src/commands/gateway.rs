//! stub
use crate::{
    config::GatewayOptions,
    error::{CliError, Outcome},
    output::Output,
};
pub(super) fn run(_options: GatewayOptions, _output: Output) -> Result<Outcome, CliError> {
    Ok(Outcome::Done)
}

//! Logs, on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::{
    cli::GlobalOptions,
    config::{LogFormat, LogOptions},
    error::CliError,
};

/// Starts logging: `-v` and `-q` win over the filter of flag, environment or file.
pub(crate) fn start(global: &GlobalOptions, options: &LogOptions) -> Result<(), CliError> {
    let filter = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => options.filter.as_deref().unwrap_or("warn"),
        (_, 1) => "warn,tunnel_p2p=info,tunnel_edge=info,tunnel_cli=info,p2p_provider=info",
        (_, 2) => "info,tunnel_p2p=debug,tunnel_edge=debug,tunnel_cli=debug,p2p_provider=debug",
        _ => "debug,tunnel_p2p=trace,tunnel_edge=trace,tunnel_cli=trace,p2p_provider=trace",
    };
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        CliError::usage(format!("log filter {filter:?} is not valid"))
            .because(error)
            .next("give a level (error, warn, info, debug, trace) or e.g. `warn,tunnel_p2p=debug`")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match options.format.unwrap_or_default() {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| CliError::failed("logging did not start").because(anyhow::anyhow!(error)))
}

//! Logs, on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::{
    cli::GlobalOptions,
    config::{LogFormat, LogOptions},
    error::CliError,
};

/// Starts logging: `-v` and `-q` win over the filter of flag, environment or file, and that over `usual`.
pub(crate) fn start(global: &GlobalOptions, options: &LogOptions, usual: &str) -> Result<(), CliError> {
    let filter: &str = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => options.filter.as_deref().unwrap_or(usual),
        (_, 1) => &ours("warn", "info"),
        (_, 2) => &ours("info", "debug"),
        _ => &ours("debug", "trace"),
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

/// One level for our own crates, another for all others.
fn ours(others: &str, level: &str) -> String {
    CRATES.iter().fold(others.to_owned(), |filter, name| format!("{filter},{name}={level}"))
}

const CRATES: [&str; 7] =
    ["p2p_provider", "tunnel_cli", "tunnel_edge", "tunnel_http", "tunnel_legacy", "tunnel_p2p", "tunnel_router"];

//! The commands, one file each.

mod bench;
mod compat;
mod demo;
mod doctor;
mod explain;
mod gateway;
mod host;
mod id;
mod mode;
mod peers;
mod ping;
mod relay;
mod simulate;
mod status;
mod tunnel_server;

pub(crate) use self::tunnel_server::system_clock;

use crate::{
    cli::{Cli, Command},
    config::{ConfigFile, LogOptions, layered},
    error::{CliError, Outcome},
    logging,
    output::Output,
};

/// Reads the configuration and runs the command.
pub(crate) fn run(cli: Cli, output: Output) -> Result<Outcome, CliError> {
    let (file, unread) = match ConfigFile::load(cli.global.config.as_deref()) {
        Ok(file) => (file, None),
        // Which is a thing to be found.
        Err(error) if matches!(cli.command, Command::Doctor(_)) => (ConfigFile::default(), Some(error)),
        Err(error) => return Err(error),
    };
    let log: LogOptions = layered(&file, "log", &cli.global.log)?;
    // What simulated hosts complain about is of interest only to those who ask for it.
    let simulated = matches!(cli.command, Command::Simulate(_));
    if !simulated || cli.global.verbose > 0 || log.filter.is_some() {
        // The demo cuts its own ways, which is nothing to be warned of. What the QUIC library warns of is a path that ends.
        let usual = match cli.command {
            // They break off what has not answered in time, of which Iroh complains.
            Command::Doctor(_) | Command::Ping(_) => "error,iroh=off",
            Command::Demo(_) => "error",
            _ => "warn,noq_proto=error",
        };
        logging::start(&cli.global, &log, usual)?;
    }
    match cli.command {
        Command::Host(options) => host::run(&layered(&file, "host", &*options)?, output),
        Command::Gateway(options) => gateway::run(*options, &file, cli.global.config, output),
        Command::Ping(options) => ping::run(&options, &file, output),
        Command::Doctor(options) => doctor::run(&options, &file, unread.as_ref(), cli.global.config.as_deref(), output),
        Command::Status(options) => status::run(&options, &file, output),
        Command::Mode(options) => mode::run(&options, &file, output),
        Command::Explain(options) => explain::run(&options, &file, output),
        Command::TunnelServer(options) => tunnel_server::run(&layered(&file, "tunnel-server", &options)?, output),
        Command::Relay(options) => relay::run(&layered(&file, "relay", &*options)?, output),
        Command::Demo(options) => demo::run(&options, output),
        Command::Compat(options) => compat::run(&options, output),
        Command::Bench(options) => bench::run(&options, output),
        Command::Simulate(options) => simulate::run(&options, output),
        Command::BenchService => bench::service(output),
        Command::Id(options) => id::run(options, &file, output),
        Command::Peers(options) => peers::run(options, &file, output),
    }
}

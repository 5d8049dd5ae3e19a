//! The `tunnel-p2p` command: host, gateway, ping, doctor, tunnel-server, relay,
//! peers, status, mode, explain, demo, compat, bench and id.
//!
//! The binary is a thin shell over this library.
//!
//! | module | its job |
//! |---|---|
//! | `cli` | the command line, as `--help` shows it |
//! | `config` | flags > environment > file > default |
//! | `commands` | one file per command |
//! | `admin` | the admin endpoint of a running gateway or host, and how to ask it |
//! | `routing` | the router of a gateway: settings, kill switch, reading the configuration again |
//! | `tunnel` | the way through a tunnel server, as host and gateway set it up |
//! | `demo` | the stack of `tunnel-p2p demo` |
//! | `compat` | the checks of `tunnel-p2p demo` and `compat`, and their report |
//! | `bench` | the measurements of `tunnel-p2p bench` |
//! | `simulate` | the runs of `tunnel-p2p simulate` |
//! | `error`, `output` | what a person or a script reads, and the exit codes |
//! | `state`, `secret` | what host and gateway keep: keys, secrets, lists of peers and hosts; secrets in files |
//! | `runtime` | threads, runtimes and signals |

mod admin;
mod bench;
mod cli;
mod commands;
mod compat;
mod config;
mod demo;
mod error;
mod logging;
mod output;
mod p2p;
mod peer_news;
#[cfg(test)]
mod reference;
mod routing;
mod runtime;
mod secret;
mod simulate;
mod state;
mod tunnel;

use std::process::ExitCode;

use clap::Parser;

/// Runs the command line of this process and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let output = output::Output::new(cli.global.json, cli.global.quiet);
    match commands::run(cli, output) {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            output.error(&error);
            error.exit_code()
        }
    }
}

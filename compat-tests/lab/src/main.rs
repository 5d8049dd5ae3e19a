//! The labs: real binaries and real HTTP in networks made of namespaces. `nat` is about what routers let through, `wan` about
//! what distance, loss and limits cost. See `spec/nat-lab.md` and `spec/wan-lab.md`.

mod availability;
mod ending;
mod http;
mod logs;
mod nat;
mod pattern;
mod process;
mod record;
mod requirements;
mod service;
mod statistics;
mod table;
mod wan;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks that need more than `cargo test`.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
struct Command {
    #[command(subcommand)]
    task: Task,
}

/// The tasks.
#[derive(Debug, Subcommand)]
enum Task {
    /// Run the real binaries behind every kind of NAT, in network namespaces of this machine
    #[command(after_help = nat::AFTER_HELP)]
    NatLab(nat::Options),
    /// Run the real binaries over a link with delay, loss and limits, beside kernel TCP on the same link
    #[command(after_help = wan::AFTER_HELP)]
    WanLab(wan::Options),
}

fn main() -> ExitCode {
    match Command::parse().task {
        Task::NatLab(options) => nat::main(&options),
        Task::WanLab(options) => wan::main(&options),
    }
}

//! The command line.

use std::path::PathBuf;

use clap::Args;

/// Below the options in the help.
pub(crate) const AFTER_HELP: &str = "\
It needs Linux with user namespaces, `nft` and `tc`; not root. Nothing leaves the machine: the
networks have no way out.

Examples:
  cargo build --release && cargo xtask nat-lab
  cargo xtask nat-lab --matrix --runs 20
  cargo xtask nat-lab --only symmetric --keep-logs /tmp/nat-lab
  cargo xtask nat-lab --scenarios --only relay

Exit codes:
  0  all that was tried has held
  1  something has not held
  2  the command line is wrong
  3  not possible on this machine; it says what is missing";

/// What to run and how.
#[expect(clippy::struct_excessive_bools, reason = "flags")]
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Only pairs of networks
    #[arg(long, conflicts_with = "scenarios")]
    pub(crate) matrix: bool,
    /// Only scenarios
    #[arg(long)]
    pub(crate) scenarios: bool,
    /// Only cases whose name contains this; repeat for more
    #[arg(long, value_name = "PATTERN")]
    pub(crate) only: Vec<String>,
    /// How often to run each case
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// How often to run a case again that has not held, on machines that are busy with other things; wrong bytes are never
    /// forgiven, and what was forgiven is told
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) retries: u32,
    /// How many scenarios to play at once; they wait most of their time. Pairs, which are measured, run one by one
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: u16,
    /// Show the cases and what is expected of them, and run none
    #[arg(long)]
    pub(crate) list: bool,
    /// The size of the download of each pair, in bytes
    #[arg(long, value_name = "NUMBER", default_value_t = 64 << 20)]
    pub(crate) bytes: u64,
    /// The binary to run [default: `tunnel-p2p` beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) binary: Option<PathBuf>,
    /// What the binary logs, as its own --log-filter
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
    /// Keep the logs of every run here [default: only those of runs that fail, in the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) keep_logs: Option<PathBuf>,
    /// Print JSON, one object per line, on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

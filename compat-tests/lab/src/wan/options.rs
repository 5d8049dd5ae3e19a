//! The command line.

use std::path::PathBuf;

use clap::Args;

use super::{
    cell::Cell,
    leg::{Controller, Leg},
    peers::Arguments,
};
use crate::requirements;

/// Below the options in the help.
pub(crate) const AFTER_HELP: &str = "\
It needs Linux with user namespaces, /dev/net/tun and `ip`; not root where /dev/net/tun may be opened without.
Nothing leaves the machine: the namespaces have no way out.

Examples:
  cargo build --release && cargo xtask wan-lab
  cargo xtask wan-lab --cell rtt=80,loss=1,rate=50,queue=1,dir=down --runs 3
  cargo xtask wan-lab --cell rtt=80,loss=burst:1:10 --leg p2p --json
  cargo xtask wan-lab --binary new=target/release/tunnel-p2p --binary old=/tmp/old/tunnel-p2p
  cargo xtask wan-lab --host-arg=--congestion=bbr3 --plot over-time.svg
  cargo xtask wan-lab --matrix --results matrix.jsonl
  cargo xtask wan-lab --scenarios --only dead-zone --keep-logs /tmp/wan-lab

A cell is KEY=VALUE,...: rtt (ms), loss (% or burst:%:PACKETS), rate (Mbit/s), queue (products of bandwidth and
delay), dir (down or up), jitter (ms or ms:reorder), seconds (the transfer's length at the link's rate).

Exit codes:
  0  all that was tried has held
  1  something has not held
  2  the command line is wrong
  3  not possible on this machine; it says what is missing";

/// What to run and how.
#[expect(clippy::struct_excessive_bools, reason = "flags")]
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Some twenty cells that span the space, within 15 minutes; this is the default
    #[arg(long, conflicts_with_all = ["matrix", "quick", "cell"])]
    pub(crate) core: bool,
    /// All cells, which takes hours; see --results
    #[arg(long, conflicts_with_all = ["quick", "cell"])]
    pub(crate) matrix: bool,
    /// A few cells of a second, which show that the lab works: no times and speeds are judged
    #[arg(long, conflicts_with = "cell")]
    pub(crate) quick: bool,
    /// What happens to a link, and beside a transfer, instead of cells
    #[arg(long, conflicts_with_all = ["core", "matrix", "quick", "cell"])]
    pub(crate) scenarios: bool,
    /// This cell; repeat for more
    #[arg(long, value_name = "SPEC")]
    pub(crate) cell: Vec<Cell>,
    /// Only cells or scenarios whose name contains this; repeat for more
    #[arg(long, value_name = "PATTERN")]
    pub(crate) only: Vec<String>,
    /// Only these legs: tcp-bbr, tcp-cubic, or the name of a binary; repeat for more
    #[arg(long, value_name = "NAME")]
    pub(crate) leg: Vec<String>,
    /// How often to run each cell or scenario
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Which packets are lost follows from this; the next run of a cell has the next seed
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Give a transfer up after so many times the time that the link needs for it; its speed is that until then
    #[arg(long, value_name = "FACTOR", default_value_t = 3.0)]
    pub(crate) cut_off: f64,
    /// How long the scenario `mixed` lasts
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    pub(crate) minutes: f64,
    /// Show the cells or scenarios and run none
    #[arg(long)]
    pub(crate) list: bool,
    /// The binary to run, as PATH or NAME=PATH; repeat to compare [default: `tunnel-p2p` beside this program]
    #[arg(long, value_name = "[NAME=]PATH")]
    pub(crate) binary: Vec<String>,
    /// An option for the host, of all binaries or of this one
    #[arg(long, value_name = "[NAME:]OPTION", allow_hyphen_values = true)]
    pub(crate) host_arg: Vec<String>,
    /// An option for the gateway, of all binaries or of this one
    #[arg(long, value_name = "[NAME:]OPTION", allow_hyphen_values = true)]
    pub(crate) gateway_arg: Vec<String>,
    /// Keep the results here, a JSON object per line, and do not run again what the file has
    #[arg(long, value_name = "FILE")]
    pub(crate) results: Option<PathBuf>,
    /// Draw throughput over time here, a panel per cell; an SVG file
    #[arg(long, value_name = "FILE", conflicts_with = "scenarios")]
    pub(crate) plot: Option<PathBuf>,
    /// What the binaries log, as their own --log-filter
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
    /// Keep the logs of every run here [default: only those of runs that fail, in the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) keep_logs: Option<PathBuf>,
    /// Print JSON, one object per line, on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

impl Options {
    /// Kernel TCP first, then the binaries. The second error is of the machine, not of the command line.
    pub(crate) fn legs(&self) -> Result<Result<Vec<Leg>, String>, String> {
        let mut named: Vec<(String, Option<PathBuf>)> = Vec::new();
        for binary in &self.binary {
            let (name, path) = binary.split_once('=').unwrap_or(("p2p", binary));
            if name.starts_with("tcp-") || named.iter().any(|(other, _)| other == name) {
                return Err(format!("--binary {binary}: the name {name:?} is taken; use NAME=PATH"));
            }
            named.push((name.to_owned(), Some(PathBuf::from(path))));
        }
        if named.is_empty() {
            named.push(("p2p".to_owned(), None));
        }
        let legs: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).chain(["tcp-bbr", "tcp-cubic"]).collect();
        if let Some(unknown) = self.leg.iter().find(|leg| !legs.contains(&leg.as_str())) {
            return Err(format!("--leg {unknown}: is not one of {}", legs.join(", ")));
        }
        let wanted = |name: &str| self.leg.is_empty() || self.leg.iter().any(|leg| leg == name);
        let tcp = Controller::available().into_iter().map(Leg::Tcp).filter(|leg| wanted(&leg.to_string()));
        let mut chosen: Vec<Leg> = tcp.collect();
        for (name, path) in named.iter().filter(|(name, _)| wanted(name)) {
            let binary = match requirements::binary(path.as_deref()) {
                Ok(binary) => binary,
                Err(message) => return Ok(Err(message)),
            };
            let arguments = Arguments {
                host: arguments_of(name, &legs, &self.host_arg),
                gateway: arguments_of(name, &legs, &self.gateway_arg),
            };
            chosen.push(Leg::P2p { name: name.clone(), binary, arguments });
        }
        Ok(Ok(chosen))
    }

    /// Whether a case of this name is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|pattern| name.contains(pattern.as_str()))
    }
}

/// Options without a name before them are everyone's.
fn arguments_of(leg: &str, legs: &[&str], arguments: &[String]) -> Vec<String> {
    let named = |argument: &str| {
        let (name, rest) = argument.split_once(':')?;
        legs.contains(&name).then(|| (name.to_owned(), rest.to_owned()))
    };
    arguments
        .iter()
        .filter_map(|argument| match named(argument) {
            Some((name, rest)) => (name == leg).then_some(rest),
            None => Some(argument.clone()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_everyones_or_one_legs() {
        let arguments = ["--congestion=cubic", "old:--port", "old:4000", "--lookup=dns:x.test"].map(str::to_owned);
        let names = ["new", "old", "tcp-bbr", "tcp-cubic"];
        assert_eq!(arguments_of("new", &names, &arguments), ["--congestion=cubic", "--lookup=dns:x.test"]);
        assert_eq!(
            arguments_of("old", &names, &arguments),
            ["--congestion=cubic", "--port", "4000", "--lookup=dns:x.test"]
        );
    }
}

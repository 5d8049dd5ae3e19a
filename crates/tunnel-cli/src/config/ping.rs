//! The options of `tunnel-p2p ping`.

use std::{net::IpAddr, path::PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{network::PingNetworkOptions, time::Span};

/// Options of `tunnel-p2p ping`, over table `[gateway]`: it reaches a host as that gateway would.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PingOptions {
    /// The ticket of the host
    #[arg(value_name = "TICKET", env = "TUNNEL_P2P_PING_TICKET", hide_env_values = true)]
    pub(crate) ticket: Option<String>,
    /// A file with the ticket, so that it shows neither in the process list nor in the shell's history
    #[arg(long, env = "TUNNEL_P2P_PING_TICKET_FILE", value_name = "FILE")]
    pub(crate) ticket_file: Option<PathBuf>,
    /// Send this many, whatever the path [default: until the path is direct]
    #[arg(short, long, env = "TUNNEL_P2P_PING_COUNT", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: Option<u32>,
    /// From the start of one ping to that of the next [default: 1s]
    #[arg(short, long, env = "TUNNEL_P2P_PING_INTERVAL", value_name = "TIME")]
    pub(crate) interval: Option<Span>,
    /// How long to wait for the host, for each answer, and without --count for a direct path [default: 10s]
    #[arg(long, env = "TUNNEL_P2P_PING_TIMEOUT", value_name = "TIME")]
    pub(crate) timeout: Option<Span>,
    /// Where the gateway's key is kept, by which hosts know it [default: as for `gateway`]
    #[arg(long, env = "TUNNEL_P2P_PING_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// The address of the network interface from which to reach the host [default: any]
    #[arg(long, env = "TUNNEL_P2P_PING_BIND", value_name = "ADDRESS")]
    pub(crate) bind: Option<IpAddr>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) network: PingNetworkOptions,
}

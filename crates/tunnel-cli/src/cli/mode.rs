//! The command line of `tunnel-p2p mode`.

use clap::{Args, ValueEnum};

use crate::admin::AdminAddress;

/// Options of `tunnel-p2p mode`.
///
/// Only the address may come from the environment: what changes a running gateway is said each time.
#[derive(Clone, Debug, Args)]
pub(crate) struct ModeOptions {
    /// The mode of all new requests; without it, only show
    #[arg(value_name = "MODE", value_enum)]
    pub(crate) mode: Option<ModeChoice>,
    /// Turn the kill switch, which is stronger than the mode
    #[arg(long, value_name = "ON|OFF", value_enum)]
    pub(crate) kill_switch: Option<Switch>,
    /// The admin endpoint of the gateway [default: `admin` in [gateway] of the configuration file, or 127.0.0.1:8018]
    #[arg(long, env = "TUNNEL_P2P_MODE_ADMIN", value_name = "ADDRESS:PORT")]
    pub(crate) admin: Option<AdminAddress>,
}

/// What an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeChoice {
    /// Only the tunnel server: the rollback
    Legacy,
    /// Peer to peer while that works, else the tunnel server
    P2pFirst,
    /// Only peer to peer
    P2pOnly,
    /// Nothing is set: rules, rollout and mode of the configuration decide
    Policy,
}

impl ModeChoice {
    /// The name, as the admin endpoint takes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::P2pFirst => "p2p-first",
            Self::P2pOnly => "p2p-only",
            Self::Policy => "policy",
        }
    }
}

/// A switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// Every new request takes the tunnel server
    On,
    /// The mode decides again
    Off,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  tunnel-p2p gateway --ticket-file ~/ticket --tunnel https://tunnel.example.org --client-id home \\
    --admin 127.0.0.1:8018
  tunnel-p2p mode                      show what holds
  tunnel-p2p mode legacy               roll back: everything takes the tunnel server
  tunnel-p2p mode policy               forward again: the configuration decides
  tunnel-p2p mode p2p-first --admin 127.0.0.1:8018
  tunnel-p2p mode --kill-switch on
  tunnel-p2p mode legacy --json

It holds from the next request on. Requests under way finish as they began. A mode
set here is stronger than rules, rollout and `mode` of the configuration, also when
that is read again; the kill switch is stronger still. Both are forgotten when the
gateway stops: what is to last belongs into its configuration.

Without an admin endpoint: create the file of `gateway --kill-switch-file FILE`, or
send the gateway SIGUSR1.

Exit codes:
  0  it is so now, or was so already
  1  refused: nothing has changed, or the kill switch's file keeps it on
  2  the command line is wrong
  3  nobody answers at the address";

//! The options of a gateway that finds its host by itself.

use std::path::PathBuf;

use clap::{Args, builder::BoolishValueParser};
use serde::{Deserialize, Serialize};

/// Who this gateway is, and whether it pairs; part of table `[gateway]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Pairing")]
pub(crate) struct GatewayPairingOptions {
    /// Where this gateway's key and the hosts it knows are kept, for one gateway at a time [default: $XDG_STATE_HOME/tunnel-p2p or ~/.local/state/tunnel-p2p]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// What `tunnel-p2p peers list` calls this gateway at the host [default: this machine's name]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_NAME", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Without a ticket, use the tunnel server only instead of finding the host through it
    #[arg(
        long,
        env = "TUNNEL_P2P_GATEWAY_NO_PAIRING",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub(crate) no_pairing: Option<bool>,
}

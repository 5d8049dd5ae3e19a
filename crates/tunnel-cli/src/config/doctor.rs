//! The options of `tunnel-p2p doctor`.

use std::{net::IpAddr, path::PathBuf};

use clap::Args;

use super::{network::DoctorNetworkOptions, time::Span};

/// Options of `tunnel-p2p doctor`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct DoctorOptions {
    /// Also connect to the host of this ticket, and say why the path is not direct if it is not
    #[arg(
        long,
        env = "TUNNEL_P2P_DOCTOR_PEER",
        hide_env_values = true,
        value_name = "TICKET",
        conflicts_with = "peer_file"
    )]
    pub(crate) peer: Option<String>,
    /// A file with that ticket
    #[arg(long, env = "TUNNEL_P2P_DOCTOR_PEER_FILE", value_name = "FILE")]
    pub(crate) peer_file: Option<PathBuf>,
    /// Also check this tunnel server [default: `tunnel` of [host] or [gateway] in the configuration file]
    #[arg(long, env = "TUNNEL_P2P_DOCTOR_TUNNEL", value_name = "URL")]
    pub(crate) tunnel: Option<String>,
    /// A file with the client's token at the tunnel server, to see whether it is accepted [default: that of the configuration file, or the host's own in the state directory]
    #[arg(long, env = "TUNNEL_P2P_DOCTOR_TUNNEL_TOKEN_FILE", value_name = "FILE")]
    pub(crate) tunnel_token_file: Option<PathBuf>,
    /// The client id to which that token belongs [default: that of the configuration file]
    #[arg(long, env = "TUNNEL_P2P_DOCTOR_CLIENT_ID", value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// Where the keys are kept that are looked at [default: as for `host`]
    #[arg(long, env = "TUNNEL_P2P_DOCTOR_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// The address of the network interface to use; 127.0.0.1 keeps everything on this machine [default: all]
    #[arg(long, env = "TUNNEL_P2P_DOCTOR_BIND", value_name = "ADDRESS")]
    pub(crate) bind: Option<IpAddr>,
    /// How long all checks together may take
    #[arg(long, env = "TUNNEL_P2P_DOCTOR_TIMEOUT", value_name = "TIME", default_value = "10s")]
    pub(crate) timeout: Option<Span>,
    #[command(flatten)]
    pub(crate) network: DoctorNetworkOptions,
}

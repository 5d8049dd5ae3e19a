//! The options of `tunnel-p2p tunnel-server`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, builder::BoolishValueParser};
use serde::{Deserialize, Serialize};

/// Options of `tunnel-p2p tunnel-server`; table `[tunnel-server]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct TunnelServerOptions {
    /// Where to listen; port 0 takes any free one [default: 127.0.0.1:8016]
    #[arg(long, env = "TUNNEL_P2P_TUNNEL_SERVER_LISTEN", value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// The token with which hosts register; give it to nobody else
    #[arg(long, env = "TUNNEL_P2P_TUNNEL_SERVER_ACCESS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) access_token: Option<String>,
    /// A file with that token
    #[arg(long, env = "TUNNEL_P2P_TUNNEL_SERVER_ACCESS_TOKEN_FILE", value_name = "FILE")]
    pub(crate) access_token_file: Option<PathBuf>,
    /// The SQLite file with the tokens [default: in memory, forgotten at the end]
    #[arg(long, env = "TUNNEL_P2P_TUNNEL_SERVER_DATABASE", value_name = "FILE")]
    pub(crate) database: Option<PathBuf>,
    /// Repeat the defects of the published tunnel server, to see what they do
    #[arg(
        long,
        env = "TUNNEL_P2P_TUNNEL_SERVER_FAITHFUL",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub(crate) faithful: Option<bool>,
}

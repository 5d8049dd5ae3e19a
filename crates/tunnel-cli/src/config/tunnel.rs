//! The options of the way through a tunnel server.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use tunnel_core::convert::LossClass;

/// How a gateway reaches the host through a tunnel server; part of table `[gateway]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Tunnel server")]
pub(crate) struct GatewayTunnelOptions {
    /// The tunnel server through which the host can be reached too: http(s)://HOST[:PORT]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_TUNNEL", value_name = "URL")]
    pub(crate) tunnel: Option<String>,
    /// The client's access token at the tunnel server, for requests that bring none of their own
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_TUNNEL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) tunnel_token: Option<String>,
    /// A file with that token
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_TUNNEL_TOKEN_FILE", value_name = "FILE")]
    pub(crate) tunnel_token_file: Option<PathBuf>,
    /// A signature token of the tunnel server, for WebSockets and media paths [default: fetched with the access token]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_TUNNEL_SIGNATURE", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) tunnel_signature: Option<String>,
    /// A file with that signature token
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_TUNNEL_SIGNATURE_FILE", value_name = "FILE")]
    pub(crate) tunnel_signature_file: Option<PathBuf>,
    /// What requests may lose on the tunnel server's protocol: headers, preconditions, query, numbers [default: headers]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_TUNNEL_ALLOW_LOSS", value_name = "CLASS", value_delimiter = ',', value_parser = loss_class)]
    #[serde(default, deserialize_with = "super::values::one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub(crate) tunnel_allow_loss: Vec<String>,
}

/// How a host offers its service through a tunnel server; part of table `[host]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Tunnel server")]
pub(crate) struct HostTunnelOptions {
    /// The tunnel server through which to be reached too: http(s)://HOST[:PORT]; needs --client-id
    #[arg(long, env = "TUNNEL_P2P_HOST_TUNNEL", value_name = "URL")]
    pub(crate) tunnel: Option<String>,
    /// The tunnel server's own access token, with which this host registers at its first start
    #[arg(long, env = "TUNNEL_P2P_HOST_TUNNEL_ACCESS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) tunnel_access_token: Option<String>,
    /// A file with that access token
    #[arg(long, env = "TUNNEL_P2P_HOST_TUNNEL_ACCESS_TOKEN_FILE", value_name = "FILE")]
    pub(crate) tunnel_access_token_file: Option<PathBuf>,
    /// This host's own token at the tunnel server [default: the one kept in the state directory]
    #[arg(long, env = "TUNNEL_P2P_HOST_TUNNEL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) tunnel_token: Option<String>,
    /// A file with that token
    #[arg(long, env = "TUNNEL_P2P_HOST_TUNNEL_TOKEN_FILE", value_name = "FILE")]
    pub(crate) tunnel_token_file: Option<PathBuf>,
    /// Offer the service through the tunnel server only
    #[arg(
        long,
        env = "TUNNEL_P2P_HOST_NO_P2P",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub(crate) no_p2p: Option<bool>,
    /// Let in no gateway that asks through the tunnel server; those that are in `peers list` stay
    #[arg(
        long,
        env = "TUNNEL_P2P_HOST_NO_PAIRING",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub(crate) no_pairing: Option<bool>,
}

/// A class of loss, kept as its name.
fn loss_class(text: &str) -> Result<String, String> {
    text.parse::<LossClass>().map(|class| class.name().to_owned()).map_err(|failure| failure.to_string())
}

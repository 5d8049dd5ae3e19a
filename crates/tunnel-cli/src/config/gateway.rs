//! The options of `tunnel-p2p gateway`.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::{Args, builder::BoolishValueParser};
use serde::{Deserialize, Serialize};

use super::{
    ProfileOption,
    network::GatewayNetworkOptions,
    pairing::GatewayPairingOptions,
    routing::RoutingOptions,
    time::Span,
    tunnel::GatewayTunnelOptions,
    values::{CongestionOption, one_or_many},
};

/// Options of `tunnel-p2p gateway`; table `[gateway]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct GatewayOptions {
    /// The ticket that the host printed; with --tunnel and --client-id the gateway finds the host without one
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_TICKET", hide_env_values = true)]
    pub(crate) ticket: Option<String>,
    /// A file with the ticket, so that it shows neither in the process list nor in the shell's history
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_TICKET_FILE", value_name = "FILE")]
    pub(crate) ticket_file: Option<PathBuf>,
    /// Where to offer HTTP; port 0 takes any free one [default: 127.0.0.1:8017]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_LISTEN", value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Which API to offer [default: moosicbox]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_PROFILE", value_enum)]
    pub(crate) profile: Option<ProfileOption>,
    /// The client id for requests that name none, and the only one accepted (profile moosicbox)
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_CLIENT_ID", value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// The token that clients must send; needed on any address but loopback
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_ACCESS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) access_token: Option<String>,
    /// A file with the access token
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_ACCESS_TOKEN_FILE", value_name = "FILE")]
    pub(crate) access_token_file: Option<PathBuf>,
    /// A host name by which apps may call the gateway, besides loopback names and the listening address
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_ALLOW_HOST", value_name = "HOST", value_delimiter = ',')]
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub(crate) allow_host: Vec<String>,
    /// An origin whose pages may call the gateway from a browser, besides loopback origins; `*` is any
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub(crate) allow_origin: Vec<String>,
    /// Leave the x-tunnel-* headers off the responses
    #[arg(
        long,
        env = "TUNNEL_P2P_GATEWAY_NO_TUNNEL_HEADERS",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub(crate) no_tunnel_headers: Option<bool>,
    /// The address of the network interface from which to reach the host [default: any]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_BIND", value_name = "ADDRESS")]
    pub(crate) bind: Option<IpAddr>,
    /// How the sender finds the rate of a link [default: bbr]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_CONGESTION", value_enum)]
    pub(crate) congestion: Option<CongestionOption>,
    /// How long one attempt to connect to the host, or to a tunnel server, may take [default: 5s]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_CONNECT_TIMEOUT", value_name = "TIME")]
    pub(crate) connect_timeout: Option<Span>,
    /// How long a request may wait for its response head; keep it above that of the host [default: 75s]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_HEAD_TIMEOUT", value_name = "TIME")]
    pub(crate) head_timeout: Option<Span>,
    /// How long a body may stand still while somebody waits for it [default: 1h, over the tunnel server 5m]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_BODY_IDLE_TIMEOUT", value_name = "TIME")]
    pub(crate) body_idle_timeout: Option<Span>,
    /// How long requests under way may take to finish after Ctrl-C [default: 10s]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_DRAIN_TIMEOUT", value_name = "TIME")]
    pub(crate) drain_timeout: Option<Span>,
    /// Where to tell and take what `tunnel-p2p status` shows and operators change; loopback only [default: nowhere]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_ADMIN", value_name = "ADDRESS:PORT")]
    pub(crate) admin: Option<SocketAddr>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) network: GatewayNetworkOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) tunnel: GatewayTunnelOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) pairing: GatewayPairingOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) routing: RoutingOptions,
}

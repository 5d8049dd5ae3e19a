//! The options of `tunnel-p2p host`.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{
    ProfileOption,
    network::{HostNetworkOptions, PublishOptions},
    time::Span,
    tunnel::HostTunnelOptions,
    values::CongestionOption,
};

/// Options of `tunnel-p2p host`; table `[host]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct HostOptions {
    /// The service to offer: http://ADDRESS:PORT or unix:PATH
    #[arg(long, env = "TUNNEL_P2P_HOST_SERVICE", value_name = "URL")]
    pub(crate) service: Option<String>,
    /// How requests are handed to the service [default: moosicbox]
    #[arg(long, env = "TUNNEL_P2P_HOST_PROFILE", value_enum)]
    pub(crate) profile: Option<ProfileOption>,
    /// The client id that this host answers to, announced to gateways
    #[arg(long, env = "TUNNEL_P2P_HOST_CLIENT_ID", value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// Where the key, the ticket secret and the list of peers are kept [default: $XDG_STATE_HOME/tunnel-p2p or ~/.local/state/tunnel-p2p]
    #[arg(long, env = "TUNNEL_P2P_HOST_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// The UDP port, fixed so that tickets survive restarts; 0 takes any free one [default: 17420]
    #[arg(long, env = "TUNNEL_P2P_HOST_PORT", value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// The address of the network interface to use [default: all]
    #[arg(long, env = "TUNNEL_P2P_HOST_BIND", value_name = "ADDRESS")]
    pub(crate) bind: Option<IpAddr>,
    /// How the sender finds the rate of a link [default: bbr]
    #[arg(long, env = "TUNNEL_P2P_HOST_CONGESTION", value_enum)]
    pub(crate) congestion: Option<CongestionOption>,
    /// How many requests each gateway may have under way at once; further ones wait (from a tunnel server: get 503) [default: 1024]
    #[arg(long, env = "TUNNEL_P2P_HOST_MAX_REQUESTS", value_name = "NUMBER")]
    pub(crate) max_requests: Option<u32>,
    /// How long the service, or a tunnel server, may take to accept a connection [default: 5s]
    #[arg(long, env = "TUNNEL_P2P_HOST_CONNECT_TIMEOUT", value_name = "TIME")]
    pub(crate) connect_timeout: Option<Span>,
    /// How long the service may take to answer with a response head [default: 1m]
    #[arg(long, env = "TUNNEL_P2P_HOST_HEAD_TIMEOUT", value_name = "TIME")]
    pub(crate) head_timeout: Option<Span>,
    /// How long a body may stand still while somebody waits for it [default: 1h]
    #[arg(long, env = "TUNNEL_P2P_HOST_BODY_IDLE_TIMEOUT", value_name = "TIME")]
    pub(crate) body_idle_timeout: Option<Span>,
    /// How long requests under way may take to finish after Ctrl-C [default: 10s]
    #[arg(long, env = "TUNNEL_P2P_HOST_DRAIN_TIMEOUT", value_name = "TIME")]
    pub(crate) drain_timeout: Option<Span>,
    /// Where to tell what `tunnel-p2p status` shows; loopback only [default: nowhere]
    #[arg(long, env = "TUNNEL_P2P_HOST_ADMIN", value_name = "ADDRESS:PORT")]
    pub(crate) admin: Option<SocketAddr>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) network: HostNetworkOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) publish: PublishOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) tunnel: HostTunnelOptions,
}

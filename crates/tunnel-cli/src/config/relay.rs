//! The options of `tunnel-p2p relay`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, builder::BoolishValueParser};
use serde::{Deserialize, Serialize};

use super::values::one_or_many;

/// Options of `tunnel-p2p relay`; table `[relay]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct RelayOptions {
    /// Where to listen for plain HTTP: the relay itself if there is no TLS, and with TLS the check for captive portals [default: 127.0.0.1:3340, with TLS nowhere]
    #[arg(long, env = "TUNNEL_P2P_RELAY_HTTP", value_name = "ADDRESS:PORT")]
    pub(crate) http: Option<SocketAddr>,
    /// Where to listen for HTTPS; needs a certificate [default: [::]:443 if there is one]
    #[arg(long, env = "TUNNEL_P2P_RELAY_HTTPS", value_name = "ADDRESS:PORT")]
    pub(crate) https: Option<SocketAddr>,
    /// The name or IP address under which host and gateway reach the relay [default: the address it listens on]
    #[arg(long, env = "TUNNEL_P2P_RELAY_HOST", value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// The certificate, and those between it and its root (PEM)
    #[arg(long, env = "TUNNEL_P2P_RELAY_TLS_CERT", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM)
    #[arg(long, env = "TUNNEL_P2P_RELAY_TLS_KEY", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Get the certificate from Let's Encrypt, and renew it
    #[arg(
        long,
        env = "TUNNEL_P2P_RELAY_ACME",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub(crate) acme: Option<bool>,
    /// The e-mail address to give to the authority of --acme
    #[arg(long, env = "TUNNEL_P2P_RELAY_ACME_CONTACT", value_name = "EMAIL")]
    pub(crate) acme_contact: Option<String>,
    /// Where the certificate of --acme and its keys are kept [default: $XDG_STATE_HOME/tunnel-p2p/acme or ~/.local/state/tunnel-p2p/acme]
    #[arg(long, env = "TUNNEL_P2P_RELAY_ACME_DIR", value_name = "DIR")]
    pub(crate) acme_dir: Option<PathBuf>,
    /// The directory URL of another authority for --acme [default: that of Let's Encrypt]
    #[arg(long, env = "TUNNEL_P2P_RELAY_ACME_DIRECTORY", value_name = "URL")]
    pub(crate) acme_directory: Option<String>,
    /// The token with which host and gateway may use the relay
    #[arg(long, env = "TUNNEL_P2P_RELAY_ACCESS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) access_token: Option<String>,
    /// A file with such tokens, one a line
    #[arg(long, env = "TUNNEL_P2P_RELAY_ACCESS_TOKEN_FILE", value_name = "FILE")]
    pub(crate) access_token_file: Option<PathBuf>,
    /// A peer that may use the relay without a token, by its id; repeat for more
    #[arg(long, env = "TUNNEL_P2P_RELAY_ALLOW_PEER", value_name = "PEER_ID", value_delimiter = ',')]
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub(crate) allow_peer: Vec<String>,
    /// Let everybody use the relay
    #[arg(
        long,
        env = "TUNNEL_P2P_RELAY_OPEN",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub(crate) open: Option<bool>,
    /// The UDP port of QUIC address discovery, on the address of --https; 0 takes any free one [default: 7842 if there is a certificate]
    #[arg(long, env = "TUNNEL_P2P_RELAY_QUIC_PORT", value_name = "PORT")]
    pub(crate) quic_port: Option<u16>,
    /// Offer no QUIC address discovery: most peers behind NAT routers then stay on the relay
    #[arg(
        long,
        env = "TUNNEL_P2P_RELAY_NO_QUIC",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub(crate) no_quic: Option<bool>,
    /// Where to serve metrics, as text for Prometheus; best on loopback [default: nowhere]
    #[arg(long, env = "TUNNEL_P2P_RELAY_METRICS", value_name = "ADDRESS:PORT")]
    pub(crate) metrics: Option<SocketAddr>,
    /// How many bytes per second each client may send [default: without limit]
    #[arg(long, env = "TUNNEL_P2P_RELAY_CLIENT_RATE", value_name = "BYTES_PER_SECOND")]
    pub(crate) client_rate: Option<u32>,
}

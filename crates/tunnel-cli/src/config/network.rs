//! The options of a peer's network: relays, lookups, and what is told of where it is.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use p2p_provider::iroh::Publish;
use serde::{Deserialize, Serialize};

use super::values::one_or_many;

/// What every peer is told of the network, as one struct for each command: the names of the environment variables
/// differ.
macro_rules! network_options {
    ($(#[$about:meta])* $name:ident, $prefix:literal, $relay:literal) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[command(next_help_heading = "Network")]
        pub(crate) struct $name {
            #[doc = $relay]
            #[arg(long, env = concat!($prefix, "RELAY"), value_name = "RELAY", value_delimiter = ',')]
            #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
            pub(crate) relay: Vec<String>,
            /// What relays of your own ask for: the access token that `tunnel-p2p relay` was given
            #[arg(long, env = concat!($prefix, "RELAY_TOKEN"), hide_env_values = true, value_name = "TOKEN")]
            pub(crate) relay_token: Option<String>,
            /// A file with that token
            #[arg(long, env = concat!($prefix, "RELAY_TOKEN_FILE"), value_name = "FILE")]
            pub(crate) relay_token_file: Option<PathBuf>,
            /// A PEM file with the authority that signed the certificates of your relays, if it is not a public one
            #[arg(long, env = concat!($prefix, "RELAY_CA"), value_name = "FILE")]
            pub(crate) relay_ca: Option<PathBuf>,
            /// How peers find each other besides by ticket: `mdns` (same LAN), `n0` (public), `https://HOST/pkarr` (your own server), `dns:ZONE`, or `none` [default: none]
            #[arg(long, env = concat!($prefix, "LOOKUP"), value_name = "LOOKUP", value_delimiter = ',')]
            #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
            pub(crate) lookup: Vec<String>,
            /// Do not ask the router to forward a port (UPnP, PCP, NAT-PMP)
            #[arg(
                long,
                env = concat!($prefix, "NO_PORT_MAPPING"),
                value_name = "BOOL",
                num_args = 0..=1,
                require_equals = true,
                default_missing_value = "true",
                value_parser = BoolishValueParser::new()
            )]
            pub(crate) no_port_mapping: Option<bool>,
        }

        impl $name {
            /// The same, whichever command it is of.
            pub(crate) fn network(&self) -> Network<'_> {
                Network {
                    relay: &self.relay,
                    relay_token: self.relay_token.as_ref(),
                    relay_token_file: self.relay_token_file.as_ref(),
                    relay_ca: self.relay_ca.as_ref(),
                    lookup: &self.lookup,
                    port_mapping: !self.no_port_mapping.unwrap_or_default(),
                }
            }
        }
    };
}

network_options!(
    /// The network of a host; part of table `[host]`.
    HostNetworkOptions,
    "TUNNEL_P2P_HOST_",
    "Relays for when no direct path exists, and to find one: `none`, `n0` (public, run by n0) or URLs of your own [default: none]"
);
network_options!(
    /// The network of a gateway; part of table `[gateway]`.
    GatewayNetworkOptions,
    "TUNNEL_P2P_GATEWAY_",
    "Relays, as for `host` [default: those that the ticket names]"
);
network_options!(
    /// The network of `ping`.
    PingNetworkOptions,
    "TUNNEL_P2P_PING_",
    "Relays, as for `host` [default: those that the ticket names]"
);
network_options!(
    /// The network of `doctor`.
    DoctorNetworkOptions,
    "TUNNEL_P2P_DOCTOR_",
    "Relays to check: `none`, `n0` or URLs of your own [default: `relay` of [host] or [gateway] in the configuration file, or those that the ticket names]"
);

/// The options of a peer's network, of any command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network<'a> {
    pub(crate) relay: &'a [String],
    pub(crate) relay_token: Option<&'a String>,
    pub(crate) relay_token_file: Option<&'a PathBuf>,
    pub(crate) relay_ca: Option<&'a PathBuf>,
    pub(crate) lookup: &'a [String],
    pub(crate) port_mapping: bool,
}

/// What a host tells of where it is; part of table `[host]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Network")]
pub(crate) struct PublishOptions {
    /// What tickets and lookups say of where this host is [default: all]
    #[arg(long, env = "TUNNEL_P2P_HOST_PUBLISH", value_enum)]
    pub(crate) publish: Option<PublishOption>,
    /// An address at which this host can be reached and that it cannot learn by itself, such as a forwarded port of the router
    #[arg(long, env = "TUNNEL_P2P_HOST_EXTERNAL_ADDRESS", value_name = "ADDRESS:PORT", value_delimiter = ',')]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) external_address: Vec<SocketAddr>,
}

/// What is told of where a host is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PublishOption {
    /// Its relays and all its addresses
    #[default]
    All,
    /// Its relays and its public addresses, none of the home network's
    Public,
    /// Its relays only
    Relay,
}

impl From<PublishOption> for Publish {
    fn from(option: PublishOption) -> Self {
        match option {
            PublishOption::All => Self::All,
            PublishOption::Public => Self::Public,
            PublishOption::Relay => Self::Relays,
        }
    }
}

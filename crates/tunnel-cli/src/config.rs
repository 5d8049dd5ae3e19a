//! Options from flags, environment and file, in this order of precedence.
//!
//! One struct per table describes the flags (by clap, which also reads the environment) and the keys of the file (by
//! serde): an option exists in both or in neither. Defaults are where the options are used.

mod doctor;
mod file;
mod gateway;
mod host;
mod network;
mod pairing;
mod ping;
mod relay;
mod routing;
mod seeds;
mod time;
mod tunnel;
mod tunnel_server;
mod values;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub(crate) use self::{
    doctor::DoctorOptions,
    file::ConfigFile,
    gateway::GatewayOptions,
    host::HostOptions,
    network::{DoctorNetworkOptions, Network},
    ping::PingOptions,
    relay::RelayOptions,
    routing::{ModeOption, RoutingOptions, RuleOption},
    seeds::Seeds,
    time::{Span, set},
    tunnel_server::TunnelServerOptions,
    values::ProfileOption,
};
use crate::error::CliError;

/// Options of the logs; table `[log]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct LogOptions {
    /// Which log lines to show: a level or a filter such as `warn,tunnel_p2p=debug` [default: warn]
    #[arg(id = "filter", long = "log-filter", global = true, env = "TUNNEL_P2P_LOG", value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// How log lines look [default: text]
    #[arg(
        id = "format",
        long = "log-format",
        global = true,
        env = "TUNNEL_P2P_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum
    )]
    pub(crate) format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Options that say the same thing in two ways.
const ALTERNATIVES: [[&str; 2]; 6] = [
    ["ticket", "ticket-file"],
    ["access-token", "access-token-file"],
    ["relay-token", "relay-token-file"],
    ["tunnel-token", "tunnel-token-file"],
    ["tunnel-signature", "tunnel-signature-file"],
    ["tunnel-access-token", "tunnel-access-token-file"],
];

/// Lays the flags (and environment) of a command over its table of the file.
pub(crate) fn layered<T>(file: &ConfigFile, table: &str, flags: &T) -> Result<T, CliError>
where
    T: Serialize + DeserializeOwned,
{
    let mut merged = file.table(table);
    let flags = toml::Table::try_from(flags)
        .map_err(|error| CliError::failed(format!("the options of [{table}] cannot be merged")).because(error))?;
    for [one, other] in ALTERNATIVES {
        // A ticket given as a flag also puts aside the ticket file of the configuration file.
        if flags.contains_key(one) || flags.contains_key(other) {
            merged.remove(one);
            merged.remove(other);
        }
    }
    merged.extend(flags);
    for [one, other] in ALTERNATIVES {
        if merged.contains_key(one) && merged.contains_key(other) {
            let from = "look at the flags, at the TUNNEL_P2P_* environment variables and at the configuration file";
            return Err(
                CliError::usage(format!("`{one}` and `{other}` are both given in [{table}]: choose one")).next(from)
            );
        }
    }
    merged.try_into().map_err(|error| CliError::failed(format!("the options of [{table}] do not fit")).because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_fills_the_rest() {
        let file = ConfigFile::parse("test.toml", "[host]\nport = 1\nclient-id = 'file'\nrelay = 'none'\n").unwrap();
        let flags = HostOptions { port: Some(2), ..HostOptions::default() };
        let merged = layered(&file, "host", &flags).unwrap();
        assert_eq!(merged.port, Some(2));
        assert_eq!(merged.client_id.as_deref(), Some("file"));
        assert_eq!(merged.network.relay, ["none"]);
    }

    #[test]
    fn a_ticket_flag_puts_the_ticket_file_of_the_file_aside() {
        let file = ConfigFile::parse("test.toml", "[gateway]\nticket-file = '/x'\n").unwrap();
        let flags = GatewayOptions { ticket: Some("t".to_owned()), ..GatewayOptions::default() };
        let merged = layered(&file, "gateway", &flags).unwrap();
        assert_eq!((merged.ticket.as_deref(), merged.ticket_file), (Some("t"), None));

        let both = GatewayOptions { ticket_file: Some("/x".into()), ..flags };
        assert!(layered(&file, "gateway", &both).is_err());
    }
}

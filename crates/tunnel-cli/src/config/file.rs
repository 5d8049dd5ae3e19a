//! The configuration file.

use std::path::Path;

use clap::Args;
use serde::de::DeserializeOwned;
use toml::Table;

use super::{GatewayOptions, HostOptions, LogOptions, RelayOptions, TunnelServerOptions};
use crate::error::CliError;

/// How alike two keys must be to be named as a likely typing error; 1 is equal (Jaro-Winkler).
const LIKELY: f64 = 0.75;

/// A configuration file, checked: every table and key is known and has the right type.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigFile {
    tables: Table,
}

impl ConfigFile {
    /// Reads and checks the file; without a path, everything is at its default.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, CliError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path).map_err(|error| {
            CliError::usage(format!("the configuration file {} cannot be read", path.display())).because(error)
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Checks the text of a file of this name.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, CliError> {
        let tables: Table = toml::from_str(text)
            .map_err(|error| CliError::usage(format!("{name} is not valid TOML")).because(error))?;
        for (table, value) in &tables {
            let Some(value) = value.as_table() else {
                return Err(unknown(name, &format!("key `{table}`"), table, &TABLES.map(String::from)));
            };
            match table.as_str() {
                "host" => check::<HostOptions>(name, table, value)?,
                "gateway" => check::<GatewayOptions>(name, table, value)?,
                "tunnel-server" => check::<TunnelServerOptions>(name, table, value)?,
                "relay" => check::<RelayOptions>(name, table, value)?,
                "log" => check::<LogOptions>(name, table, value)?,
                _ => return Err(unknown(name, &format!("table [{table}]"), table, &TABLES.map(String::from))),
            }
        }
        Ok(Self { tables })
    }

    /// The table of this name; empty if the file has none.
    pub(super) fn table(&self, name: &str) -> Table {
        self.tables.get(name).and_then(|table| table.as_table()).cloned().unwrap_or_default()
    }
}

const TABLES: [&str; 5] = ["host", "gateway", "tunnel-server", "relay", "log"];

fn check<T: Args + DeserializeOwned>(name: &str, table: &str, values: &Table) -> Result<(), CliError> {
    let known = keys::<T>(table);
    for key in values.keys() {
        if !known.contains(key) {
            return Err(unknown(name, &format!("key `{key}` in [{table}]"), key, &known));
        }
    }
    for (key, value) in values {
        let one = Table::from_iter([(key.clone(), value.clone())]);
        one.try_into::<T>().map_err(|error| {
            CliError::usage(format!("{name}: `{key}` in [{table}] has a value that does not fit: {value}"))
                .because(anyhow::anyhow!(error.message().to_owned()))
        })?;
    }
    Ok(())
}

/// The keys of a table: the long flags, without the prefix that sets the flags of `[log]` apart.
fn keys<T: Args>(table: &str) -> Vec<String> {
    let prefix = format!("{table}-");
    let command = T::augment_args(clap::Command::new("keys"));
    let longs = command.get_arguments().filter_map(clap::Arg::get_long);
    longs.map(|long| long.strip_prefix(&prefix).unwrap_or(long).to_owned()).collect()
}

fn unknown(name: &str, what: &str, word: &str, known: &[String]) -> CliError {
    let nearest = known
        .iter()
        .map(|key| (strsim::jaro_winkler(key, word), key))
        .filter(|(likeness, _)| *likeness > LIKELY)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let error = CliError::usage(format!("{name}: unknown {what}; known are {}", known.join(", ")));
    match nearest {
        Some((_, key)) => error.next(format!("did you mean `{key}`?")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        ConfigFile::parse("test.toml", text).expect_err("refused").to_string()
    }

    #[test]
    fn unknown_keys_are_named_with_file_and_nearest_match() {
        let message = refusal("[host]\nservise = 'http://127.0.0.1:1'\n");
        assert!(message.contains("test.toml"), "{message}");
        assert!(message.contains("`servise` in [host]"), "{message}");
        assert!(message.contains("did you mean `service`?"), "{message}");
        assert!(refusal("[hosts]\n").contains("did you mean `host`?"));
        assert!(refusal("service = 'x'\n").contains("unknown key `service`"));
    }

    #[test]
    fn values_of_the_wrong_type_are_named() {
        let message = refusal("[host]\nport = 'x'\n");
        assert!(message.contains("`port` in [host]"), "{message}");
        let message = refusal("[gateway]\nhead-timeout = 'soon'\n");
        assert!(message.contains("`head-timeout` in [gateway]"), "{message}");
        let message = refusal("[gateway]\nrule = '/a=fast'\n");
        assert!(message.contains("`rule` in [gateway]") && message.contains("p2p-first"), "{message}");
        let message = refusal("[gateway]\nrollout = 101\n");
        assert!(message.contains("`rollout` in [gateway]") && message.contains("0 to 100"), "{message}");
    }

    #[test]
    fn every_key_that_is_a_flag_is_also_a_key_of_the_file() {
        for text in [
            "[log]\nfilter = 'info'\nformat = 'json'\n",
            "[host]\nservice = 'x'\nprofile = 'plain'\nstate-dir = '/x'\nport = 0\nrelay = ['a', 'b']\n",
            "[gateway]\nticket = 'x'\nlisten = '127.0.0.1:0'\nallow-host = ['a']\nno-tunnel-headers = true\n",
            "[gateway]\ntunnel = 'x'\nmode = 'legacy'\nrollout = 5\nrule = '/a=legacy'\ntunnel-allow-loss = ['query']\n",
            "[[gateway.rule]]\npath = '/a/**'\nmode = 'p2p-only'\n",
            "[host]\ntunnel = 'x'\nno-p2p = true\nadmin = '127.0.0.1:0'\n",
            "[tunnel-server]\nlisten = '127.0.0.1:0'\nfaithful = false\n",
            "[relay]\nhttps = '[::]:443'\nhost = 'relay.example.org'\nallow-peer = ['a']\nno-quic = true\nclient-rate = 1\n",
        ] {
            ConfigFile::parse("test.toml", text).unwrap();
        }
    }
}

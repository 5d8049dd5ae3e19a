//! What is to be checked: flags, and under them the tables of a host and a gateway.

use std::path::{Path, PathBuf};

use p2p_provider::{
    SecretKey,
    iroh::{CongestionControl, IrohConfig, Relay, Relays},
};
use tunnel_p2p::Ticket;

use super::{
    check::{Check, Topic},
    tunnel::Question,
};
use crate::{
    commands::{host, ping},
    config::{ConfigFile, DoctorNetworkOptions, DoctorOptions, GatewayOptions, HostOptions, layered},
    error::CliError,
    p2p,
    secret::secret,
    state::{GatewayIdentity, StateDir},
};

/// What is to be checked.
pub(super) struct Settings {
    /// What is wrong with the settings themselves.
    pub(super) checks: Vec<Check>,
    pub(super) peer: IrohConfig,
    pub(super) relays: Vec<Relay>,
    pub(super) ticket: Option<Ticket>,
    pub(super) tunnel: Option<Question>,
    pub(super) states: Vec<StateDir>,
    pub(super) files: Vec<(&'static str, PathBuf)>,
    pub(super) host_port: u16,
    /// Held as long as the key is used.
    pub(super) _identity: Option<GatewayIdentity>,
}

impl Settings {
    /// Reads them. Of what cannot be read there is a check; only a ticket that is none is an error.
    pub(super) fn new(
        options: &DoctorOptions,
        file: &ConfigFile,
        unread: Option<&CliError>,
        path: Option<&Path>,
    ) -> Result<Self, CliError> {
        let mut checks = vec![configuration(unread, path)];
        let ticket = secret("ticket", options.peer.as_ref(), options.peer_file.as_deref())?;
        let ticket = ticket.map(|ticket| ping::parse(&ticket)).transpose()?;
        let mut host: HostOptions = or_default(layered(file, "host", &HostOptions::default()), &mut checks);
        let mut gateway: GatewayOptions = or_default(layered(file, "gateway", &GatewayOptions::default()), &mut checks);
        if let Some(directory) = &options.state_dir {
            host.state_dir = Some(directory.clone());
            gateway.pairing.state_dir = Some(directory.clone());
        }
        let mut states = vec![StateDir::new(host.state_dir.clone())?];
        if gateway.pairing.state_dir.as_ref().is_some_and(|directory| *directory != states[0].path()) {
            states.push(StateDir::new(gateway.pairing.state_dir.clone())?);
        }
        let identity = match &ticket {
            Some(ticket) => ping::identity(ticket, gateway.pairing.state_dir.as_deref())?,
            None => None,
        };
        let key = identity.as_ref().map_or_else(SecretKey::generate, |identity| identity.key.clone());
        let network = network(options, file, &host);
        let network = or_default(network, &mut checks);
        let listen = p2p::Listen { bind: options.bind, port: 0 };
        let config = |network: &DoctorNetworkOptions| {
            p2p::client_config(key.clone(), listen, network.network(), CongestionControl::default())
        };
        let mut peer = match config(&network) {
            Ok(peer) => peer,
            Err(error) => {
                checks.push(wrong(&error));
                config(&DoctorNetworkOptions::default())?
            }
        };
        if let (Relays::OfPeers { token }, Some(ticket)) = (&peer.relays, &ticket)
            && !ticket.host.relays.is_empty()
        {
            let relays = ticket.host.relays.iter().map(|url| Relay::new(url).token(token.clone()));
            peer.relays = Relays::Custom(relays.collect());
        }
        let tunnel = or_default(tunnel(options, &host, &gateway, &states[0]).map(Some), &mut checks).flatten();
        Ok(Self {
            relays: peer.relays.list(),
            files: files(options, &network, &host, &gateway),
            host_port: host.port.unwrap_or(host::PORT),
            checks,
            peer,
            ticket,
            tunnel,
            states,
            _identity: identity,
        })
    }
}

fn configuration(unread: Option<&CliError>, path: Option<&Path>) -> Check {
    match (unread, path) {
        (Some(error), _) => wrong(error),
        (None, Some(path)) => {
            Check::ok(Topic::Configuration, "every table and key is known").of(path.display().to_string())
        }
        (None, None) => Check::not_checked(Topic::Configuration, "no file is given (--config FILE)"),
    }
}

fn wrong(error: &CliError) -> Check {
    let (found, next) = error.parts();
    let check = Check::failed(Topic::Configuration, found);
    match next {
        Some(next) => check.next(next),
        None => check.next("mend this first; spec/configuration.md has every option"),
    }
}

fn or_default<T: Default>(result: Result<T, CliError>, checks: &mut Vec<Check>) -> T {
    result.unwrap_or_else(|error| {
        checks.push(wrong(&error));
        T::default()
    })
}

/// The flags over the table that says something of relays.
fn network(options: &DoctorOptions, file: &ConfigFile, host: &HostOptions) -> Result<DoctorNetworkOptions, CliError> {
    let table = if host.network.relay.is_empty() { "gateway" } else { "host" };
    layered(file, table, &options.network)
}

fn tunnel(
    options: &DoctorOptions,
    host: &HostOptions,
    gateway: &GatewayOptions,
    state: &StateDir,
) -> Result<Option<Question>, CliError> {
    let given = options.tunnel.as_ref().or(gateway.tunnel.tunnel.as_ref()).or(host.tunnel.tunnel.as_ref());
    let Some(url) = given.cloned() else { return Ok(None) };
    let client_id = options.client_id.as_ref().or(gateway.client_id.as_ref()).or(host.client_id.as_ref()).cloned();
    let of = |token: Option<&String>, file: Option<&Path>| secret("tunnel token", token, file);
    let mut token = of(None, options.tunnel_token_file.as_deref())?;
    if token.is_none() {
        token = of(gateway.tunnel.tunnel_token.as_ref(), gateway.tunnel.tunnel_token_file.as_deref())?;
    }
    if token.is_none() {
        token = of(host.tunnel.tunnel_token.as_ref(), host.tunnel.tunnel_token_file.as_deref())?;
    }
    if let (None, Some(client_id)) = (&token, &client_id) {
        // One that others can read is found among the files.
        token = state.tunnel_token(&url, client_id).unwrap_or_default();
    }
    Ok(Some(Question { url, client_id, token }))
}

/// The files with secrets that options name.
fn files(
    options: &DoctorOptions,
    network: &DoctorNetworkOptions,
    host: &HostOptions,
    gateway: &GatewayOptions,
) -> Vec<(&'static str, PathBuf)> {
    let named = [
        ("ticket", &options.peer_file),
        ("tunnel token", &options.tunnel_token_file),
        ("relay token", &network.relay_token_file),
        ("relay token", &host.network.relay_token_file),
        ("relay token", &gateway.network.relay_token_file),
        ("ticket", &gateway.ticket_file),
        ("access token", &gateway.access_token_file),
        ("tunnel token", &gateway.tunnel.tunnel_token_file),
        ("tunnel signature", &gateway.tunnel.tunnel_signature_file),
        ("tunnel token", &host.tunnel.tunnel_token_file),
        ("tunnel access token", &host.tunnel.tunnel_access_token_file),
    ];
    let mut files: Vec<(&str, PathBuf)> = Vec::new();
    for (what, path) in named {
        if let Some(path) = path
            && !files.iter().any(|(_, known)| known == path)
        {
            files.push((what, path.clone()));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::State;

    fn settings(text: &str, options: &DoctorOptions) -> Settings {
        let file = ConfigFile::parse("test.toml", text).unwrap();
        Settings::new(options, &file, None, None).unwrap()
    }

    fn options() -> DoctorOptions {
        DoctorOptions { state_dir: Some("/nonexistent/state".into()), ..DoctorOptions::default() }
    }

    fn urls(settings: &Settings) -> Vec<&str> {
        settings.relays.iter().map(|relay| relay.url.as_str()).collect()
    }

    #[test]
    fn nobody_is_asked_unless_somebody_is_named() {
        let found = settings("", &options());
        assert!(found.relays.is_empty() && found.tunnel.is_none() && found.peer.lookups.is_empty());
    }

    #[test]
    fn flags_win_over_the_table_that_names_relays() {
        let text = "[host]\nrelay = 'https://host.example'\ntunnel = 'https://t.example'\nclient-id = 'home'\nport = 1\n\
                    [gateway]\nrelay = 'https://gateway.example'\n";
        let found = settings(text, &options());
        assert_eq!(urls(&found), ["https://host.example"]);
        assert_eq!(found.host_port, 1);
        let tunnel = found.tunnel.unwrap();
        assert_eq!((tunnel.url.as_str(), tunnel.client_id.as_deref()), ("https://t.example", Some("home")));
        assert_eq!(urls(&settings("[gateway]\nrelay = 'https://g.example'\n", &options())), ["https://g.example"]);
        let mut flags = options();
        flags.network.relay = vec!["https://flag.example".to_owned()];
        flags.tunnel = Some("https://other.example".to_owned());
        let found = settings(text, &flags);
        assert_eq!(urls(&found), ["https://flag.example"]);
        assert_eq!(found.tunnel.unwrap().url, "https://other.example");
    }

    #[test]
    fn settings_that_do_not_fit_are_found_and_the_rest_is_checked() {
        let found = settings("[gateway]\nrelay-token-file = '/nonexistent/token'\n", &options());
        assert!(
            found.checks.iter().any(|check| check.state == State::Failed && check.found.contains("/nonexistent/token"))
        );
        assert_eq!(found.files, [("relay token", PathBuf::from("/nonexistent/token"))]);
        let both = settings("[gateway]\nticket = 'a'\nticket-file = 'b'\n", &options());
        assert!(both.checks.iter().any(|check| check.state == State::Failed && check.found.contains("both given")));
    }
}

//! `tunnel-p2p peers`.

mod select;
mod table;

use std::path::PathBuf;

use serde_json::{Value, json};
use tunnel_p2p::pairing::{AuthorizeError, AuthorizedPeers, How, KnownHost, KnownHosts, PeerEntry, StateFileError};

use self::select::{described, select};
use crate::{
    cli::{AllowOptions, ForgetOptions, ListOptions, PeersCommand, PeersOptions, RevokeOptions},
    config::{ConfigFile, GatewayOptions, HostOptions, layered},
    error::{CliError, Outcome},
    output::Output,
    state::StateDir,
};

/// Shows or changes the lists of the state directory.
pub(super) fn run(options: PeersOptions, file: &ConfigFile, output: Output) -> Result<Outcome, CliError> {
    match options.command {
        PeersCommand::List(options) => list(options, file, output),
        PeersCommand::Revoke(options) => revoke(options, file, output),
        PeersCommand::Allow(options) => allow(options, file, output),
        PeersCommand::Forget(options) => forget(options, file, output),
    }
}

fn list(options: ListOptions, file: &ConfigFile, output: Output) -> Result<Outcome, CliError> {
    let peers = authorized(options.state_dir, file)?.list();
    let hosts = known_hosts(options.gateway_state_dir, file)?.list().map_err(|error| unusable(&error))?;
    output.json(&json!({
        "event": "peers",
        "peers": peers.iter().map(peer).collect::<Vec<_>>(),
        "hosts": hosts.iter().map(host).collect::<Vec<_>>(),
    }));
    if peers.is_empty() {
        output.note("Nobody has used this machine's host yet, and nobody is let in by a key.");
    } else {
        output.text(table::peers(&peers));
    }
    if !hosts.is_empty() {
        output.text("\nHosts that this machine's gateway knows:");
        output.text(table::hosts(&hosts));
    }
    Ok(Outcome::Done)
}

fn revoke(options: RevokeOptions, file: &ConfigFile, output: Output) -> Result<Outcome, CliError> {
    let peers = authorized(options.state_dir, file)?;
    let revoked = if let Some(text) = &options.peer {
        revoke_one(&peers, text, output)?
    } else {
        let revoked = peers.revoke_all().map_err(not_changed)?;
        output.note(match revoked.len() {
            0 => "There was nobody to revoke.".to_owned(),
            1 => "Revoked one peer.".to_owned(),
            count => format!("Revoked {count} peers."),
        });
        revoked
    };
    let ids: Vec<String> = revoked.iter().map(|entry| entry.peer.to_string()).collect();
    output.json(&json!({ "event": "revoked", "peers": ids }));
    for id in ids {
        output.text(id);
    }
    if !revoked.is_empty() {
        output.note("A running host closes their connections at once.");
        output.note(
            "Whoever holds a ticket of this host can come back under a new key. If that may be: \
             tunnel-p2p id --new-secret, and restart the host.",
        );
    }
    if revoked.iter().any(|entry| entry.how == How::Tunnel) {
        output.note(
            "Whoever holds the client's token at the tunnel server can pair again under a new key. If that may be: \
             change the token, or run the host with --no-pairing.",
        );
    }
    Ok(Outcome::Done)
}

/// The peer that is meant, unless it was revoked before.
fn revoke_one(peers: &AuthorizedPeers, text: &str, output: Output) -> Result<Vec<PeerEntry>, CliError> {
    let (id, entry) = select(&peers.list(), text)?;
    let new = peers.revoke(id).map_err(not_changed)?;
    let shown = entry.as_ref().map_or_else(|| id.to_string(), described);
    output.note(if new { format!("Revoked {shown}.") } else { format!("{shown} was revoked before.") });
    Ok(peers.find(id).into_iter().filter(|_| new).collect())
}

fn allow(options: AllowOptions, file: &ConfigFile, output: Output) -> Result<Outcome, CliError> {
    let peers = authorized(options.state_dir, file)?;
    let (id, _) = select(&peers.list(), &options.peer)?;
    let entry = peers.allow(id, options.name.as_deref()).map_err(not_changed)?;
    output.json(&json!({ "event": "allowed", "peer": peer(&entry) }));
    output.text(entry.peer.to_string());
    output.note(format!("{} is let in by its key from now on.", described(&entry)));
    Ok(Outcome::Done)
}

fn forget(options: ForgetOptions, file: &ConfigFile, output: Output) -> Result<Outcome, CliError> {
    let hosts = known_hosts(options.state_dir, file)?;
    let client_id = &options.client_id;
    let gone = hosts.forget(client_id).map_err(|error| unusable(&error))?;
    if gone.is_empty() {
        return Err(CliError::failed(format!("no host of client id {client_id:?} is known"))
            .next("tunnel-p2p peers list shows those that are; --state-dir says where the gateway keeps them"));
    }
    output.json(&json!({ "event": "forgotten", "hosts": gone.iter().map(host).collect::<Vec<_>>() }));
    for host in &gone {
        output.text(host.ticket.host.id.to_string());
        output.note(format!(
            "Forgot the host {client_id:?} at {}. The gateway takes the next one that the tunnel server names: compare \
             its peer id with `tunnel-p2p id` there.",
            host.tunnel
        ));
    }
    Ok(Outcome::Done)
}

fn authorized(state_dir: Option<PathBuf>, file: &ConfigFile) -> Result<AuthorizedPeers, CliError> {
    let flags = HostOptions { state_dir, ..HostOptions::default() };
    let options: HostOptions = layered(file, "host", &flags)?;
    let state = StateDir::new(options.state_dir)?;
    AuthorizedPeers::open(state.peers()).map_err(|error| unusable(&error))
}

fn known_hosts(state_dir: Option<PathBuf>, file: &ConfigFile) -> Result<KnownHosts, CliError> {
    let mut flags = GatewayOptions::default();
    flags.pairing.state_dir = state_dir;
    let options: GatewayOptions = layered(file, "gateway", &flags)?;
    Ok(KnownHosts::new(StateDir::new(options.pairing.state_dir)?.hosts()))
}

fn unusable(error: &StateFileError) -> CliError {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let error = CliError::start(error.to_string());
    match cause {
        Some(cause) => error.because(anyhow::anyhow!(cause)),
        None => error,
    }
}

fn not_changed(error: AuthorizeError) -> CliError {
    match error {
        AuthorizeError::File(error) => unusable(&error),
        other => CliError::failed("the list of peers was not changed").because(other),
    }
}

fn peer(entry: &PeerEntry) -> Value {
    json!({
        "peer": entry.peer.to_string(),
        "state": table::state(entry),
        "how": entry.how.name(),
        "client_id": entry.client_id,
        "since": entry.since_text(),
        "name": entry.name,
    })
}

fn host(host: &KnownHost) -> Value {
    json!({
        "client_id": host.client_id,
        "tunnel": host.tunnel,
        "peer": host.ticket.host.id.to_string(),
        "addresses": host.ticket.host.direct,
        "relays": host.ticket.host.relays,
        "since": host.since_text(),
    })
}

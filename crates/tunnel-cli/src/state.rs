//! What a host keeps between runs: its key, the secret of its ticket, its list of peers and its token at a tunnel server;
//! and a gateway: its key and the hosts it knows.

mod identity;
mod tunnel_token;

use std::{
    env,
    path::{Path, PathBuf},
};

use p2p_provider::{
    KeyFileError, SecretKey,
    key_file::{load, load_or_create, replace},
};

pub(crate) use self::{identity::GatewayIdentity, tunnel_token::TunnelToken};
use crate::error::CliError;

const TUNNEL_TOKEN: &str = "host.tunnel-token";

/// The directory in which a host, and a gateway, keep what they need again.
#[derive(Clone, Debug)]
pub(crate) struct StateDir(PathBuf);

impl StateDir {
    /// The given directory, or `$XDG_STATE_HOME/tunnel-p2p`, or `~/.local/state/tunnel-p2p`.
    pub(crate) fn new(given: Option<PathBuf>) -> Result<Self, CliError> {
        let of = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        given
            .or_else(|| of("XDG_STATE_HOME").map(|path| path.join("tunnel-p2p")))
            .or_else(|| of("HOME").map(|path| path.join(".local/state/tunnel-p2p")))
            .map(Self)
            .ok_or_else(|| {
                CliError::usage("there is no place for the key: neither $XDG_STATE_HOME nor $HOME is set")
                    .next("give a directory: --state-dir DIR")
            })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Who may use the host.
    pub(crate) fn peers(&self) -> PathBuf {
        self.0.join("peers")
    }

    /// The hosts that the gateway knows.
    pub(crate) fn hosts(&self) -> PathBuf {
        self.0.join("hosts")
    }

    /// The gateway's identity, made at the first call, for as long as nobody else has it.
    pub(crate) fn gateway_identity(&self) -> Result<GatewayIdentity, CliError> {
        GatewayIdentity::take(self)
    }

    /// The host's identity, if there is one.
    pub(crate) fn key(&self) -> Result<SecretKey, CliError> {
        load(&self.0.join("host.key")).map_err(|error| unusable(&error))
    }

    /// The host's identity, made at the first call.
    pub(crate) fn key_or_create(&self) -> Result<SecretKey, CliError> {
        load_or_create(&self.0.join("host.key")).map_err(|error| unusable(&error))
    }

    /// The secret inside the host's ticket, made at the first call.
    pub(crate) fn secret_or_create(&self) -> Result<SecretKey, CliError> {
        load_or_create(&self.0.join("host.secret")).map_err(|error| unusable(&error))
    }

    /// The host's token at this tunnel server, if it has registered there under this client id.
    pub(crate) fn tunnel_token(&self, url: &str, client_id: &str) -> Result<Option<String>, CliError> {
        let kept = tunnel_token::load(&self.0.join(TUNNEL_TOKEN))?;
        Ok(kept.filter(|kept| kept.url == url && kept.client_id == client_id).map(|kept| kept.token))
    }

    /// Keeps the host's token at a tunnel server, in the place of any other.
    pub(crate) fn keep_tunnel_token(&self, token: &TunnelToken) -> Result<(), CliError> {
        tunnel_token::store(&self.0.join(TUNNEL_TOKEN), token)
    }

    /// Replaces the secret inside the host's ticket.
    pub(crate) fn rotate_secret(&self) -> Result<(), CliError> {
        replace(&self.0.join("host.secret"), &SecretKey::generate()).map_err(|error| unusable(&error))
    }
}

fn unusable(error: &KeyFileError) -> CliError {
    let missing = matches!(error, KeyFileError::Missing { .. });
    let error = CliError::start(error.to_string());
    if missing {
        error.next("`tunnel-p2p host` makes it at its first start, `tunnel-p2p id --create` now")
    } else {
        error
    }
}

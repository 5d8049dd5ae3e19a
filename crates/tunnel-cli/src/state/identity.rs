//! The key of a gateway, held by one process at a time.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
};

use p2p_provider::{SecretKey, key_file::load_or_create};

use super::StateDir;
use crate::error::CliError;

/// A gateway's key. Two gateways with one key at once would take each other's connections at a relay, so it comes with a
/// lock that ends with the process.
#[derive(Debug)]
pub(crate) struct GatewayIdentity {
    /// Who the gateway is.
    pub(crate) key: SecretKey,
    _lock: fs::File,
}

impl GatewayIdentity {
    pub(super) fn take(state: &StateDir) -> Result<Self, CliError> {
        let path = state.path().join("gateway.lock");
        let open = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(state.path())?;
            fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)
        };
        let lock = open().map_err(|error| {
            CliError::start(format!("{} cannot be written", path.display()))
                .because(error)
                .next("give a directory that this user can write: --state-dir DIR")
        })?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => {
                CliError::start(format!("another gateway is running with the key in {}", state.path().display()))
                    .next("stop it, or give this one a directory of its own: --state-dir DIR")
            }
            fs::TryLockError::Error(error) => CliError::start(format!("{} cannot be locked", path.display()))
                .because(error)
                .next("give a directory on a local disk: --state-dir DIR"),
        })?;
        let key = load_or_create(&state.path().join("gateway.key")).map_err(|error| {
            CliError::start(error.to_string()).next("mend it, or give another directory: --state-dir DIR")
        })?;
        Ok(Self { key, _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_and_held_by_one_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::new(Some(directory.path().join("state"))).unwrap();
        let first = state.gateway_identity().unwrap();
        let message = state.gateway_identity().expect_err("it is taken").to_string();
        assert!(message.contains("another gateway") && message.contains("--state-dir"), "{message}");
        let key = first.key.clone();
        drop(first);
        assert_eq!(state.gateway_identity().unwrap().key, key);
    }
}

//! The token that a tunnel server gave to this host.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::error::CliError;

/// A token, with what it is good for: another tunnel server or another client id needs another one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TunnelToken {
    /// The tunnel server.
    pub(crate) url: String,
    /// The account.
    pub(crate) client_id: String,
    /// The secret.
    pub(crate) token: String,
}

/// What the token is good for. In a file of its own, so that the one with the token holds nothing else and can be given
/// to a gateway.
#[derive(Serialize, Deserialize)]
struct Account {
    url: String,
    client_id: String,
}

/// The token in the file, if there is one and somebody knows what it is good for. A file that others can read is refused.
pub(super) fn load(path: &Path) -> Result<Option<TunnelToken>, CliError> {
    let (Some(account), Some(token)) = (read(&account_file(path))?, read(path)?) else { return Ok(None) };
    let Account { url, client_id } = serde_json::from_str(&account).map_err(|error| {
        let account = account_file(path);
        CliError::start(format!("{} does not say what the tunnel token is good for", account.display()))
            .because(error)
            .next("remove it; the host then registers again, for which it needs --tunnel-access-token")
    })?;
    Ok(Some(TunnelToken { url, client_id, token: token.trim().to_owned() }))
}

fn read(path: &Path) -> Result<Option<String>, CliError> {
    let unusable = |error: io::Error| CliError::start(format!("{} cannot be read", path.display())).because(error);
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error)),
    };
    let mode = fs::metadata(path).map_err(unusable)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        return Err(CliError::start(format!("the tunnel token in {path} can be read by others (mode {mode:04o})"))
            .next(format!("run: chmod 600 '{path}'")));
    }
    Ok(Some(text))
}

/// Writes the files with mode 0600. After a crash there is the old token, the new one, or none.
pub(super) fn store(path: &Path, token: &TunnelToken) -> Result<(), CliError> {
    let account = Account { url: token.url.clone(), client_id: token.client_id.clone() };
    let written = remove(&account_file(path))
        .and_then(|()| write(path, &token.token))
        .and_then(|()| write(&account_file(path), &serde_json::to_string(&account)?));
    written.map_err(|error| {
        CliError::start(format!("the tunnel token cannot be kept in {}", path.display())).because(error)
    })
}

fn account_file(path: &Path) -> PathBuf {
    with_ending(path, ".account")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let temporary = with_ending(path, ".new");
    remove(&temporary)?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(format!("{text}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/host.tunnel-token");
        assert!(load(&path).unwrap().is_none());
        let token = TunnelToken { url: "http://t".to_owned(), client_id: "c".to_owned(), token: "s".to_owned() };
        store(&path, &token).unwrap();
        store(&path, &token).unwrap();
        assert!(load(&path).unwrap() == Some(token));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let Err(error) = load(&path) else { panic!("others can read it") };
        assert!(error.to_string().contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "s\n", "as a gateway wants it");
        fs::write(account_file(&path), "s").unwrap();
        assert!(load(&path).is_err());
        fs::remove_file(account_file(&path)).unwrap();
        assert!(load(&path).unwrap().is_none());
    }
}

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
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TunnelToken {
    /// The tunnel server.
    pub(crate) url: String,
    /// The account.
    pub(crate) client_id: String,
    /// The secret.
    pub(crate) token: String,
}

/// Reads the file, if there is one. A file that others can read is refused.
pub(super) fn load(path: &Path) -> Result<Option<TunnelToken>, CliError> {
    let unusable = |error: io::Error| {
        CliError::start(format!("the tunnel token in {} cannot be read", path.display())).because(error)
    };
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
    serde_json::from_str(&text).map(Some).map_err(|error| {
        CliError::start(format!("{} does not hold a tunnel token", path.display()))
            .because(error)
            .next("remove it; the host then registers again, for which it needs --tunnel-access-token")
    })
}

/// Writes the file with mode 0600. A crash leaves the old file or the new one, never a mixture.
pub(super) fn store(path: &Path, token: &TunnelToken) -> Result<(), CliError> {
    write(path, token).map_err(|error| {
        CliError::start(format!("the tunnel token cannot be kept in {}", path.display())).because(error)
    })
}

fn write(path: &Path, token: &TunnelToken) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(&serde_json::to_vec(token)?)?;
    file.write_all(b"\n")?;
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
        fs::write(&path, "s").unwrap();
        assert!(load(&path).is_err());
    }
}

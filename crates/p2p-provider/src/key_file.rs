//! Secrets in files that only their owner can read: 64 hex digits and a line feed.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER_PERMISSIVE;

use crate::SecretKey;

/// Reads a key file.
pub fn load(path: &Path) -> Result<SecretKey, KeyFileError> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KeyFileError::Missing { path: path.to_owned() });
        }
        Err(source) => return Err(KeyFileError::Read { path: path.to_owned(), source }),
    };
    let read_error = |source| KeyFileError::Read { path: path.to_owned(), source };
    check_permissions(path, &file.metadata().map_err(read_error)?)?;
    let mut text = String::new();
    // A byte more than a key file has, so that a longer one is noticed without reading all of it.
    file.take(128).read_to_string(&mut text).map_err(read_error)?;
    HEXLOWER_PERMISSIVE
        .decode(text.trim().as_bytes())
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
        .map(SecretKey::from_bytes)
        .ok_or_else(|| KeyFileError::Malformed { path: path.to_owned() })
}

/// Reads a key file, or makes one with a fresh key (mode 0600) if there is none.
pub fn load_or_create(path: &Path) -> Result<SecretKey, KeyFileError> {
    match load(path) {
        Err(KeyFileError::Missing { .. }) => create(path, &SecretKey::generate()),
        other => other,
    }
}

/// Replaces the key file's content, or makes the file. A crash leaves the old file or the new one, never a mixture.
pub fn replace(path: &Path, key: &SecretKey) -> Result<(), KeyFileError> {
    let write_error = |source| KeyFileError::Write { path: path.to_owned(), source };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write_error(error)),
        _ => {}
    }
    write_new(&temporary, key).map_err(write_error)?;
    fs::rename(&temporary, path).map_err(write_error)
}

fn create(path: &Path, key: &SecretKey) -> Result<SecretKey, KeyFileError> {
    let write_error = |source| KeyFileError::Write { path: path.to_owned(), source };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        create_private_directory(directory).map_err(write_error)?;
    }
    match write_new(path, key) {
        Ok(()) => Ok(key.clone()),
        // Another process was faster: its key counts.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => load(path),
        Err(source) => Err(write_error(source)),
    }
}

fn write_new(path: &Path, key: &SecretKey) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(format!("{}\n", HEXLOWER_PERMISSIVE.encode(&key.to_bytes())).as_bytes())?;
    file.sync_all()
}

fn create_private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

#[cfg(unix)]
fn check_permissions(path: &Path, metadata: &fs::Metadata) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    let others = mode & 0o077;
    if others == 0 { Ok(()) } else { Err(KeyFileError::Permissions { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn check_permissions(_path: &Path, _metadata: &fs::Metadata) -> Result<(), KeyFileError> {
    Ok(())
}

/// A key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// There is no such file.
    #[error("key file {} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read key file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write key file {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read it.
    #[error("key file {} can be read by others (mode {mode:04o}); run: chmod 600 '{}'", path.display(), path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold a key.
    #[error("key file {} does not hold 64 hex digits; restore it from a backup, or remove it to get a new identity", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/host.key");
        let key = load_or_create(&path).unwrap();
        assert_eq!(load_or_create(&path).unwrap(), key);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_fix() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host.key");
        load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let message = load(&path).unwrap_err().to_string();
        assert!(message.contains("0644") && message.contains("chmod 600"), "{message}");
    }

    #[test]
    fn a_file_that_holds_no_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host.key");
        for content in ["", "abc", &"0".repeat(63), &"0".repeat(200)] {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(load(&path), Err(KeyFileError::Malformed { .. })), "{content:?}");
        }
        fs::write(&path, [0xff; 64]).unwrap();
        assert!(load(&path).is_err());
    }

    #[test]
    fn a_directory_in_place_of_the_file_is_an_error_not_a_panic() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(matches!(load(directory.path()), Err(KeyFileError::Read { .. })));
    }

    #[test]
    fn replacing_keeps_the_permissions() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host.secret");
        load_or_create(&path).unwrap();
        let key = SecretKey::from_bytes([9; 32]);
        replace(&path, &key).unwrap();
        assert_eq!(load(&path).unwrap(), key);
    }
}

//! Files of lines that only their owner may read, changed as a whole.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The largest file that is read: 1,024 lines of the longest kind, and room for comments.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// One file, and the lock beside it.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
}

/// By which a changed file is recognized without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
    /// Every replacement of the file is another one.
    inode: u64,
}

/// What a [change](StateFile::change) has come to.
pub(super) struct Changed<T> {
    /// The new text; `None` leaves the file as it is.
    pub(super) text: Option<String>,
    pub(super) result: T,
}

impl StateFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The stamp of the file as it is now; `None` if there is no file.
    pub(super) fn stamp(&self) -> Result<Option<Stamp>, StateFileError> {
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok(Some(Stamp::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.read_error(source)),
        }
    }

    /// The text, empty if there is no file. One that others can read is refused.
    pub(super) fn read(&self) -> Result<(String, Option<Stamp>), StateFileError> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((String::new(), None)),
            Err(source) => return Err(self.read_error(source)),
        };
        let metadata = file.metadata().map_err(|source| self.read_error(source))?;
        check_permissions(&self.path, &metadata)?;
        let mut text = String::new();
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|source| self.read_error(source))?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(StateFileError::TooLong { path: self.path.clone() });
        }
        Ok((text, Some(Stamp::of(&metadata))))
    }

    /// Reads, changes and writes the file while no other process, and no other thread, does. `settle` hears what holds
    /// afterwards before the next change can begin.
    ///
    /// A crash leaves the old file or the new one, never a mixture.
    pub(super) fn change<T, E: From<StateFileError>>(
        &self,
        change: impl FnOnce(&str) -> Result<Changed<T>, E>,
        settle: impl FnOnce(Option<Stamp>, &T),
    ) -> Result<T, E> {
        let _lock = self.lock()?;
        let (text, stamp) = self.read()?;
        let Changed { text, result } = change(&text)?;
        let stamp = match text {
            Some(text) => {
                self.write(&text).map_err(|source| self.write_error(source))?;
                self.stamp()?
            }
            None => stamp,
        };
        settle(stamp, &result);
        Ok(result)
    }

    /// The lock is on a file of its own, since the file itself is replaced at every change.
    fn lock(&self) -> Result<fs::File, StateFileError> {
        let lock = || {
            if let Some(directory) = self.path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
                private_directory(directory)?;
            }
            let options = &mut fs::OpenOptions::new();
            let file = open_private(options.write(true).create(true), &beside(&self.path, ".lock"))?;
            // Whoever holds it does so for one write.
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| self.write_error(source))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let temporary = beside(&self.path, ".new");
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = open_private(fs::OpenOptions::new().write(true).create_new(true), &temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        // So that a revocation survives a power cut as well.
        match self.path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            Some(directory) if cfg!(unix) => fs::File::open(directory)?.sync_all(),
            _ => Ok(()),
        }
    }

    fn read_error(&self, source: io::Error) -> StateFileError {
        StateFileError::Read { path: self.path.clone(), source }
    }

    fn write_error(&self, source: io::Error) -> StateFileError {
        StateFileError::Write { path: self.path.clone(), source }
    }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self { bytes: metadata.len(), modified: metadata.modified().ok(), inode }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Opens, in these ways, what only its owner can read.
fn open_private(options: &mut fs::OpenOptions, path: &Path) -> io::Result<fs::File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

fn private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

#[cfg(unix)]
fn check_permissions(path: &Path, metadata: &fs::Metadata) -> Result<(), StateFileError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    let others = mode & 0o077;
    if others == 0 { Ok(()) } else { Err(StateFileError::Permissions { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn check_permissions(_path: &Path, _metadata: &fs::Metadata) -> Result<(), StateFileError> {
    Ok(())
}

/// A file of [`AuthorizedPeers`](super::AuthorizedPeers) or [`KnownHosts`](super::KnownHosts) cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateFileError {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be written, or not locked.
    #[error("{} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read or write it.
    #[error("{} can be read or written by others (mode {mode:04o}); run: chmod 600 '{}'", path.display(), path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is far longer than such a file can be.
    #[error("{} is over {} MiB long, which no such file is; remove what does not belong there", path.display(), FILE_BYTES_MAX >> 20)]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// A line is not understood.
    #[error("{} line {line}: {message}; correct the line, remove it, or begin it with # to keep it as a comment", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn append(file: &StateFile, line: &str) {
        let change = |text: &str| -> Result<_, StateFileError> {
            Ok(Changed { text: Some(format!("{text}{line}\n")), result: () })
        };
        file.change(change, |_, ()| {}).expect("the file can be written");
    }

    #[test]
    fn a_file_and_its_directory_are_made_for_their_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let file = StateFile::new(directory.path().join("state/peers"));
        assert_eq!(file.read().unwrap(), (String::new(), None));
        append(&file, "a");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(file.path()), 0o600);
        assert_eq!(mode(&beside(file.path(), ".lock")), 0o600);
        assert_eq!(mode(file.path().parent().unwrap()), 0o700);
        assert_eq!(file.read().unwrap().0, "a\n");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_fix() {
        let directory = tempfile::tempdir().unwrap();
        let file = StateFile::new(directory.path().join("peers"));
        append(&file, "a");
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let message = file.read().unwrap_err().to_string();
            assert!(message.contains("chmod 600") && message.contains(&format!("{mode:04o}")), "{message}");
        }
    }

    #[test]
    fn writers_at_once_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("peers");
        let threads: Vec<_> = (0..8)
            .map(|writer| {
                let file = StateFile::new(path.clone());
                std::thread::spawn(move || (0..16).for_each(|line| append(&file, &format!("{writer} {line}"))))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let (text, _) = StateFile::new(path).read().unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 8 * 16);
    }

    #[test]
    fn a_change_that_fails_and_what_a_crash_left_behind_leave_the_file_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let file = StateFile::new(directory.path().join("peers"));
        append(&file, "a");
        let before = file.read().unwrap();
        let failing = |_: &str| -> Result<Changed<()>, _> { Err(StateFileError::TooLong { path: PathBuf::new() }) };
        assert!(file.change(failing, |_, ()| panic!("nothing has changed")).is_err());
        assert_eq!(file.read().unwrap(), before);
        // Half a new file, from a process that died.
        fs::write(beside(file.path(), ".new"), "half").unwrap();
        assert_eq!(file.read().unwrap(), before);
        append(&file, "b");
        assert_eq!(file.read().unwrap().0, "a\nb\n");
        assert_ne!(file.stamp().unwrap(), before.1, "a change shows in the stamp");
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_an_error_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        // The parent is a file, which no privilege turns into a directory.
        fs::write(directory.path().join("state"), "").unwrap();
        let file = StateFile::new(directory.path().join("state/peers"));
        let change = |_: &str| -> Result<_, StateFileError> { Ok(Changed { text: None, result: () }) };
        let message = file.change(change, |_, ()| {}).unwrap_err().to_string();
        assert!(message.contains("state/peers"), "{message}");
    }
}

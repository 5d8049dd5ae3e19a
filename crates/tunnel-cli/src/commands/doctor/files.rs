//! The files with secrets: there, for this user only, and whole.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use p2p_provider::key_file;
use tunnel_p2p::pairing::{AuthorizedPeers, KnownHosts};

use super::check::{Check, Topic};
use crate::state::StateDir;

/// Files of the state directory that hold a key or a secret of 32 bytes.
const KEYS: [&str; 3] = ["host.key", "host.secret", "gateway.key"];

/// Others, which hold tokens and lists.
const OTHERS: [&str; 4] = ["host.tunnel-token", "host.tunnel-token.account", "peers", "hosts"];

/// Looks at the state directory, and at the files that options and configuration name.
pub(super) fn checks(state: &StateDir, named: &[(&str, PathBuf)]) -> Vec<Check> {
    let mut checks = Vec::new();
    let directory = state.path();
    let mut there = 0;
    match fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => checks.push(failed(directory, &error)),
        Ok(metadata) => {
            checks.extend(open_directory(directory, metadata.permissions().mode()));
            for name in KEYS {
                there += usize::from(look(&mut checks, directory, name, key));
            }
            for name in OTHERS {
                there += usize::from(look(&mut checks, directory, name, |_| None));
            }
            checks.extend(lists(state));
        }
    }
    for (what, path) in named {
        checks.extend(token_file(what, path));
    }
    if checks.iter().all(|check| !check.is_bad()) {
        checks.insert(0, all_well(directory, there, named.len()));
    }
    checks
}

fn all_well(directory: &Path, there: usize, named: usize) -> Check {
    let others = match named {
        0 => String::new(),
        1 => ", and one named by the options".to_owned(),
        more => format!(", and {more} named by the options"),
    };
    let at = directory.display();
    let found = match there {
        0 => format!("none yet in {at}: host and gateway make them at their first start{others}"),
        1 => format!("one in {at}, for this user only{others}"),
        more => format!("{more} in {at}, for this user only{others}"),
    };
    Check::ok(Topic::Secrets, found)
}

/// Looks at one file of the directory; whether it is there.
fn look(checks: &mut Vec<Check>, directory: &Path, name: &str, inside: fn(&Path) -> Option<Check>) -> bool {
    let path = directory.join(name);
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
        Err(error) => {
            checks.push(failed(&path, &error));
            return true;
        }
        Ok(metadata) if metadata.is_symlink() => checks.extend(link(directory, &path)),
        Ok(_) => {}
    }
    checks.extend(mode(&path, State::Refused).or_else(|| inside(&path)));
    true
}

/// Whether the program itself refuses a file that others can read.
#[derive(Clone, Copy)]
enum State {
    Refused,
    Used,
}

fn mode(path: &Path, state: State) -> Option<Check> {
    let shown = path.display();
    let mode = match fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) => metadata.permissions().mode() & 0o777,
        Err(error) => return Some(failed(path, &error)),
    };
    let others = mode & 0o077;
    if others == 0 {
        return None;
    }
    let found = format!("other users can read it (mode {mode:04o})");
    let check = match state {
        State::Refused => {
            Check::failed(Topic::Secrets, format!("{found}, so that host and gateway do not start with it"))
        }
        State::Used => Check::problem(Topic::Secrets, found),
    };
    Some(check.of(shown.to_string()).next(format!("run: chmod 600 '{shown}'")))
}

fn key(path: &Path) -> Option<Check> {
    let error = key_file::load(path).err()?;
    Some(Check::failed(Topic::Secrets, error.to_string()).of(path.display().to_string()))
}

fn link(directory: &Path, path: &Path) -> Option<Check> {
    let shown = path.display().to_string();
    match (fs::canonicalize(path), fs::canonicalize(directory)) {
        (Ok(target), Ok(directory)) if target.starts_with(&directory) => None,
        (Ok(target), _) => Some(
            Check::note(Topic::Secrets, format!("is a link to {}", target.display()))
                .of(shown)
                .next("see that this is what you want: `tunnel-p2p id --new-secret` would put a file in its place"),
        ),
        (Err(error), _) => {
            Some(Check::failed(Topic::Secrets, format!("is a link that leads nowhere ({error})")).of(shown))
        }
    }
}

fn open_directory(directory: &Path, mode: u32) -> Option<Check> {
    let shown = directory.display();
    (mode & 0o022 != 0).then(|| {
        let found = format!("other users can put files into it (mode {:04o})", mode & 0o777);
        Check::problem(Topic::Secrets, found).of(shown.to_string()).next(format!("run: chmod 700 '{shown}'"))
    })
}

/// The lists that are no key files, as the programs read them.
fn lists(state: &StateDir) -> Vec<Check> {
    let unreadable = |path: PathBuf, error: String| {
        Check::failed(Topic::Secrets, error)
            .of(path.display().to_string())
            .next("mend it, or move it away: the next start makes an empty one, and devices have to be let in again")
    };
    let mut checks = Vec::new();
    if let Err(error) = AuthorizedPeers::open(state.peers()) {
        checks.push(unreadable(state.peers(), error.to_string()));
    }
    if let Err(error) = KnownHosts::new(state.hosts()).list() {
        checks.push(unreadable(state.hosts(), error.to_string()));
    }
    checks
}

/// A file that an option names.
fn token_file(what: &str, path: &Path) -> Option<Check> {
    let of = |check: Check| check.of(format!("{what} file {}", path.display()));
    match fs::read_to_string(path) {
        Err(error) => Some(of(failed(path, &error))),
        Ok(text) if text.trim().is_empty() => {
            Some(of(Check::failed(Topic::Secrets, "is empty").next(format!("put the {what} into it"))))
        }
        Ok(_) => mode(path, State::Used).map(of),
    }
}

fn failed(path: &Path, error: &io::Error) -> Check {
    let next = match error.kind() {
        io::ErrorKind::NotFound => "look at the path; a relative one counts from where the process was started",
        io::ErrorKind::PermissionDenied => {
            "run this as the user who runs host and gateway, or give it to this one (chown)"
        }
        _ => "look at the path, and at the disk",
    };
    Check::failed(Topic::Secrets, format!("cannot be read: {error}")).of(path.display().to_string()).next(next)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use p2p_provider::key_file::load_or_create;

    use super::*;
    use crate::commands::doctor::check::State as Found;

    fn state() -> (tempfile::TempDir, StateDir) {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::new(Some(home.path().join("state"))).unwrap();
        (home, state)
    }

    fn bad(checks: &[Check]) -> Vec<String> {
        checks.iter().filter(|check| check.is_bad()).map(|check| format!("{check:?}")).collect()
    }

    #[test]
    fn a_machine_at_its_first_start_has_none_and_is_well() {
        let (_home, state) = state();
        let checks = checks(&state, &[]);
        assert_eq!(bad(&checks), [""; 0]);
        assert!(checks[0].found.contains("none yet"), "{checks:?}");
    }

    #[test]
    fn a_key_that_others_can_read_is_found_with_the_command_that_mends_it() {
        let (_home, state) = state();
        let path = state.path().join("host.key");
        load_or_create(&path).unwrap();
        assert!(checks(&state, &[])[0].found.contains("one in"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let checks = checks(&state, &[]);
        assert_eq!(checks.len(), 1, "{checks:?}");
        assert_eq!(checks[0].state, Found::Failed);
        assert!(checks[0].next.as_ref().unwrap().contains("chmod 600"), "{checks:?}");
    }

    #[test]
    fn damaged_keys_and_lists_are_found() {
        let (_home, state) = state();
        load_or_create(&state.path().join("host.key")).unwrap();
        for name in ["gateway.key", "peers"] {
            let path = state.path().join(name);
            fs::write(&path, "not what it should be").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        assert_eq!(bad(&checks(&state, &[])).len(), 2);
    }

    #[test]
    fn a_link_to_elsewhere_is_told_and_one_to_nowhere_is_a_fault() {
        let (home, state) = state();
        let key = home.path().join("elsewhere");
        load_or_create(&key).unwrap();
        fs::create_dir(state.path()).unwrap();
        fs::set_permissions(state.path(), fs::Permissions::from_mode(0o700)).unwrap();
        symlink(&key, state.path().join("host.key")).unwrap();
        let found = checks(&state, &[]);
        assert_eq!(bad(&found), [""; 0]);
        assert!(found.iter().any(|check| check.found.contains("is a link to")), "{found:?}");
        fs::remove_file(&key).unwrap();
        assert!(bad(&checks(&state, &[])).iter().any(|check| check.contains("leads nowhere")));
    }

    #[test]
    fn a_named_file_is_there_not_empty_and_private() {
        let (home, state) = state();
        let path = home.path().join("token");
        let of = |path: &Path| checks(&state, &[("relay token", path.to_owned())]);
        assert!(bad(&of(&path))[0].contains("relay token file"));
        fs::write(&path, "\n").unwrap();
        assert!(bad(&of(&path))[0].contains("is empty"));
        fs::write(&path, "secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(bad(&of(&path))[0].contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(bad(&of(&path)), [""; 0]);
    }
}

//! Which path a connection takes, and since when.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use p2p_provider::{P2PConnection, Path};
use tokio::time::Instant;
use tunnel_core::{PathDetails, PathKind};

/// The path as it was last seen.
#[derive(Debug)]
pub(crate) struct PathClock(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    kind: PathKind,
    remote: Option<Arc<str>>,
    since: Instant,
}

impl PathClock {
    pub(crate) fn new(path: Path) -> Self {
        let remote = path.remote.map(Into::into);
        Self(Mutex::new(Seen { kind: kind(path.kind), remote, since: Instant::now() }))
    }

    /// Follows a connection until it is closed; `on_change` is called when its path has become another one.
    pub(crate) async fn follow<C: P2PConnection>(&self, connection: &C, on_change: impl Fn()) {
        let mut changes = connection.path_changes();
        let mut path = connection.path();
        loop {
            if self.note(path) {
                on_change();
            }
            path = match changes.next().await {
                Some(path) => path,
                None => return,
            };
        }
    }

    /// Whether this is another path than before. While paths change there may be none for an instant, which is no news.
    fn note(&self, path: Path) -> bool {
        let mut seen = self.lock();
        let kind = kind(path.kind);
        if kind == PathKind::Unknown || (kind == seen.kind && path.remote.as_deref() == seen.remote.as_deref()) {
            return false;
        }
        *seen = Seen { kind, remote: path.remote.map(Into::into), since: Instant::now() };
        true
    }

    pub(crate) fn details(&self, rtt: Option<Duration>) -> PathDetails {
        let seen = self.lock();
        PathDetails { kind: seen.kind, remote: seen.remote.clone(), rtt, age: seen.since.elapsed() }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) const fn kind(kind: p2p_provider::PathKind) -> PathKind {
    match kind {
        p2p_provider::PathKind::Direct => PathKind::Direct,
        p2p_provider::PathKind::Relayed => PathKind::Relayed,
        p2p_provider::PathKind::Unknown => PathKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(kind: p2p_provider::PathKind, remote: &str) -> Path {
        Path { kind, remote: Some(remote.to_owned()), rtt: None }
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_of_a_path_begins_when_it_changes() {
        use p2p_provider::PathKind::{Direct, Relayed, Unknown};
        let clock = PathClock::new(path(Relayed, "relay"));
        let second = Duration::from_secs(1);
        tokio::time::advance(second).await;
        assert!(!clock.note(path(Relayed, "relay")));
        assert!(!clock.note(path(Unknown, "")), "no path for an instant");
        assert_eq!(clock.details(None).age, second);
        assert!(clock.note(path(Direct, "192.0.2.1:1")));
        assert_eq!(clock.details(None).age, Duration::ZERO);
        tokio::time::advance(second).await;
        assert!(clock.note(path(Direct, "192.0.2.2:1")), "another address");
        let details = clock.details(Some(second));
        assert_eq!((details.kind, details.remote.as_deref()), (PathKind::Direct, Some("192.0.2.2:1")));
        assert_eq!((details.rtt, details.age), (Some(second), Duration::ZERO));
    }
}

//! Looks whether relays accept TCP connections, without anybody waiting for it.

use std::time::Duration;

use iroh::RelayUrl;
use tokio::{
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::{Instant, timeout},
};

/// So many are on their way at once: more say nothing new.
const KNOCKS_MAX: usize = 32;

/// Why somebody wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Nothing comes through it any more.
    Quiet,
    /// It was away.
    Away,
}

/// What came of a knock.
#[derive(Clone, Debug)]
pub(super) struct Knocked {
    pub(super) url: RelayUrl,
    pub(super) doubt: Doubt,
    /// How long it took to accept the connection. `None`: it did not.
    pub(super) accepted: Option<Duration>,
    /// Its name could not be resolved: no sign of its end.
    pub(super) unknown: bool,
}

/// Knocks on their way.
#[derive(Debug, Default)]
pub(super) struct Knocks(JoinSet<Knocked>);

impl Knocks {
    /// Knocks at a relay, and gives up after `patience`.
    pub(super) fn knock(&mut self, url: RelayUrl, doubt: Doubt, patience: Duration) {
        if self.0.len() < KNOCKS_MAX {
            self.0.spawn(async move {
                let began = Instant::now();
                let answer = timeout(patience, accepts(&url)).await.unwrap_or(Some(false));
                let accepted = (answer == Some(true)).then(|| began.elapsed());
                Knocked { url, doubt, accepted, unknown: answer.is_none() }
            });
        }
    }

    /// The next answer; never ready while there is none. Cancel safe.
    pub(super) async fn next(&mut self) -> Knocked {
        loop {
            match self.0.join_next().await {
                Some(Ok(knocked)) => return knocked,
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

/// Whether a relay accepts TCP connections; `None` if its name cannot be resolved.
async fn accepts(url: &RelayUrl) -> Option<bool> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return None };
    // IPv6 addresses stand in brackets in URLs.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut refused = None;
    for address in lookup_host((host, port)).await.ok()? {
        match TcpStream::connect(address).await {
            Ok(_) => return Some(true),
            Err(_) => refused = Some(false),
        }
    }
    refused
}

//! One check, and what it found.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, timeout};

use super::{
    Target,
    difference::{Context, Difference, ensure},
    probe::Probe,
};

/// How long one check may take as a whole. Stalls are noticed much earlier, by the target's timeout: this is the end of
/// what drips for ever, and leaves room for the largest download over a slow line.
const CHECK_TIMEOUT: Duration = Duration::from_mins(10);

/// What a check does.
pub(super) type Run = for<'a> fn(&'a Probe) -> BoxFuture<'a, Result<(), Difference>>;

/// One thing that a deployment is asked.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    group: &'static str,
    name: &'static str,
    run: Run,
}

impl Check {
    pub(super) const fn new(group: &'static str, name: &'static str, run: Run) -> Self {
        Self { group, name, run }
    }

    /// What it belongs to, such as `uploads`.
    #[must_use]
    pub const fn group(&self) -> &'static str {
        self.group
    }

    /// What it asks. Unique in the list.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether `pattern` is a part of `GROUP: NAME`, in any case.
    #[must_use]
    pub fn matches(&self, pattern: &str) -> bool {
        format!("{}: {}", self.group, self.name).to_lowercase().contains(&pattern.to_lowercase())
    }

    /// Asks. Dropping the future closes every connection that the check has opened.
    pub async fn run(&self, target: &Target) -> Finding {
        let probe = Probe::new(target.clone());
        let start = Instant::now();
        let result = timeout(CHECK_TIMEOUT, (self.run)(&probe)).await;
        let elapsed = start.elapsed();
        let seen = probe.into_seen();
        let result = result
            .unwrap_or_else(|_| Err(Difference::new(format!("not finished within {CHECK_TIMEOUT:?}"))))
            .and_then(|()| travelled(&seen, target));
        Finding { check: *self, seen, elapsed, result }
    }
}

fn travelled(seen: &Seen, target: &Target) -> Result<(), Difference> {
    let Some(expected) = target.transport() else { return Ok(()) };
    // The head that opens a WebSocket does not say how it came.
    if let Some(other) = seen.transports.iter().find(|name| *name != expected) {
        return Err(Difference::new(match other.as_str() {
            "" => format!("a response does not say that it came by {expected}"),
            other => format!("a response came by {other} instead of {expected}"),
        }));
    }
    let status = seen.status.context("no response was seen")?;
    ensure!(status == 101 || !seen.transports.is_empty(), "no response says how it came");
    Ok(())
}

/// What a check found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// What it saw of the responses.
    pub seen: Seen,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether everything was as expected.
    pub result: Result<(), Difference>,
}

/// What a check saw of its responses.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Seen {
    /// The status of the last one; 101 for WebSockets.
    pub status: Option<u16>,
    /// How it said that it came: `x-tunnel-transport`.
    pub transport: Option<String>,
    /// Its path: `x-tunnel-path`.
    pub path: Option<String>,
    /// The bytes of content that were moved and compared.
    pub bytes: u64,
    /// Every transport that any response named; the empty one if it named none.
    pub(super) transports: std::collections::BTreeSet<String>,
}

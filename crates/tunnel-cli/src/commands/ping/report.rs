//! What the pings said.

use std::time::Duration;

use p2p_provider::PeerId;
use serde_json::{Value, json};
use tokio::time::Instant;
use tunnel_core::{Failure, PathDetails, PathKind};

use crate::{error::Outcome, output::Output};

/// Prints a line for each ping, and the summary.
pub(super) struct Report {
    output: Output,
    peer: PeerId,
    connected_after: Duration,
    /// When the host had let this peer in.
    connected: Option<Instant>,
    direct_after: Option<Duration>,
    sent: u32,
    times: Vec<Duration>,
    path: Option<PathDetails>,
    failure: Option<Failure>,
}

impl Report {
    /// Nothing is sent yet.
    pub(super) const fn new(output: Output, peer: PeerId, connected_after: Duration) -> Self {
        Self {
            output,
            peer,
            connected_after,
            connected: None,
            direct_after: None,
            sent: 0,
            times: Vec::new(),
            path: None,
            failure: None,
        }
    }

    /// The host has let this peer in.
    pub(super) fn connected(&mut self) {
        self.connected = Some(Instant::now());
        self.output.note(format!("Connected to host {} after {}.", self.peer.short(), millis(self.connected_after)));
    }

    /// Notes when the path is direct for the first time.
    pub(super) fn look(&mut self, path: Option<&PathDetails>) {
        if self.direct_after.is_none() && path.is_some_and(|path| path.kind == PathKind::Direct) {
            self.direct_after = self.connected.map(|connected| connected.elapsed());
        }
    }

    /// Whether there is still something to look for.
    pub(super) const fn is_to_look(&self) -> bool {
        self.direct_after.is_none()
    }

    /// One ping: how long its answer took, and by which path it came.
    pub(super) fn ping(&mut self, answer: Result<Duration, Failure>, path: Option<PathDetails>) {
        self.sent += 1;
        self.look(path.as_ref());
        match answer {
            Ok(time) => {
                self.times.push(time);
                self.output.json(&json!({
                    "event": "ping",
                    "seq": self.sent,
                    "answered": true,
                    "path": path.as_ref().map(|path| path.kind.name()),
                    "remote": path.as_ref().and_then(|path| path.remote.as_deref()),
                    "rtt_ms": number(time),
                    "smoothed_rtt_ms": path.as_ref().and_then(|path| path.rtt).map(number),
                }));
                self.output.text(line(self.sent, time, path.as_ref()));
            }
            Err(failure) => {
                let message = failure.to_string();
                self.output.json(&json!({ "event": "ping", "seq": self.sent, "answered": false, "message": message }));
                self.output.text(format!("{:>4}  no answer: {message}", self.sent));
                self.failure = Some(failure);
            }
        }
        self.path = path;
    }

    /// What all of it comes to.
    pub(super) fn summary(&self) {
        let statistics = Statistics::of(&self.times);
        let milliseconds = |time: fn(&Statistics) -> Duration| statistics.as_ref().map(|known| number(time(known)));
        self.output.json(&json!({
            "event": "summary",
            "peer_id": self.peer.to_string(),
            "sent": self.sent,
            "answered": self.times.len(),
            "min_ms": milliseconds(|known| known.min),
            "median_ms": milliseconds(|known| known.median),
            "max_ms": milliseconds(|known| known.max),
            "path": self.path.as_ref().map(|path| path.kind.name()),
            "connected_after_ms": self.connected.map(|_| number(self.connected_after)),
            "direct_after_ms": self.direct_after.map(number),
        }));
        if self.sent == 0 {
            return;
        }
        let times = statistics.map_or_else(String::new, |Statistics { min, median, max }| {
            format!("; round trip min {}, median {}, max {}", millis(min), millis(median), millis(max))
        });
        self.output.text(format!("{} sent, {} answered{times}", self.sent, self.times.len()));
        self.output.text(self.about_path());
    }

    fn about_path(&self) -> String {
        match (&self.path, self.direct_after) {
            (Some(PathDetails { kind: PathKind::Direct, .. }), Some(after)) if after < NO_TIME => {
                "The path was direct from the start.".to_owned()
            }
            (Some(PathDetails { kind: PathKind::Direct, .. }), Some(after)) => {
                format!("The path became direct {} after the connection.", millis(after))
            }
            (Some(PathDetails { kind: PathKind::Relayed, .. }), None) => {
                "Everything went through a relay: `tunnel-p2p doctor --peer TICKET` says why, and what helps."
                    .to_owned()
            }
            (_, Some(after)) => format!(
                "The path was direct {} after the connection, and is not any more: the network between is not steady.",
                millis(after)
            ),
            _ => "The path is not known.".to_owned(),
        }
    }

    /// Pings so far.
    pub(super) const fn sent(&self) -> u32 {
        self.sent
    }

    /// Answers so far.
    pub(super) const fn answered(&self) -> usize {
        self.times.len()
    }

    /// Why the last ping without an answer had none.
    pub(super) const fn last_failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Whether the last ping went straight to the host.
    pub(super) fn is_direct(&self) -> bool {
        self.path.as_ref().is_some_and(|path| path.kind == PathKind::Direct)
    }

    /// What the exit code says.
    pub(super) fn outcome(&self) -> Outcome {
        if self.sent == 0 {
            Outcome::Aborted
        } else if self.is_direct() {
            Outcome::Done
        } else {
            Outcome::Degraded
        }
    }
}

/// A path that is direct this soon was never anything else.
const NO_TIME: Duration = Duration::from_millis(2);

#[derive(Debug, PartialEq, Eq)]
struct Statistics {
    min: Duration,
    median: Duration,
    max: Duration,
}

impl Statistics {
    fn of(times: &[Duration]) -> Option<Self> {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self { min, median: (lower + upper) / 2, max })
    }
}

fn line(seq: u32, time: Duration, path: Option<&PathDetails>) -> String {
    let (kind, remote) = match path {
        Some(path) => (path.kind.name(), path.remote.as_deref().unwrap_or("?")),
        None => ("unknown", "?"),
    };
    let smoothed = path.and_then(|path| path.rtt).map_or_else(String::new, |rtt| format!("  smoothed {}", millis(rtt)));
    format!("{seq:>4}  {kind:<7}  {remote}  {}{smoothed}", millis(time))
}

/// As a person reads it.
pub(crate) fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    match millis {
        ..10.0 => format!("{millis:.2} ms"),
        ..1000.0 => format!("{millis:.1} ms"),
        _ => format!("{:.1} s", millis / 1000.0),
    }
}

/// Milliseconds, to the microsecond.
fn number(time: Duration) -> Value {
    json!((time.as_secs_f64() * 1_000_000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(kind: PathKind) -> PathDetails {
        PathDetails {
            kind,
            remote: Some("192.0.2.1:17420".into()),
            rtt: Some(Duration::from_millis(11)),
            age: Duration::from_secs(1),
        }
    }

    fn report() -> Report {
        let mut report = Report::new(Output::new(true, true), PeerId([7; 32]), Duration::from_millis(3));
        report.connected = Some(Instant::now());
        report
    }

    #[test]
    fn a_line_says_path_address_and_times() {
        let shown = line(3, Duration::from_micros(12_340), Some(&path(PathKind::Direct)));
        assert_eq!(shown, "   3  direct   192.0.2.1:17420  12.3 ms  smoothed 11.0 ms");
        assert_eq!(line(1, Duration::from_micros(420), None), "   1  unknown  ?  0.42 ms");
        assert_eq!(millis(Duration::from_millis(2345)), "2.3 s");
    }

    #[test]
    fn the_median_is_between_the_two_in_the_middle() {
        let of =
            |millis: &[u64]| Statistics::of(&millis.iter().copied().map(Duration::from_millis).collect::<Vec<_>>());
        assert_eq!(of(&[]), None);
        let expected = |min, median, max| {
            Some(Statistics {
                min: Duration::from_millis(min),
                median: Duration::from_millis(median),
                max: Duration::from_millis(max),
            })
        };
        assert_eq!(of(&[5]), expected(5, 5, 5));
        assert_eq!(of(&[9, 1, 5]), expected(1, 5, 9));
        assert_eq!(of(&[9, 1, 5, 7]), expected(1, 6, 9));
    }

    #[test]
    fn the_outcome_is_that_of_the_last_path() {
        let mut report = report();
        report.ping(Ok(Duration::from_millis(30)), Some(path(PathKind::Relayed)));
        assert_eq!(report.outcome(), Outcome::Degraded);
        assert!(report.about_path().contains("doctor --peer"));
        report.ping(Ok(Duration::from_millis(10)), Some(path(PathKind::Direct)));
        assert_eq!(report.outcome(), Outcome::Done);
        assert!(!report.is_to_look());
        report.ping(Ok(Duration::from_millis(30)), Some(path(PathKind::Relayed)));
        assert_eq!(report.outcome(), Outcome::Degraded);
        assert!(report.about_path().contains("not steady"));
        assert_eq!((report.sent(), report.answered()), (3, 3));
    }
}

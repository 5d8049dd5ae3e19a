//! The state of a router, for people and dashboards.

use std::time::Duration;

use serde::Serialize;
use tunnel_core::{Failure, FailureKind, Health, Transport, TransportKind};

use super::{failures, shared::Shared};
use crate::{Cause, Counts, Mode, State};

/// The state of a router.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The configured mode.
    pub mode: Mode,
    /// The operator's override.
    pub forced: Option<Mode>,
    /// Whether the kill switch is on.
    pub kill_switch: bool,
    /// The configured rollout.
    pub rollout_percent: f64,
    /// p2p, if there is such a transport.
    pub p2p: Option<P2pStatus>,
    /// Legacy, if there is such a transport.
    pub legacy: Option<TransportStatus>,
    /// The path of the transport that a request without any rule would take: `direct`, `relayed`, `server`, `unknown`.
    pub path: Option<&'static str>,
    /// What happened since the start.
    pub counts: Counts,
}

/// The state of p2p, as the router sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct P2pStatus {
    /// Whether it is used.
    pub state: State,
    /// Why it is in this state.
    pub cause: Cause,
    /// For how long.
    pub for_ms: u64,
    /// When it is probed next; absent while there is no reason to.
    pub next_probe_ms: Option<u64>,
    /// When safe requests would start over legacy, too.
    pub hedge_after_ms: u64,
    /// What the transport says about itself.
    pub transport: TransportStatus,
}

/// What a transport says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransportStatus {
    /// `healthy`, `probing` or `down`.
    pub health: &'static str,
    /// Its network path, if it is healthy.
    pub path: Option<&'static str>,
    /// The address at the other end of the path: an IP address and port, or the URL of the relay.
    pub remote: Option<String>,
    /// The round-trip time of the path.
    pub rtt_us: Option<u64>,
    /// For how long it has been this path.
    pub path_for_ms: Option<u64>,
    /// The client id that its host announced.
    pub client_id: Option<String>,
    /// Why it is down.
    pub failure: Option<String>,
}

impl TransportStatus {
    fn of(transport: &dyn Transport) -> Self {
        let (health, path, client_id, failure) = match transport.health() {
            Health::Healthy { path, client_id } => ("healthy", Some(path.name()), client_id, None),
            Health::Probing => ("probing", None, None, None),
            Health::Down(failure) => ("down", None, None, Some(failure.to_string())),
        };
        let details = path.and_then(|_| transport.path());
        Self {
            health,
            path,
            remote: details.as_ref().and_then(|details| details.remote.as_deref().map(str::to_owned)),
            rtt_us: details.as_ref().and_then(|details| details.rtt).map(micros),
            path_for_ms: details.as_ref().map(|details| millis(details.age)),
            client_id,
            failure,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn status(shared: &Shared) -> Status {
    let active = shared.active();
    let config = &active.config;
    let p2p = shared.p2p.as_ref().map(|p2p| {
        let now = shared.now();
        let hedge_after = shared.heads.p95().unwrap_or(config.hedge_after_max);
        shared.look_at_p2p(|machine| P2pStatus {
            state: machine.state(),
            cause: machine.since().0,
            for_ms: millis(now.saturating_sub(machine.since().1)),
            next_probe_ms: machine.next_probe().map(|at| millis(at.saturating_sub(now))),
            hedge_after_ms: millis(hedge_after.clamp(config.hedge_after_min, config.hedge_after_max)),
            transport: TransportStatus::of(&**p2p),
        })
    });
    Status {
        mode: config.mode,
        forced: active.forced,
        kill_switch: active.kill_switch,
        rollout_percent: config.rollout_percent,
        p2p,
        legacy: shared.legacy.as_ref().map(|legacy| TransportStatus::of(&**legacy)),
        path: match health(shared) {
            Health::Healthy { path, .. } => Some(path.name()),
            _ => None,
        },
        counts: shared.counters.snapshot(),
    }
}

/// Healthy if a transport works that requests may use now. The client id is that of p2p, for only a peer's own word counts;
/// else that of legacy.
pub(super) fn health(shared: &Shared) -> Health {
    let active = shared.active();
    let is_used = shared.look_at_p2p(|machine| machine.state().is_usable());
    let mode = if active.kill_switch { Mode::Legacy } else { active.forced.unwrap_or(active.config.mode) };
    let of = |kind| shared.transport(kind).map(|transport: &std::sync::Arc<dyn Transport>| transport.health());
    let (p2p, legacy) = (of(TransportKind::P2p), of(TransportKind::Legacy));
    let (Some(p2p), Some(legacy)) = (p2p.clone(), legacy.clone()) else {
        return p2p.or(legacy).unwrap_or_else(|| Health::Down(failures::no_p2p()));
    };
    let announced = match &p2p {
        Health::Healthy { client_id, .. } => client_id.clone(),
        _ => None,
    };
    let named = |health| match health {
        Health::Healthy { path, client_id } => Health::Healthy { path, client_id: announced.clone().or(client_id) },
        other => other,
    };
    let [first, second] = match mode {
        Mode::Legacy => return named(legacy),
        Mode::P2pOnly => return named(p2p),
        Mode::P2pFirst if is_used => [p2p, legacy],
        Mode::P2pFirst => [legacy, p2p],
    };
    match (first, second) {
        (works @ Health::Healthy { .. }, _) | (_, works @ Health::Healthy { .. }) => named(works),
        (Health::Down(first), Health::Down(second)) => {
            let (p2p, legacy) = if is_used { (first, second) } else { (second, first) };
            let message = format!("neither transport works; p2p: {p2p}; legacy: {legacy}");
            Health::Down(Failure::new(FailureKind::Unreachable, message))
        }
        _ => Health::Probing,
    }
}

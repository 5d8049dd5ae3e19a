//! The router's own task: looks at p2p now and then, probes it when it is time, and compares the transports.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tunnel_core::TransportKind;

use super::{
    compare::{RUNNING_MAX, compare},
    shared::Shared,
};
use crate::shadow::Job;

/// How soon a change of p2p is noticed without a request: while it is not used, it may come back at any time ...
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// ... and while it is used, requests look themselves.
const LOOK_INTERVAL_USED: Duration = Duration::from_secs(1);

pub(super) async fn run(shared: Arc<Shared>, mut waiting: mpsc::Receiver<Job>) {
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        while running.len() < RUNNING_MAX
            && let Ok(job) = waiting.try_recv()
        {
            running.spawn(compare(Arc::clone(&shared), job));
        }
        let (next_probe, is_used) = shared.look_at_p2p(|machine| (machine.next_probe(), machine.state().is_usable()));
        let now = shared.now();
        if next_probe.is_some_and(|at| at <= now) && shared.p2p.is_some() {
            probe(&shared).await;
            continue;
        }
        let look = if is_used { LOOK_INTERVAL_USED } else { LOOK_INTERVAL };
        let pause = next_probe.map_or(look, |at| look.min(at.saturating_sub(now)));
        tokio::select! {
            biased;
            () = shared.wake.notified() => {}
            Some(_) = running.join_next(), if !running.is_empty() => {}
            () = sleep(pause) => {}
        }
    }
}

/// One probe; bounded by its own timeout.
async fn probe(shared: &Shared) {
    let limit = shared.active().config.probe_timeout;
    shared.tell(|machine, now| {
        machine.probe_started(now);
        None
    });
    let result = shared.prober(TransportKind::P2p).probe(limit).await;
    // A probe of a transport that has gone down meanwhile proves nothing.
    shared.look_at_p2p(|_| ());
    shared.tell(|machine, now| match result {
        Ok(()) => machine.probe_succeeded(now),
        Err(_) => machine.probe_failed(now),
    });
}

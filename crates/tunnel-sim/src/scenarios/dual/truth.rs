//! What a router says about what has happened, compared with what has happened.

use tunnel_core::TransportKind;
use tunnel_router::{Decision, Outcome};

use crate::{SimClient, Stage, oracle::Ending};

const WEB_SOCKET: &str = "WEBSOCKET";

/// At the end of a run with this client only, whose process has never ended.
pub(super) fn check(stage: &Stage, client: &SimClient) {
    let Some(router) = client.router() else { return };
    let (counts, tally, decisions) = (router.status().counts, stage.oracle.tally(), router.decisions());
    for decision in &decisions {
        check_decision(stage, decision);
    }
    let answered = |kind: TransportKind| -> u64 {
        counts.answered.iter().filter(|line| line.transport == kind.name()).map(|line| line.count).sum()
    };
    let (p2p, legacy) = (answered(TransportKind::P2p), answered(TransportKind::Legacy));
    // Nobody knows which execution has answered a WebSocket that ends before its first message.
    let exact = !decisions.iter().any(|decision| decision.method == WEB_SOCKET);
    let shadows = counts.shadow.matched + counts.shadow.mismatched + counts.shadow.failed;
    let ended = tally.complete + tally.aborted + tally.failed;
    let received = counts.bytes_received.p2p + counts.bytes_received.legacy;
    let continued = counts.failovers_succeeded.p2p + counts.failovers_succeeded.legacy;
    // Who asks a tunnel server to continue what has changed asks twice: for a part, and then for the whole.
    let attempts_over_legacy = counts.attempts.legacy + counts.failovers_tried.p2p;
    for (what, right) in [
        ("requests", p2p + legacy + counts.failed + counts.abandoned == ended),
        ("answered", p2p >= tally.by_p2p && legacy >= tally.by_legacy),
        ("answered exactly", !exact || (p2p, legacy) == (tally.by_p2p, tally.by_legacy)),
        ("attempts over p2p", counts.attempts.p2p + shadows >= tally.executed_by_p2p),
        ("attempts over legacy", !exact || attempts_over_legacy + shadows >= tally.executed_by_legacy),
        ("bytes received", !exact || received == tally.received_bytes),
        ("continuations", continued <= counts.failovers_tried.p2p + counts.failovers_tried.legacy),
        ("hedges", counts.hedges_won <= counts.hedges_started),
    ] {
        if !right {
            stage.oracle.violate(format!("the router counts wrongly ({what}): {counts:?}, but {tally:?}"));
        }
    }
}

/// What it remembers of one request.
fn check_decision(stage: &Stage, decision: &Decision) {
    let ending = stage.oracle.ending(decision.id);
    let right = match (decision.outcome, ending) {
        // A WebSocket may have ended well for the router, and with a wait in vain for its client.
        (Outcome::Complete | Outcome::Abandoned, Some(_)) if decision.method == WEB_SOCKET => true,
        (Outcome::Complete, Some(Ending::Complete))
        // While the client looks at what it was given back, it may give up.
        | (Outcome::Abandoned | Outcome::NotDelivered(_), Some(Ending::Aborted))
        | (Outcome::NotDelivered(_), Some(Ending::Undelivered))
        | (Outcome::Cut(_) | Outcome::Unknown(_), Some(Ending::Failed)) => true,
        // Whoever opens a WebSocket is told no outcome: doing so again is harmless.
        (Outcome::NotDelivered(_), Some(Ending::Failed)) => decision.method == WEB_SOCKET,
        _ => false,
    };
    let by = stage.oracle.answered_by(decision.id).and_then(|number| {
        let executions = stage.oracle.executions(decision.id);
        *executions.get(usize::try_from(number.checked_sub(1)?).ok()?)?
    });
    if !right || by.is_some_and(|by| decision.transport != Some(by.name())) {
        stage.oracle.violate(format!("the request ended as {ending:?}, answered by {by:?}: {decision:?}"));
    }
}

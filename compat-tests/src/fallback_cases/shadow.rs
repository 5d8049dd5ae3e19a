//! Some answers are compared with those of the other transport, without anybody noticing.

use std::sync::Arc;

use tunnel_core::{
    Body, Handler,
    TransportKind::{Legacy, P2p},
};
use tunnel_router::{Reason, RouterConfig};

use super::stage::{self, Stage};
use crate::{
    backend::world::World,
    body::text,
    patience::until,
    request::{get, post},
    service::{Service, ok},
};

const REQUESTS: u64 = 10;

/// Every request is compared.
fn comparing() -> RouterConfig {
    let mut config = stage::config();
    config.shadow_percent = 100.0;
    config
}

/// Asks some times, and waits until all answers have been compared; what the counters say then: equal and different ones.
async fn compared<W: World>(stage: &Stage<W>) -> (u64, u64) {
    for number in 1..=REQUESTS {
        let response = stage.answer(get("/"), P2p, Reason::P2pHealthy).await;
        assert_eq!(text(response.body).await.unwrap(), "p2p");
        let counted = || {
            let shadow = stage.router.status().counts.shadow;
            shadow.matched + shadow.mismatched
        };
        until("the comparison", || counted() == number).await;
    }
    let shadow = stage.router.status().counts.shadow;
    (shadow.matched, shadow.mismatched)
}

fn says(words: &'static str) -> Arc<dyn Handler> {
    Arc::new(Service::http(move |_| async move { Ok(ok(words)) }))
}

/// The same status, headers and body.
pub async fn equal_answers_match<W: World>(world: W) {
    let stage = Stage::of_two(world, [says("p2p"), says("p2p")], comparing()).await;
    assert_eq!(compared(&stage).await, (REQUESTS, 0));
    assert_eq!(stage.seen.by(P2p), stage.seen.by(Legacy));
}

/// The caller gets what it would have got.
pub async fn different_answers_are_counted_and_change_nothing<W: World>(world: W) {
    let stage = Stage::of_two(world, [says("p2p"), says("legacy")], comparing()).await;
    assert_eq!(compared(&stage).await, (0, REQUESTS));
}

/// Others would be done twice.
pub async fn only_safe_requests_are_repeated<W: World>(world: W) {
    let stage = Stage::of_two(world, [says("p2p"), says("p2p")], comparing()).await;
    for _ in 0..REQUESTS {
        drop(stage.answer(post("/", Body::full("{}")), P2p, Reason::P2pHealthy).await);
    }
    // Whatever was to be repeated would be before this one.
    compared(&stage).await;
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (20, 10));
}

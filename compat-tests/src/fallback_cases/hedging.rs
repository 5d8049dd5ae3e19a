//! A p2p that is slow to answer is raced by legacy, where asking twice does no harm.

use std::{sync::Arc, time::Duration};

use http::Method;
use tokio::time::sleep;
use tunnel_core::{
    Body, Handler,
    TransportKind::{Legacy, P2p},
};
use tunnel_router::{Reason, RouterConfig};

use super::stage::{self, Stage};
use crate::{
    backend::world::World,
    body::text,
    patience::soon,
    request::{get, post, request},
    service::{Guard, Once, Service, ok},
};

/// Far longer than any hedge waits.
const SLOW: Duration = Duration::from_secs(30);

fn hedging() -> RouterConfig {
    let mut config = stage::config();
    config.hedge = true;
    config.hedge_after_min = Duration::from_millis(100);
    config.hedge_after_max = Duration::from_millis(300);
    config
}

/// Answers after so long.
fn after(pause: Duration, answer: &'static str) -> Arc<dyn Handler> {
    Arc::new(Service::http(move |_| async move {
        sleep(pause).await;
        Ok(ok(answer))
    }))
}

/// The first head wins.
pub async fn a_slow_head_is_raced_by_legacy<W: World>(world: W) {
    let services = [after(SLOW, "p2p"), after(Duration::ZERO, "legacy")];
    let stage = Stage::of_two(world, services, hedging()).await;
    for method in [Method::GET, Method::HEAD] {
        let response = stage.answer(request(method, "/", Body::empty()), Legacy, Reason::Hedged).await;
        drop(response);
    }
    let response = stage.answer(get("/"), Legacy, Reason::Hedged).await;
    assert_eq!(text(response.body).await.unwrap(), "legacy");
    let counts = stage.router.status().counts;
    assert_eq!((counts.hedges_started, counts.hedges_won), (3, 3));
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (3, 3));
    assert!(stage.router.decisions().iter().all(|decision| decision.hedged));
}

/// Nobody works for nothing.
pub async fn the_loser_is_dropped_at_the_handler<W: World>(world: W) {
    for p2p_wins in [false, true] {
        let (guard, gone) = Guard::new();
        let guard = Once::new(guard);
        let waits: Arc<dyn Handler> = Arc::new(Service::http(move |_| {
            let guard = guard.take();
            async move {
                let _kept = guard;
                std::future::pending().await
            }
        }));
        let services = if p2p_wins {
            [after(Duration::from_millis(600), "p2p"), waits]
        } else {
            [waits, after(Duration::ZERO, "legacy")]
        };
        let stage = Stage::of_two(world.clone(), services, hedging()).await;
        let response = stage.send(get("/")).await.expect("a response");
        assert_eq!(text(response.body).await.unwrap(), if p2p_wins { "p2p" } else { "legacy" });
        soon("the end of the loser", gone).await.unwrap();
        assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (1, 1));
    }
}

/// Others would be done twice.
pub async fn only_safe_requests_are_raced<W: World>(world: W) {
    let services = [after(Duration::from_millis(800), "p2p"), after(Duration::ZERO, "legacy")];
    let stage = Stage::of_two(world, services, hedging()).await;
    for asked in [post("/", Body::full("{}")), request(Method::DELETE, "/", Body::empty())] {
        let response = stage.answer(asked, P2p, Reason::P2pHealthy).await;
        assert_eq!(text(response.body).await.unwrap(), "p2p");
    }
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (2, 0));
    assert_eq!(stage.router.status().counts.hedges_started, 0);
}

/// Nor is one without a need.
pub async fn a_quick_head_is_not_raced<W: World>(world: W) {
    let stage = Stage::with(world, Service::hello(), {
        let mut config = hedging();
        // Slower than any machine that runs the cases.
        config.hedge_after_min = Duration::from_secs(5);
        config.hedge_after_max = Duration::from_secs(5);
        config
    })
    .await;
    for _ in 0..50 {
        drop(stage.answer(get("/"), P2p, Reason::P2pHealthy).await);
    }
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (50, 0));
}

//! What the router says is what happened.

use http::Method;
use tunnel_core::{
    Body,
    TransportKind::{Legacy, P2p},
};
use tunnel_router::{Outcome, Reason};

use super::stage::Stage;
use crate::{
    backend::world::World,
    body::text,
    request::{get, post, request},
    service::Service,
};

/// Through healthy and bad times, everything is counted once, on the side where the handler saw it.
pub async fn counters_and_via_agree_with_the_handler<W: World>(world: W) {
    let stage = Stage::start(world, Service::echo()).await;
    let mut said = (0, 0);
    for round in 0..4 {
        for number in 0..10 {
            let asked = if number % 2 == 0 { get("/") } else { post("/", Body::full("{}")) };
            let response = stage.send(asked).await.expect("a response");
            match response.via.expect("it says how it travelled").transport {
                P2p => said.0 += 1,
                _ => said.1 += 1,
            }
            text(response.body).await.unwrap();
        }
        match round {
            0 => stage.router.kill_switch(true),
            1 => stage.router.kill_switch(false),
            2 => stage.lose_p2p().await,
            _ => {}
        }
    }
    assert_eq!(said, (20, 20));
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), said);
    let counts = stage.router.status().counts;
    let answered =
        |transport| counts.answered.iter().filter(|line| line.transport == transport).map(|line| line.count).sum();
    assert_eq!((answered("p2p"), answered("legacy")), (20_u64, 20_u64));
    assert_eq!((counts.attempts.p2p, counts.attempts.legacy), (20, 20));
    assert_eq!((counts.failed, counts.abandoned, counts.fallbacks), (0, 0, 0));
    assert_eq!((counts.cut.p2p, counts.cut.legacy), (0, 0));
    assert_eq!((counts.bytes_received.p2p, counts.bytes_received.legacy), (20, 20));
    assert_eq!((counts.bytes_sent.p2p, counts.bytes_sent.legacy), (20, 20));
}

/// The newest first.
pub async fn decisions_say_what_happened<W: World>(world: W) {
    let stage = Stage::start(world, Service::echo()).await;
    text(stage.answer(get("/a?x=1"), P2p, Reason::P2pHealthy).await.body).await.unwrap();
    stage.lose_p2p().await;
    text(stage.answer(post("/b", Body::full("{}")), Legacy, Reason::P2pDown).await.body).await.unwrap();
    let error = stage.send(request(Method::TRACE, "/c", Body::empty())).await.unwrap_err();
    let decisions = stage.router.decisions();
    let seen: Vec<_> = decisions
        .iter()
        .map(|decision| (&*decision.method, &*decision.path, decision.transport, decision.reason, decision.outcome))
        .collect();
    let kind = error.failure().kind();
    assert_eq!(
        seen,
        [
            ("TRACE", "/c", None, None, Outcome::NotDelivered(kind)),
            ("POST", "/b", Some("legacy"), Some(Reason::P2pDown), Outcome::Complete),
            ("GET", "/a", Some("p2p"), Some(Reason::P2pHealthy), Outcome::Complete),
        ]
    );
}

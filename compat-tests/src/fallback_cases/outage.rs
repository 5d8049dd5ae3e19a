//! A transport that fails before the head of the response.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Method, StatusCode};
use tokio::{sync::Notify, time::Instant};
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Request, SendError,
    TransportKind::{Legacy, P2p},
};
use tunnel_router::Reason;

use super::stage::{self, Stage};
use crate::{
    backend::world::World,
    body::text,
    patience::{PATIENCE, soon, until},
    request::{get, post, request},
    service::{Service, ok},
};

/// A body that the tunnel carries.
const JSON: &str = r#"{"a":1}"#;

/// A service that never answers over p2p, and at once over legacy. The notification says that it was asked over p2p.
fn silent_over_p2p() -> ([Arc<dyn Handler>; 2], Arc<Notify>) {
    let asked = Arc::new(Notify::new());
    let tell = Arc::clone(&asked);
    let silent = Service::http(move |_| {
        tell.notify_one();
        std::future::pending()
    });
    ([Arc::new(silent), Arc::new(Service::hello())], asked)
}

/// Sends a request, and once the handler has it over p2p, does something.
async fn send_and<W: World>(
    stage: &Stage<W>,
    request: Request,
    asked: &Notify,
    happens: impl AsyncFnOnce(),
) -> Result<tunnel_core::Response, SendError> {
    let happening = async {
        soon("the handler", asked.notified()).await;
        happens().await;
    };
    let (result, ()) = tokio::join!(stage.send(request), happening);
    result
}

/// What p2p has refused was not executed: even a POST may go the other way, and is done once.
pub async fn what_p2p_did_not_deliver_goes_over_legacy_whatever_its_method<W: World>(world: W) {
    let refuses = Service::http(|_| async { Err(Failure::new(FailureKind::Refused, "not now")) });
    let stage = Stage::of_two(world, [Arc::new(refuses), Arc::new(Service::echo())], stage::config()).await;
    let methods = [Method::POST, Method::GET, Method::PUT, Method::PATCH, Method::DELETE];
    for (index, method) in methods.into_iter().enumerate() {
        let response = stage.send(request(method.clone(), "/", Body::full(JSON))).await.expect("a response");
        assert_eq!(response.via.map(|via| via.transport), Some(Legacy), "{method}");
        assert_eq!(text(response.body).await.unwrap(), JSON, "{method}");
        assert_eq!(stage.seen.by(Legacy), index + 1, "{method}");
    }
    assert!(stage.seen.by(P2p) > 0);
    assert!(stage.router.status().counts.fallbacks > 0);
}

/// Harmless to repeat, so the caller notices nothing.
pub async fn a_get_whose_p2p_is_cut_before_the_head_is_answered_over_legacy<W: World>(world: W) {
    let (services, asked) = silent_over_p2p();
    let stage = Stage::of_two(world, services, stage::config()).await;
    let response = send_and(&stage, get("/"), &asked, async || stage.host.cut_p2p().await).await.unwrap();
    assert_eq!(response.via.and_then(|via| via.reason), Some(Reason::P2pFailed.name()));
    assert_eq!(text(response.body).await.unwrap(), "ok");
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (1, 1));
}

/// Nobody says that p2p is dead.
pub async fn a_get_whose_p2p_stalls_before_the_head_is_answered_over_legacy<W: World>(world: W) {
    let (services, asked) = silent_over_p2p();
    let stage = Stage::of_two(world, services, stage::config()).await;
    let response = send_and(&stage, get("/"), &asked, async || stage.host.stall_p2p().await).await.unwrap();
    assert_eq!(response.via.and_then(|via| via.reason), Some(Reason::P2pFailed.name()));
    assert_eq!(text(response.body).await.unwrap(), "ok");
}

/// It may have been executed. It is not executed a second time, and the caller is told what is not known.
async fn not_repeated<W: World>(world: W, ends: impl AsyncFnOnce(&Stage<W>)) {
    let (services, asked) = silent_over_p2p();
    let stage = Stage::of_two(world, services, stage::config()).await;
    let error = send_and(&stage, post("/", Body::full(JSON)), &asked, async || ends(&stage).await).await.unwrap_err();
    assert!(error.may_have_been_delivered());
    assert!(error.failure().message().contains("whether the request was executed is unknown"), "{error}");
    assert!(error.failure().kind().status().is_server_error(), "{error}");
    assert!(error.into_request().is_none());
    // Later ones are no concern of it.
    stage.p2p_is_down().await;
    drop(stage.answer(post("/", Body::full(JSON)), Legacy, Reason::P2pDown).await);
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (1, 1));
}

/// With a word.
pub async fn a_post_whose_p2p_is_cut_before_the_head_is_not_repeated<W: World>(world: W) {
    not_repeated::<W>(world, async |stage| stage.host.cut_p2p().await).await;
}

/// Without one.
pub async fn a_post_whose_p2p_stalls_before_the_head_is_not_repeated<W: World>(world: W) {
    not_repeated::<W>(world, async |stage| stage.host.stall_p2p().await).await;
}

/// The same the other way round: p2p was down and has come back, which nobody has noticed yet.
pub async fn a_get_whose_tunnel_server_dies_before_the_head_is_answered_over_p2p<W: World>(world: W) {
    let asked = Arc::new(Notify::new());
    let tell = Arc::clone(&asked);
    let silent = Service::http(move |_| {
        tell.notify_one();
        std::future::pending()
    });
    let services: [Arc<dyn Handler>; 2] = [Arc::new(Service::hello()), Arc::new(silent)];
    // Probes take so long to bring p2p back that only the last resort can use it.
    let mut config = stage::config();
    config.probe_interval_min = Duration::from_secs(20);
    config.probe_interval_max = Duration::from_secs(20);
    let stage = Stage::of_two(world, services, config).await;
    stage.lose_p2p().await;
    stage.host.heal_p2p().await;
    until("p2p is connected", || stage.router.status().p2p.is_some_and(|p2p| p2p.transport.health == "healthy")).await;
    assert_ne!(stage.p2p_state(), tunnel_router::State::Healthy);
    let response = send_and(&stage, get("/"), &asked, async || stage.backend.server().await.kill()).await.unwrap();
    assert_eq!(response.via.map(|via| (via.transport, via.reason)), Some((P2p, Some(Reason::LegacyFailed.name()))));
    assert_eq!(text(response.body).await.unwrap(), "ok");
}

/// The service would fail over the other transport as well, and p2p is not to blame.
pub async fn a_failure_of_the_service_does_not_change_the_transport<W: World>(world: W) {
    let fails = Service::http(|_| async { Err(Failure::new(FailureKind::ServiceUnreachable, "no service")) });
    let stage = Stage::start(world, fails).await;
    for _ in 0..5 {
        let error = stage.send(get("/")).await.unwrap_err();
        assert_eq!(error.failure().kind(), FailureKind::ServiceUnreachable);
    }
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (5, 0));
    assert_eq!(stage.p2p_state(), tunnel_router::State::Healthy);
}

/// Nobody waits for ever, and the failure tells what is wrong with each of them.
pub async fn with_both_down_a_request_fails_soon_and_says_why<W: World>(world: W) {
    let stage = Stage::start(world, Service::hello()).await;
    stage.backend.server().await.kill();
    stage.lose_p2p().await;
    for request in [get("/"), post("/", Body::full(JSON))] {
        let began = Instant::now();
        let error = stage.send(request).await.unwrap_err();
        if W::TIME_IS_VIRTUAL {
            assert!(began.elapsed() < PATIENCE / 4, "{:?}", began.elapsed());
        }
        let message = error.failure().message();
        assert!(message.contains("p2p: ") && message.contains("legacy: "), "{message}");
        assert!(!error.may_have_been_delivered(), "{message}");
        assert!(error.into_request().is_some());
    }
    assert_eq!(stage.seen.all(), 0);
    let failure = soon(
        "an answer to the handshake",
        tunnel_core::Transport::open_ws(&stage.router, crate::pair::handshake("/ws")),
    )
    .await
    .unwrap_err();
    assert!(failure.message().contains("p2p: ") && failure.message().contains("legacy: "), "{failure}");
}

/// p2p needs no server.
pub async fn with_the_tunnel_server_down_p2p_does_not_care<W: World>(world: W) {
    let stage = Stage::start(world, Service::echo()).await;
    stage.backend.server().await.kill();
    for _ in 0..20 {
        let response = stage.answer(post("/", Body::full("not JSON")), P2p, Reason::P2pHealthy).await;
        assert_eq!(text(response.body).await.unwrap(), "not JSON");
    }
}

/// Once it is back, it carries requests again, without anybody having to start anything.
pub async fn a_restarted_tunnel_server_is_found_again<W: World>(world: W) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let service = Service::http(move |_| {
        counter.fetch_add(1, Relaxed);
        async { Ok(ok("ok")) }
    });
    let stage = Stage::start(world, service).await;
    stage.lose_p2p().await;
    drop(stage.answer(get("/"), Legacy, Reason::P2pDown).await);
    stage.backend.server().await.kill();
    assert!(stage.send(get("/")).await.is_err());
    stage.backend.server().await.start().await;
    let response = soon("an answer", async {
        loop {
            match tunnel_core::Transport::send(&stage.router, get("/")).await {
                Ok(response) if response.status == StatusCode::OK => return response,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await;
    assert_eq!(response.via.map(|via| via.transport), Some(Legacy));
    assert_eq!(asked.load(Relaxed), 2);
}

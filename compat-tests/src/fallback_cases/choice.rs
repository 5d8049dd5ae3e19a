//! Which transport a request takes.

use http::Method;
use tokio::time::Instant;
use tunnel_core::{
    Body,
    TransportKind::{Legacy, P2p},
};
use tunnel_router::Reason;

use super::stage::{self, Stage};
use crate::{
    backend::{ClientSettings, Credential, world::World},
    body::text,
    patience::{soon, until},
    request::{get, post, request},
    service::Service,
};

/// Less than any timeout after which somebody could have given p2p up.
const AT_ONCE: std::time::Duration = std::time::Duration::from_millis(400);

/// For everything, and nothing goes over legacy.
pub async fn p2p_is_used_while_it_works<W: World>(world: W) {
    let stage = Stage::start(world, Service::echo()).await;
    for _ in 0..20 {
        drop(stage.answer(get("/"), P2p, Reason::P2pHealthy).await);
        let response = stage.answer(post("/", Body::full("not JSON")), P2p, Reason::P2pHealthy).await;
        assert_eq!(text(response.body).await.unwrap(), "not JSON");
    }
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (40, 0));
}

/// Whatever its method, with a body as the tunnel carries it; and p2p, which nobody waits for, costs no time.
async fn all_over_legacy<W: World>(stage: &Stage<W>, reasons: &[Reason]) {
    for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let body = if method == Method::GET || method == Method::HEAD { "" } else { r#"{"a":1}"# };
        let began = Instant::now();
        let response = stage.send(request(method.clone(), "/path", Body::full(body))).await.expect("a response");
        let via = response.via.expect("it says how it travelled");
        assert_eq!(via.transport, Legacy, "{method}");
        assert!(reasons.iter().any(|reason| Some(reason.name()) == via.reason), "{via:?}");
        if W::TIME_IS_VIRTUAL {
            assert!(began.elapsed() < AT_ONCE, "{method} took {:?}", began.elapsed());
        }
        assert_eq!(response.headers["x-method"], method.as_str());
        let expected = if method == Method::HEAD { "" } else { body };
        assert_eq!(text(response.body).await.unwrap(), expected, "{method}");
    }
    assert_eq!(stage.seen.by(P2p), 0);
}

/// The first request of a device in a network that lets no p2p through.
pub async fn without_p2p_legacy_answers_at_once<W: World>(world: W) {
    let stage = Stage::without_p2p(world, Service::echo(), stage::config()).await;
    all_over_legacy(&stage, &[Reason::P2pConnecting, Reason::P2pDown]).await;
}

/// It worked, and does not any more.
pub async fn with_p2p_lost_legacy_answers_at_once<W: World>(world: W) {
    let stage = Stage::start(world, Service::echo()).await;
    stage.lose_p2p().await;
    all_over_legacy(&stage, &[Reason::P2pDown]).await;
}

/// By itself, without a request that has to fail first.
pub async fn p2p_is_used_again_once_it_is_back<W: World>(world: W) {
    let stage = Stage::start(world, Service::hello()).await;
    stage.lose_p2p().await;
    drop(stage.answer(get("/"), Legacy, Reason::P2pDown).await);
    stage.host.heal_p2p().await;
    stage.router.network_changed();
    stage.p2p_is_used().await;
    drop(stage.answer(get("/"), P2p, Reason::P2pHealthy).await);
    assert!(stage.router.status().counts.probes_succeeded >= 2, "{:?}", stage.router.status());
}

/// Nobody says that p2p has died, and nothing was under way: the next request finds out, and is answered all the same.
pub async fn an_idle_stall_is_noticed_by_the_next_request<W: World>(world: W) {
    let stage = Stage::start(world, Service::hello()).await;
    stage.host.stall_p2p().await;
    let response = stage.send(get("/")).await.expect("an answer over legacy");
    assert_eq!(response.via.map(|via| via.transport), Some(Legacy));
    stage.p2p_is_down().await;
    drop(stage.answer(get("/"), Legacy, Reason::P2pDown).await);
}

/// A ticket that the host has revoked is a p2p that does not work.
pub async fn a_wrong_p2p_credential_leaves_legacy<W: World>(world: W) {
    let stage = Stage::start(world, Service::hello()).await;
    let settings = ClientSettings::default();
    let credentials = [Credential::Wrong, Credential::Right];
    let client = stage.backend.client_with(&stage.host, settings, credentials, stage::config()).await;
    let router = client.router();
    soon("connecting", client.legacy_connected()).await.expect("legacy connects");
    until("p2p is refused", || matches!(router.status().p2p, Some(p2p) if p2p.transport.health == "down")).await;
    let response = soon("a response", tunnel_core::Transport::send(&router, get("/"))).await.expect("over legacy");
    assert_eq!(response.via.map(|via| via.transport), Some(Legacy));
    assert_eq!(stage.seen.by(P2p), 0);
}

//! What the operator sets holds from the next request on, and drops nothing.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Method, StatusCode};
use tokio::sync::oneshot;
use tunnel_core::{
    Body, FailureKind, Response,
    TransportKind::{self, Legacy, P2p},
};
use tunnel_router::{Mode, Reason, Rule};

use super::stage::{self, Stage};
use crate::{
    backend::world::World,
    body::{arrives, pieces, text},
    request::{get, path, post, request},
    service::{Once, Service, ok},
};

/// A service whose answer at `/long` ends once the case says so; all others are `ok`.
fn long_answer() -> (Service, oneshot::Sender<()>) {
    let (finish, finished) = oneshot::channel::<()>();
    let finished = Once::new(finished);
    let service = Service::http(move |request| {
        let finished = (path(&request) == "long").then(|| finished.take());
        async move {
            let Some(finished) = finished else { return Ok(ok("ok")) };
            let rest = stream::once(async move {
                finished.await.ok();
                Ok(Bytes::from_static(b"end"))
            });
            let begin = stream::iter([Ok(Bytes::from_static(b"begin "))]);
            Ok(Response::new(StatusCode::OK, pieces(begin.chain(rest))))
        }
    });
    (service, finish)
}

/// A response is under way over p2p while the operator acts; the next request goes as expected, and the response ends well.
async fn while_one_is_under_way<W: World>(
    world: W,
    act: impl FnOnce(&Stage<W>),
    expected: (TransportKind, Reason),
) -> Stage<W> {
    let (service, finish) = long_answer();
    let stage = Stage::start(world, service).await;
    let mut long = stage.answer(get("/long"), P2p, Reason::P2pHealthy).await;
    arrives(&mut long.body, "begin ").await;
    act(&stage);
    drop(stage.answer(get("/"), expected.0, expected.1).await);
    finish.send(()).unwrap();
    assert_eq!(text(long.body).await.unwrap(), "end");
    stage
}

/// On and off.
pub async fn the_kill_switch_holds_from_the_next_request_on<W: World>(world: W) {
    let stage =
        while_one_is_under_way(world, |stage: &Stage<W>| stage.router.kill_switch(true), (Legacy, Reason::KillSwitch))
            .await;
    assert!(stage.router.status().kill_switch);
    // It is stronger than anything else.
    stage.router.set_mode(Some(Mode::P2pOnly));
    drop(stage.answer(get("/"), Legacy, Reason::KillSwitch).await);
    stage.router.set_mode(None);
    stage.router.kill_switch(false);
    drop(stage.answer(get("/"), P2p, Reason::P2pHealthy).await);
}

/// Set and taken back.
pub async fn an_override_holds_from_the_next_request_on<W: World>(world: W) {
    let act = |stage: &Stage<W>| stage.router.set_mode(Some(Mode::Legacy));
    let stage = while_one_is_under_way(world, act, (Legacy, Reason::Override)).await;
    assert_eq!(stage.router.status().forced, Some(Mode::Legacy));
    stage.router.set_mode(Some(Mode::P2pOnly));
    drop(stage.answer(get("/"), P2p, Reason::Override).await);
    stage.router.set_mode(None);
    drop(stage.answer(get("/"), P2p, Reason::P2pHealthy).await);
}

/// Nothing passes through a server that could read it, whatever fails.
pub async fn p2p_only_never_falls_back<W: World>(world: W) {
    let stage = Stage::start(world, Service::hello()).await;
    stage.router.set_mode(Some(Mode::P2pOnly));
    stage.lose_p2p().await;
    for request in [get("/"), post("/", Body::full("{}"))] {
        let error = stage.send(request).await.unwrap_err();
        assert!(!error.may_have_been_delivered(), "{error}");
        assert!(error.failure().kind().status().is_server_error());
    }
    assert_eq!(stage.seen.all(), 0);
}

/// Neither what is under way, nor the health of p2p.
pub async fn a_reload_drops_nothing<W: World>(world: W) {
    let act = |stage: &Stage<W>| {
        let mut config = stage::config();
        config.mode = Mode::Legacy;
        stage.router.reload(config).expect("the settings are right");
        let mut wrong = stage::config();
        wrong.rollout_percent = 101.0;
        assert!(stage.router.reload(wrong).is_err());
    };
    let stage = while_one_is_under_way(world, act, (Legacy, Reason::Mode)).await;
    stage.router.reload(stage::config()).expect("the settings are right");
    drop(stage.answer(get("/"), P2p, Reason::P2pHealthy).await);
}

/// The first that matches.
pub async fn rules_decide_by_path_and_method<W: World>(world: W) {
    let mut config = stage::config();
    let rule = |path: &str, methods: &[Method], mode| Rule {
        path: path.parse().expect("a pattern"),
        methods: methods.to_vec(),
        mode,
    };
    config.rules = vec![
        rule("/files/**", &[Method::GET], Mode::Legacy),
        rule("/private/**", &[], Mode::P2pOnly),
        rule("/files/**", &[], Mode::P2pOnly),
    ];
    let stage = Stage::with(world, Service::hello(), config).await;
    let delete = || request(Method::DELETE, "/files/1", Body::empty());
    drop(stage.answer(get("/files/1"), Legacy, Reason::Rule).await);
    drop(stage.answer(get("/%66iles/1"), Legacy, Reason::Rule).await);
    drop(stage.answer(delete(), P2p, Reason::Rule).await);
    drop(stage.answer(get("/private"), P2p, Reason::Rule).await);
    drop(stage.answer(get("/other"), P2p, Reason::P2pHealthy).await);
    stage.lose_p2p().await;
    drop(stage.answer(get("/other"), Legacy, Reason::P2pDown).await);
    for request in [get("/private/1"), delete()] {
        let error = stage.send(request).await.unwrap_err();
        assert_ne!(error.failure().kind(), FailureKind::Internal, "{error}");
        assert!(!error.may_have_been_delivered());
    }
}

/// Nobody, then everybody.
pub async fn a_rollout_of_nothing_and_of_everything<W: World>(world: W) {
    let mut config = stage::config();
    config.rollout_percent = 0.0;
    let stage = Stage::with(world, Service::hello(), config.clone()).await;
    for _ in 0..20 {
        drop(stage.answer(get("/?clientId=home-0"), Legacy, Reason::Rollout).await);
    }
    config.rollout_percent = 100.0;
    stage.router.reload(config).expect("the settings are right");
    for _ in 0..20 {
        drop(stage.answer(get("/?clientId=home-0"), P2p, Reason::P2pHealthy).await);
    }
    assert_eq!((stage.seen.by(P2p), stage.seen.by(Legacy)), (20, 20));
}

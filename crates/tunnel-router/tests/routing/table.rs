//! The policy, as requests see it.

use http::Method;
use tunnel_core::{Body, FailureKind, Health, PathKind, Transport};
use tunnel_router::{ConfigError, Mode, Question, Router, RouterConfig, Rule};

use super::{
    ask,
    fake::{self, Act, Fake, get, post, request},
    over, pair,
};

fn config(change: impl FnOnce(&mut RouterConfig)) -> RouterConfig {
    let mut config = RouterConfig::default();
    change(&mut config);
    config
}

fn rule(path: &str, methods: &[Method], mode: Mode) -> Rule {
    Rule { path: path.parse().expect("a pattern"), methods: methods.to_vec(), mode }
}

#[tokio::test(start_paused = true)]
async fn uses_p2p_while_it_works() {
    let (_p2p, legacy, router) = pair(RouterConfig::default()).await;
    let got = ask(&router, get("/a")).await;
    assert_eq!((got.transport, got.reason), ("p2p", "p2p-healthy"));
    assert!(legacy.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn uses_legacy_at_once_while_p2p_is_connecting() {
    let (p2p, legacy) = (Fake::p2p(), Fake::legacy());
    p2p.is(Health::Probing);
    let router = over(&p2p, &legacy, RouterConfig::default()).await;
    let begun = tokio::time::Instant::now();
    let got = ask(&router, get("/a")).await;
    assert_eq!((got.transport, got.reason), ("legacy", "p2p-connecting"));
    assert_eq!(begun.elapsed().as_millis(), 0);
    p2p.is(fake::healthy());
    assert_eq!(ask(&router, get("/a")).await.reason, "p2p-healthy");
}

#[tokio::test(start_paused = true)]
async fn uses_legacy_at_once_while_p2p_is_down() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    p2p.is(fake::down());
    let begun = tokio::time::Instant::now();
    let got = ask(&router, post("{}")).await;
    assert_eq!((got.transport, got.reason), ("legacy", "p2p-down"));
    assert_eq!(begun.elapsed().as_millis(), 0);
    assert!(p2p.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_strongest_setting_wins() {
    let rules = vec![
        rule("/files/**", &[Method::GET], Mode::P2pOnly),
        rule("/files/**", &[], Mode::Legacy),
        rule("/both", &[], Mode::P2pFirst),
    ];
    let outside = config(|config| {
        config.rules = rules;
        config.rollout_percent = 0.0;
    });
    let (_p2p, _legacy, router) = pair(outside.clone()).await;
    let post_file = || request(1, Method::POST, "/files/a", Body::empty());
    assert_eq!(ask(&router, get("/files/a")).await.reason, "rule");
    assert_eq!(ask(&router, get("/%66iles/a")).await.transport, "p2p");
    assert_eq!(ask(&router, post_file()).await.transport, "legacy");
    assert_eq!(ask(&router, get("/both")).await.reason, "p2p-healthy");
    assert_eq!(ask(&router, get("/other")).await.reason, "rollout");
    router.set_mode(Some(Mode::P2pOnly));
    let got = ask(&router, get("/other")).await;
    assert_eq!((got.transport, got.reason), ("p2p", "override"));
    router.kill_switch(true);
    let got = ask(&router, get("/files/a")).await;
    assert_eq!((got.transport, got.reason), ("legacy", "kill-switch"));
    router.kill_switch(false);
    router.set_mode(None);
    router.reload(config(|config| config.mode = Mode::Legacy)).unwrap();
    assert_eq!(ask(&router, get("/files/a")).await.reason, "mode");
    router.reload(config(|config| config.mode = Mode::P2pOnly)).unwrap();
    assert_eq!(ask(&router, get("/files/a")).await.reason, "p2p-only");
    let decisions = router.decisions();
    assert_eq!(decisions[0].reason.unwrap().name(), "p2p-only");
    assert_eq!(decisions.last().unwrap().path, "/files/a");
    assert_eq!(decisions.len(), 9);
}

#[tokio::test(start_paused = true)]
async fn rollout_goes_by_the_client_id_of_the_request_and_else_of_the_configuration() {
    let half = config(|config| {
        config.rollout_percent = 50.0;
        config.client_id = Some("home".to_owned());
    });
    let (_p2p, _legacy, router) = pair(half).await;
    let (inside, outside) = ("in", "home");
    assert!(tunnel_router::bucket(inside) < 5000 && tunnel_router::bucket(outside) >= 5000);
    assert_eq!(ask(&router, get("/a?x=1&client%49d=in")).await.reason, "p2p-healthy");
    assert_eq!(ask(&router, get("/a?clientid=in")).await.reason, "rollout");
    assert_eq!(ask(&router, get("/a?clientId=home")).await.reason, "rollout");
    assert_eq!(ask(&router, get("/a")).await.reason, "rollout");
}

#[tokio::test(start_paused = true)]
async fn explains_what_it_then_does() {
    let rules = vec![rule("/media/**", &[], Mode::P2pOnly)];
    let (p2p, legacy, router) = pair(config(|config| config.rules = rules)).await;
    let question = |target: &str| Question { client_id: None, method: Method::GET, target: target.parse().unwrap() };
    for (target, health) in [
        ("/media/1", fake::healthy()),
        ("/a", fake::healthy()),
        ("/a?clientId=x", fake::down()),
        ("/media/1", fake::down()),
    ] {
        p2p.is(health);
        let explained = router.explain(&question(target));
        let got = ask(&router, get(target)).await;
        assert_eq!(explained.transport, Some(got.transport));
        assert_eq!(explained.reason.unwrap().name(), got.reason);
    }
    legacy.with(|state| state.refuses = Some(fake::failure(FailureKind::Unsupported)));
    let explained = router.explain(&question("/a"));
    assert_eq!(explained.legacy_refuses.as_deref(), Some("scripted unsupported"));
    assert_eq!(explained.transport, None);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_policy_leaves_requests_under_way_alone() {
    let (p2p, _legacy, router) = pair(RouterConfig::default()).await;
    p2p.on(|_| Act::Late(std::time::Duration::from_millis(500), Box::new(Act::Respond(fake::text("late")))));
    let other = router.clone();
    let (got, ()) = tokio::join!(ask(&router, post("{}")), async move {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        other.kill_switch(true);
    });
    assert_eq!((got.transport, &got.body[..]), ("p2p", &b"late"[..]));
    assert_eq!(ask(&router, post("{}")).await.transport, "legacy");
}

#[tokio::test(start_paused = true)]
async fn one_transport_is_enough() {
    let (p2p, legacy) = (Fake::p2p(), Fake::legacy());
    let only_p2p = Router::start(Some(p2p.arc()), None, config(|config| config.mode = Mode::Legacy)).unwrap();
    assert_eq!(ask(&only_p2p, get("/a")).await.reason, "only-transport");
    let only_legacy = Router::start(None, Some(legacy.arc()), RouterConfig::default()).unwrap();
    let got = ask(&only_legacy, get("/a")).await;
    assert_eq!((got.transport, got.reason), ("legacy", "only-transport"));
    only_legacy.set_mode(Some(Mode::P2pOnly));
    let error = only_legacy.send(post("{}")).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::Unreachable);
    assert!(error.into_request().is_some());
    assert_eq!(legacy.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn settings_that_cannot_be_are_refused() {
    let (p2p, legacy) = (Fake::p2p(), Fake::legacy());
    let start = |has_p2p: bool, config| Router::start(has_p2p.then(|| p2p.arc()), Some(legacy.arc()), config).err();
    assert_eq!(Router::start(None, None, RouterConfig::default()).err(), Some(ConfigError::NoTransport));
    assert!(matches!(start(false, config(|it| it.mode = Mode::P2pOnly)), Some(ConfigError::NoP2p(_))));
    assert!(matches!(start(true, config(|it| it.rollout_percent = f64::NAN)), Some(ConfigError::Percent { .. })));
    assert!(matches!(start(true, config(|it| it.shadow_percent = 100.01)), Some(ConfigError::Percent { .. })));
    assert!(matches!(start(true, config(|it| it.probes_to_return = 1)), Some(ConfigError::Range { .. })));
    assert!(matches!(
        start(true, config(|it| it.stall_timeout = it.probe_timeout * 2)),
        Some(ConfigError::Range { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn is_healthy_if_either_transport_is() {
    let (p2p, legacy) = (Fake::p2p(), Fake::legacy());
    p2p.is(Health::Healthy { path: PathKind::Relayed, client_id: Some("home".to_owned()) });
    legacy.is(Health::Healthy { path: PathKind::Server, client_id: None });
    let router = over(&p2p, &legacy, RouterConfig::default()).await;
    let client_id = Some("home".to_owned());
    assert_eq!(router.health(), Health::Healthy { path: PathKind::Relayed, client_id: client_id.clone() });
    router.kill_switch(true);
    assert_eq!(router.health(), Health::Healthy { path: PathKind::Server, client_id });
    router.kill_switch(false);
    p2p.is(fake::down());
    assert_eq!(router.health(), Health::Healthy { path: PathKind::Server, client_id: None });
    legacy.is(Health::Probing);
    assert_eq!(router.health(), Health::Probing);
    legacy.is(fake::down());
    assert!(matches!(router.health(), Health::Down(failure) if failure.message().contains("neither")));
}

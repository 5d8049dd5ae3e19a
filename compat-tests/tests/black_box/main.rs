//! The black-box checks against the demo service, bare and behind proxies that damage what passes.

mod damage;
mod proxy;

use std::net::SocketAddr;

use compat_tests::{
    black_box::{PreflightError, Target, checks, preflight},
    demo_service,
};
use tokio::{net::TcpListener, task::JoinSet};

/// The demo service, until the set is dropped.
async fn service(tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tasks.spawn(async move { demo_service::serve(listener).await.expect("the service runs") });
    address
}

fn target(address: SocketAddr) -> Target {
    Target::new(&format!("http://{address}")).expect("a URL")
}

/// The names of the checks that find a difference, with what they found.
async fn differences(target: &Target, only: &[&str]) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for check in checks().filter(|check| only.is_empty() || only.iter().any(|pattern| check.matches(pattern))) {
        if let Err(difference) = check.run(target).await.result {
            found.push((check.name(), difference.to_string()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_passes_every_check_where_nothing_is_in_the_way() {
    let mut tasks = JoinSet::new();
    let target = target(service(&mut tasks).await);
    preflight(&target).await.unwrap();
    assert_eq!(differences(&target, &[]).await, []);
}

#[tokio::test]
async fn what_is_no_demo_service_is_recognised() {
    let mut tasks = JoinSet::new();
    let bare = service(&mut tasks).await;
    let other = proxy::start(&mut tasks, bare, proxy::hide_about).await;
    let error = preflight(&target(other)).await.unwrap_err();
    assert!(matches!(error, PreflightError::OtherService { status: 404, .. }), "{error:?}");
    let refusing = proxy::start(&mut tasks, bare, proxy::refuse).await;
    let error = preflight(&target(refusing)).await.unwrap_err();
    assert!(matches!(error, PreflightError::Refused { status: 424, .. }), "{error:?}");
    assert!(error.to_string().contains("Client with ID"), "{error}");
    let nobody = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
    let error = preflight(&target(nobody)).await.unwrap_err();
    assert!(matches!(error, PreflightError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_response_by_another_transport_is_a_difference() {
    let mut tasks = JoinSet::new();
    let target = target(service(&mut tasks).await).with_transport("p2p");
    let found = differences(&target, &["GET /files/1.bin", "WS ping"]).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].1.contains("p2p"), "{found:?}");
}

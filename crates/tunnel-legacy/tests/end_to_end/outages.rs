//! Servers and hosts that go and come back.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tunnel_core::{Body, FailureKind, Transport};
use tunnel_legacy::{LegacyHostState, server::Behaviour};

use crate::support::{PATIENCE, Tunnel, behaviours, bytes, connected, ok, path, request, service};

#[tokio::test]
async fn a_server_that_restarts_is_found_again() {
    for behaviour in behaviours() {
        let tunnel = Tunnel::new(behaviour, service(|request| async move { Ok(ok(Body::full(path(request)))) })).await;
        let before = tunnel.host.state();
        let (client, host) = (tunnel.client, tunnel.host);
        let server = tunnel.server.restart().await;
        let state = timeout(PATIENCE, host.changed_from(&before)).await.expect("the host noticed nothing");
        assert!(matches!(state, LegacyHostState::Reconnecting(_)), "{state:?}");
        connected(&host).await;
        // The published server believes what its database says before the host is back; ours asks again.
        let response = timeout(PATIENCE, async {
            loop {
                match client.send(request("GET", "/a", "")).await {
                    Ok(response) => return response,
                    Err(error) => {
                        assert!(
                            matches!(error.failure().kind(), FailureKind::Unreachable | FailureKind::ConnectionLost),
                            "{error}"
                        );
                        sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        });
        assert_eq!(bytes(response.await.expect("not served again").body).await, b"a");
        drop(server);
    }
}

#[tokio::test]
async fn requests_whose_host_goes_end_and_a_new_host_takes_the_next() {
    let tunnel = Tunnel::new(Behaviour::mended(), service(|_| std::future::pending())).await;
    let (client, host) = (&tunnel.client, tunnel.host);
    let (answer, ()) = tokio::join!(client.send(request("GET", "/a", "")), async {
        sleep(Duration::from_millis(200)).await;
        drop(host);
    });
    let error = answer.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::ConnectionLost);
    assert!(error.may_have_been_delivered());
    let answering = service(|_| async { Ok(ok(Body::full("new"))) });
    let _host = tunnel.server.host("home", &tunnel.access, answering).await;
    let response = client.send(request("GET", "/a", "")).await.unwrap();
    assert_eq!(bytes(response.body).await, b"new");
}

#[tokio::test]
async fn the_newest_host_of_a_name_answers_and_the_old_one_knows() {
    let tunnel = Tunnel::new(Behaviour::mended(), service(|_| async { Ok(ok(Body::full("old"))) })).await;
    let before = tunnel.host.state();
    let newer = service(|_| async { Ok(ok(Body::full("new"))) });
    let _newer = tunnel.server.host("home", &tunnel.access, newer).await;
    let state = timeout(PATIENCE, tunnel.host.changed_from(&before)).await.expect("the old host noticed nothing");
    let LegacyHostState::Reconnecting(failure) = state else { panic!("{state:?}") };
    assert!(failure.message().contains("taken over"), "{failure}");
    let response = tunnel.client.send(request("GET", "/a", "")).await.unwrap();
    assert_eq!(bytes(response.body).await, b"new");
}

#[tokio::test]
async fn a_drained_host_finishes_what_it_has() {
    let handler = service(|_| async {
        sleep(Duration::from_millis(300)).await;
        Ok(ok(Body::full(vec![1; 1_000_000])))
    });
    let tunnel = Tunnel::new(Behaviour::mended(), handler).await;
    let (client, host) = (&tunnel.client, tunnel.host);
    let (answer, drained) =
        tokio::join!(async { bytes(client.send(request("GET", "/a", "")).await.unwrap().body).await }, async {
            sleep(Duration::from_millis(100)).await;
            host.drain(PATIENCE).await
        });
    assert_eq!(answer.len(), 1_000_000);
    assert!(drained);
    let error = client.send(request("POST", "/a", "")).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::Unreachable);
}

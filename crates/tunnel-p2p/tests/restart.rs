//! Hosts that go, hosts that come back, and clients that are closed.

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::StatusCode;
use p2p_provider::{
    P2PProvider, SecretKey,
    iroh::{IrohConfig, IrohP2P},
};
use support::{Pair, Service, get, once, peer, pieces, soon, take, text};
use tokio::sync::oneshot;
use tunnel_core::{FailureKind, Response, Transport};
use tunnel_p2p::{Client, ClientConfig, Host, HostConfig, TicketSecret};

async fn host(key: &SecretKey, secret: &TicketSecret, address: SocketAddr) -> (IrohP2P, Host<IrohP2P>) {
    let mut config = IrohConfig::loopback(key.clone());
    config.bind = vec![address];
    // The port of a closed endpoint becomes free a moment later.
    let peer = soon("binding the port", async {
        loop {
            match IrohP2P::bind(config.clone()).await {
                Ok(peer) => return peer,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await;
    let host = Host::start(peer.clone(), Arc::new(Service::hello()), HostConfig::new(secret.clone())).await;
    (peer, host.expect("the host starts"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_finds_a_restarted_host_again() {
    let (key, secret) = (SecretKey::generate(), TicketSecret::generate());
    let (first, running) = host(&key, &secret, "127.0.0.1:0".parse().unwrap()).await;
    let address = first.bound_sockets()[0];
    let client = Client::start(peer().await, running.ticket(), ClientConfig::default());
    assert_eq!(text(client.send(get("/")).await.unwrap().body).await.unwrap(), "ok");

    drop(running);
    first.close().await;
    drop(first);
    let error = soon("a failure", async {
        loop {
            if let Err(error) = client.send(get("/")).await {
                return error;
            }
        }
    })
    .await;
    assert!(!error.failure().message().is_empty());

    let (_second, _running) = host(&key, &secret, address).await;
    let response = soon("a response", async {
        loop {
            match client.send(get("/")).await {
                Ok(response) => return response,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await;
    assert_eq!(text(response.body).await.unwrap(), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_lets_responses_end_and_takes_no_new_requests() {
    let (finish, finished) = oneshot::channel::<()>();
    let finished = once(finished);
    let Pair { host, client, host_peer, client_peer } = Pair::start(Service::http(move |_| {
        let finished = take(&finished);
        async move {
            let rest = stream::once(async move {
                finished.await.ok();
                Ok(Bytes::from_static(b"end"))
            });
            let first = stream::iter([Ok(Bytes::from_static(b"begin "))]);
            Ok(Response::new(StatusCode::OK, pieces(first.chain(rest))))
        }
    }))
    .await;
    let response = client.send(get("/")).await.unwrap();
    let mut draining = tokio::task::JoinSet::new();
    draining.spawn(async move { host.drain(Duration::from_secs(15)).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let error = soon("the refusal", client.send(get("/"))).await.unwrap_err();
    assert!(!error.may_have_been_delivered(), "{error}");
    finish.send(()).unwrap();
    assert_eq!(soon("the response", text(response.body)).await.unwrap(), "begin end");
    assert!(soon("the drain", draining.join_next()).await.unwrap().unwrap());
    drop((host_peer, client_peer));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_client_fails_at_once() {
    let pair = Pair::start(Service::hello()).await;
    pair.client.close();
    let error = soon("the failure", pair.client.send(get("/"))).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::ShuttingDown);
    assert!(error.into_request().is_some());
}

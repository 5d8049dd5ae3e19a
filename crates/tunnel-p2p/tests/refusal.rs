//! Clients that are not welcome.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::sync::Arc;

use support::{Service, get, peer, soon};
use tunnel_core::{FailureKind, Transport};
use tunnel_p2p::{Client, ClientConfig, Host, HostConfig, TicketSecret};

fn never() -> Service {
    Service::http(|_| async { panic!("the handler must not be called") })
}

async fn unauthorized(on_host: impl FnOnce(&mut HostConfig), config: ClientConfig, wrong: bool) {
    let mut settings = HostConfig::new(TicketSecret::generate());
    on_host(&mut settings);
    let host = Host::start(peer().await, Arc::new(never()), settings).await.unwrap();
    let mut ticket = host.ticket();
    if wrong {
        ticket.secret = TicketSecret::generate();
    }
    let client = Client::start(peer().await, ticket, config);
    let error = soon("the refusal", client.connected()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unauthorized);
    let error = soon("the refusal", client.send(get("/"))).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::Unauthorized);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_unauthorized() {
    unauthorized(|_| {}, ClientConfig::default(), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_client_id_is_unauthorized() {
    let mut config = ClientConfig::default();
    config.client_id = Some("other".to_owned());
    unauthorized(|host| host.client_id = Some("mine".to_owned()), config, false).await;
}

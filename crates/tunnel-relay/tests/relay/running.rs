//! A relay while it runs, and its end.

use iroh::{Watcher, endpoint::RelayStatus};
use tokio::net::TcpStream;
use tunnel_relay::{Access, ClientRate, RelayConfig};

use crate::support::{ANY, Client, echo, get, metric, online, relay, soon, start};

#[tokio::test]
async fn health_and_latency_checks_are_answered() {
    let relay = relay(Access::LoopbackOnly).await;
    let http = relay.http().unwrap();
    let answer = get(http, "/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""status":"ok""#), "{answer}");
    assert!(get(http, "/ping").await.starts_with("HTTP/1.1 200"));
    assert!(get(http, "/generate_204").await.starts_with("HTTP/1.1 204"));
}

#[tokio::test]
async fn the_metrics_count_what_passes() {
    let mut config = RelayConfig::new();
    config.http = Some(ANY);
    config.metrics = Some(ANY);
    let relay = start(config).await;
    assert_eq!(metric(&relay, "relayserver_bytes_recv_total").await, 0);
    let (one, other) = (Client::new().bind(&relay).await, Client::new().bind(&relay).await);
    online(&one).await;
    online(&other).await;
    echo(&one, &other).await;
    assert_eq!(metric(&relay, "relayserver_accepts_total").await, 2);
    assert!(metric(&relay, "relayserver_bytes_recv_total").await > 0);
}

#[tokio::test]
async fn a_client_above_its_rate_waits_and_loses_nothing() {
    let mut config = RelayConfig::new();
    config.http = Some(ANY);
    config.metrics = Some(ANY);
    let mut rate = ClientRate::new(20_000);
    rate.burst_bytes = Some(2000);
    config.client_rate = Some(rate);
    let relay = start(config).await;
    let (one, other) = (Client::new().bind(&relay).await, Client::new().bind(&relay).await);
    online(&one).await;
    online(&other).await;
    echo(&one, &other).await;
    assert!(metric(&relay, "relayserver_bytes_rx_ratelimited_total").await > 0);
}

#[tokio::test]
async fn a_relay_that_was_stopped_serves_nobody() {
    let relay = relay(Access::LoopbackOnly).await;
    let http = relay.http().unwrap();
    let (one, other) = (Client::new().bind(&relay).await, Client::new().bind(&relay).await);
    online(&one).await;
    online(&other).await;
    soon(relay.stop()).await;
    assert!(TcpStream::connect(http).await.is_err());
    let mut status = one.home_relay_status();
    soon(async {
        while status.get().iter().any(RelayStatus::is_connected) {
            status.updated().await.expect("the endpoint is open");
        }
    })
    .await;
}

//! Who may ask, and what the gateway answers by itself.

use std::sync::Arc;

use tunnel_core::{Failure, FailureKind, Health};
use tunnel_edge::{Gateway, GatewayConfig, GatewayError, LocalService, Profile, ServiceConfig};

use crate::support::{Loopback, Service, Tunnel, body, field, healthy};

async fn tunnel(service: &Service, health: Health, change: impl FnOnce(&mut GatewayConfig)) -> Tunnel {
    let mut config = GatewayConfig::default();
    config.listen.set_port(0);
    change(&mut config);
    let handler = LocalService::new(ServiceConfig::new(service.target().parse().unwrap())).unwrap();
    Tunnel::over(config, Arc::new(Loopback { handler, health })).await
}

#[tokio::test]
async fn exactly_one_client_id_and_the_right_one() {
    let service = Service::echoing().await;
    let gateway = tunnel(&service, healthy(Some("mine")), |_| {}).await;
    for (target, status, text) in [
        ("/a?clientId=mine", "200", ""),
        ("/a", "400", "Missing clientId query param"),
        ("/a?clientId=mine&clientId=mine", "400", "More than one clientId query param"),
        ("/a?clientId=mine&CLIENTID=other", "400", "More than one clientId query param"),
        ("/a?clientId=mine&client%49d=other", "400", "More than one clientId query param"),
        ("/a?clientId=other", "424", "Client with ID is not connected"),
    ] {
        let answer = gateway.get(target, "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
        assert!(body(&answer).contains(text), "{target}: {answer}");
    }
    let configured = tunnel(&service, healthy(Some("mine")), |config| config.client_id = Some("mine".into())).await;
    assert!(configured.get("/a", "").await.starts_with("HTTP/1.1 200 "));
    let plain = tunnel(&service, healthy(Some("mine")), |config| config.profile = Profile::Plain).await;
    assert!(plain.get("/a?clientId=x&clientId=y", "").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn health_tells_the_state_of_the_transport() {
    let service = Service::echoing().await;
    let answer = tunnel(&service, healthy(None), |_| {}).await.get("/health", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let health: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!(health["healthy"], true);
    assert_eq!(health["transport"], "p2p");
    assert_eq!(health["path"], "direct");

    let down = Health::Down(Failure::new(FailureKind::Unreachable, "no route"));
    let answer = tunnel(&service, down, |_| {}).await.get("/health", "").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(body(&answer).contains("\"healthy\":false") && body(&answer).contains("no route"), "{answer}");
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused_with_the_flag_that_allows_them() {
    let service = Service::echoing().await;
    let gateway = tunnel(&service, healthy(None), |config| config.profile = Profile::Plain).await;
    let answer = gateway.exchange(b"GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 421 ") && answer.contains("--allow-host"), "{answer}");
    let answer = gateway.get("http://evil.example/", "").await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    let answer = gateway.get("/", "origin: https://evil.example\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("--allow-origin"), "{answer}");
    let answer =
        gateway.get("/", "origin: https://evil.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn an_access_token_decides_alone_and_goes_no_further() {
    let service = Service::echoing().await;
    let gateway = tunnel(&service, healthy(None), |config| {
        config.access_token = Some("secret".into());
        config.client_id = Some("c".into());
    })
    .await;
    let answer = gateway.get("/a", "origin: https://any.example\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && body(&answer) == "Unauthorized", "{answer}");
    for (target, fields) in [
        ("/a?signature=secret", ""),
        ("/a", "authorization: Bearer secret\r\n"),
        ("/a", "x-tunnel-access-token: secret\r\n"),
    ] {
        let answer = gateway.get(target, &format!("{fields}origin: https://any.example\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && !body(&answer).contains("secret"), "{answer}");
        assert_eq!(field(&answer, "access-control-allow-origin"), Some("https://any.example"));
    }
}

#[tokio::test]
async fn refuses_to_listen_for_other_machines_without_a_token() {
    let config = GatewayConfig { listen: ([0, 0, 0, 0], 0).into(), ..GatewayConfig::default() };
    let service = ServiceConfig::new("http://127.0.0.1:1".parse().unwrap());
    let transport = Arc::new(Loopback { handler: LocalService::new(service).unwrap(), health: healthy(None) });
    let Err(error) = Gateway::bind(config, transport).await else { panic!("it listens") };
    assert!(matches!(error, GatewayError::Config { field: "access_token", .. }));
}

#[tokio::test]
async fn preflights_are_answered_for_any_method_and_header() {
    let service = Service::echoing().await;
    let gateway = tunnel(&service, healthy(None), |config| config.access_token = Some("secret".into())).await;
    let answer = gateway
        .exchange(
            b"OPTIONS /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: https://app.example\r\n\
              access-control-request-method: HEAD\r\naccess-control-request-headers: range, authorization\r\n\r\n",
        )
        .await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "HEAD"),
        ("access-control-allow-headers", "range, authorization"),
        ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ] {
        assert_eq!(field(&answer, name), Some(value), "{answer}");
    }
}

#[tokio::test]
async fn what_the_service_says_about_origins_is_replaced() {
    let service = Service::answering(
        b"HTTP/1.1 200 OK\r\naccess-control-allow-origin: *\r\nvary: accept\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let gateway = tunnel(&service, healthy(None), |config| config.client_id = Some("c".into())).await;
    let answer = gateway.get("/", "origin: http://localhost:3000\r\n").await;
    assert_eq!(answer.matches("access-control-allow-origin").count(), 1, "{answer}");
    assert_eq!(field(&answer, "access-control-allow-origin"), Some("http://localhost:3000"));
    assert!(answer.contains("vary: accept\r\n") && answer.contains("vary: Origin"), "{answer}");
    assert_eq!(field(&gateway.get("/", "").await, "access-control-allow-origin"), None);
}

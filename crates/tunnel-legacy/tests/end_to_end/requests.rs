//! Requests and answers.

use serde_json::json;
use tunnel_core::{Body, Failure, FailureKind, Health, RequestHead, Transport};
use tunnel_legacy::LegacyClient;

use crate::support::{Server, Tunnel, behaviours, bytes, ok, path, request, service};

#[tokio::test]
async fn a_request_arrives_as_it_was_sent() {
    for behaviour in behaviours() {
        let handler = service(|request| async move {
            let RequestHead::Tunnel(head) = request.head else { panic!("not in the tunnel's form") };
            let seen = json!({
                "method": head.method.to_string(), "path": head.path, "query": head.query, "payload": head.payload,
                "headers": head.headers, "profile": head.profile,
            });
            let mut response = ok(Body::full(seen.to_string()));
            response.status = http::StatusCode::CREATED;
            response.headers.insert("content-type", "application/json".parse().unwrap());
            response.headers.insert("x-a", "1".parse().unwrap());
            Ok(response)
        });
        let tunnel = Tunnel::new(behaviour, handler).await;
        let mut request = request("PATCH", "/a%20b/c?x=%2B&y=1%262", r#"{"k":[1,"é"]}"#);
        let RequestHead::Http(parts) = &mut request.head else { unreachable!() };
        parts.headers.insert("range", "bytes=0-9".parse().unwrap());
        parts.headers.insert("moosicbox-profile", "p".parse().unwrap());
        parts.headers.insert("cookie", "lost=1".parse().unwrap());
        let response = tunnel.client.send(request).await.unwrap();
        assert_eq!((response.status.as_u16(), &response.headers["x-a"]), (201, &"1".parse().unwrap()));
        let seen: serde_json::Value = serde_json::from_slice(&bytes(response.body).await).unwrap();
        assert_eq!(
            seen,
            json!({
                "method": "PATCH", "path": "a%20b/c", "query": {"x": "+", "y": "1&2", "clientId": "home"},
                "payload": {"k": [1, "é"]}, "headers": {"range": "bytes=0-9"}, "profile": "p",
            })
        );
        assert!(matches!(tunnel.client.health(), Health::Healthy { .. }));
        tunnel.client.probe().await.unwrap();
    }
}

#[tokio::test]
async fn answers_without_a_body_keep_their_kind() {
    for behaviour in behaviours() {
        let handler = service(|request| async move {
            let mut response = ok(Body::empty());
            response.status = path(request).parse().unwrap();
            Ok(response)
        });
        let tunnel = Tunnel::new(behaviour, handler).await;
        for status in [204, 304, 200, 404, 503, 204] {
            let response = tunnel.client.send(request("GET", &format!("/{status}"), "")).await.unwrap();
            assert_eq!(response.status.as_u16(), status);
            assert_eq!(bytes(response.body).await, b"");
        }
        let response = tunnel.client.send(request("HEAD", "/200", "")).await.unwrap();
        assert_eq!(response.status, 200);
    }
}

#[tokio::test]
async fn many_requests_at_once_are_not_mixed_up() {
    for behaviour in behaviours() {
        let tunnel = Tunnel::new(behaviour, service(|request| async move { Ok(ok(Body::full(path(request)))) })).await;
        let (client, total) = (&tunnel.client, 300);
        let answers = futures::future::join_all((0..total).map(|number| async move {
            let response = client.send(request("GET", &format!("/{number}"), "")).await.unwrap();
            bytes(response.body).await
        }));
        for (number, answer) in answers.await.into_iter().enumerate() {
            assert_eq!(answer, number.to_string().as_bytes());
        }
    }
}

#[tokio::test]
async fn media_routes_take_the_signature() {
    for behaviour in behaviours() {
        let tunnel = Tunnel::new(behaviour, service(|request| async move { Ok(ok(Body::full(path(request)))) })).await;
        let mut config = tunnel.config.clone();
        config.token = None;
        let client = LegacyClient::new(config.clone()).unwrap();
        for target in ["/files/track", "/files/albums/1/300x300", "/files/artists/1/300"] {
            let response = client.send(request("GET", target, "")).await.unwrap();
            assert_eq!(bytes(response.body).await, &target.as_bytes()[1..]);
        }
        config.signature = Some("wrong".to_owned());
        let client = LegacyClient::new(config).unwrap();
        let error = client.send(request("GET", "/files/track", "")).await.unwrap_err();
        assert_eq!(error.failure().kind(), FailureKind::Unauthorized);
        assert!(error.into_request().is_some());
    }
}

#[tokio::test]
async fn the_tunnel_servers_refusals_are_known() {
    for behaviour in behaviours() {
        let server = Server::start(behaviour).await;
        let (access, _) = server.account("home").await;
        let mut config = tunnel_legacy::LegacyConfig::new(server.url.clone());
        config.client_id = Some("home".to_owned());
        config.token = Some(access);
        let client = LegacyClient::new(config.clone()).unwrap();
        let error = client.send(request("POST", "/a", "{}")).await.unwrap_err();
        assert_eq!(error.failure().kind(), FailureKind::Unreachable);
        assert!(!error.may_have_been_delivered() && error.into_request().is_some());

        config.token = Some("wrong".to_owned());
        let client = LegacyClient::new(config).unwrap();
        let error = client.send(request("POST", "/a", "{}")).await.unwrap_err();
        assert_eq!(error.failure().kind(), FailureKind::Unauthorized);
        assert!(error.into_request().is_some());
    }
}

#[tokio::test]
async fn a_failure_of_the_host_is_the_failure_it_was() {
    for behaviour in behaviours() {
        let handler = service(|request| async move {
            Err(match &*path(request) {
                "down" => Failure::new(FailureKind::ServiceUnreachable, "the service is down"),
                _ => Failure::new(FailureKind::ServiceTimeout, "the service is slow"),
            })
        });
        let tunnel = Tunnel::new(behaviour, handler).await;
        let error = tunnel.client.send(request("POST", "/down", "{}")).await.unwrap_err();
        let down = Failure::new(FailureKind::ServiceUnreachable, "the service is down");
        assert_eq!((error.failure(), error.may_have_been_delivered()), (&down, false));
        assert!(error.into_request().is_some());
        let error = tunnel.client.send(request("POST", "/slow", "{}")).await.unwrap_err();
        assert_eq!(error.failure().kind(), FailureKind::ServiceTimeout);
        assert!(error.may_have_been_delivered());
        assert!(matches!(tunnel.client.health(), Health::Healthy { .. }), "the way is fine");
    }
}

#[tokio::test]
async fn what_apps_ask_about_tokens_is_passed_on() {
    for behaviour in behaviours() {
        let server = Server::start(behaviour).await;
        let client = LegacyClient::new(tunnel_legacy::LegacyConfig::new(server.url.clone())).unwrap();
        let mut asked = request("POST", "/auth/register-client?clientId=new", "");
        let RequestHead::Http(parts) = &mut asked.head else { unreachable!() };
        parts.headers.insert("authorization", "Bearer devtoken".parse().unwrap());
        let response = client.pass(asked).await.unwrap();
        assert_eq!(response.status, 200);
        assert!(bytes(response.body).await.starts_with(b"{\"token\":"));
        let response = client.pass(request("POST", "/auth/signature-token?clientId=new", "")).await.unwrap();
        assert_eq!(response.status, 401);
    }
}

//! The question, as it reaches a host.

use http::{Method, StatusCode, header};
use http_body_util::BodyExt;
use p2p_provider::{
    PeerId,
    simulator::{SimNetwork, run},
};
use serde_json::{Value, json};
use tempfile::tempdir;
use tunnel_core::{Body, Request, Response, convert::to_tunnel};
use tunnel_p2p::{
    Ticket,
    pairing::{How, PAIRING_PATH, PairError, Refusal, pair},
};

use crate::support::{Home, Tunnel, get};

fn question(method: Method, body: impl Into<Body>) -> Request {
    let request = http::Request::builder().method(method).uri(format!("{PAIRING_PATH}?clientId=home"));
    Request::http(1, request.body(()).expect("a valid request").into_parts().0, body.into())
}

fn post(body: &Value) -> Request {
    question(Method::POST, bytes::Bytes::from(body.to_string()))
}

async fn json(response: Response) -> Value {
    assert_eq!(response.headers[header::CACHE_CONTROL], "no-store");
    let body = response.body.collect().await.expect("a whole body").to_bytes();
    serde_json::from_slice(&body).expect("JSON")
}

#[test]
fn a_good_question_is_answered_with_a_ticket_without_a_secret_in_either_form() {
    run(1, |network: SimNetwork| async move {
        let state = tempdir().unwrap();
        let home = Home::start(&network.node("home"), &state).await;
        for (number, form) in [(1u8, "http"), (2, "tunnel")] {
            let peer = PeerId([number; 32]);
            let body = json!({ "peer_id": peer.to_string(), "name": "my\u{1b} phone", "later": true });
            let (parts, bytes) = match post(&body) {
                Request { head: tunnel_core::RequestHead::Http(parts), body, .. } => {
                    (*parts, body.as_bytes().cloned().unwrap())
                }
                other => panic!("{other:?}"),
            };
            let request = match form {
                "http" => Request::http(1, parts, Body::full(bytes)),
                _ => Request::tunnel(to_tunnel(&parts, Some(&bytes), 1).0),
            };
            let response = home.handler.http(request).await.unwrap();
            assert_eq!(response.status, StatusCode::OK);
            let ticket: Ticket = json(response).await["ticket"].as_str().unwrap().parse().unwrap();
            assert_eq!(ticket, home.keyed());
            let entry = home.peers.find(peer).unwrap();
            assert_eq!(
                (entry.how, entry.name.as_str(), entry.client_id.as_deref()),
                (How::Tunnel, "my phone", Some("home"))
            );
        }
        assert_eq!(home.seen(), 0, "the service does not see it");
        assert_eq!(home.handler.http(get("/")).await.unwrap().status, StatusCode::OK);
        assert_eq!(home.seen(), 1, "everything else goes there");
    });
}

#[test]
fn a_bad_question_is_refused_with_a_sentence() {
    run(1, |network: SimNetwork| async move {
        let state = tempdir().unwrap();
        let home = Home::start(&network.node("home"), &state).await;
        let peer = PeerId([1; 32]).to_string();
        let revoked = PeerId([2; 32]);
        home.peers.revoke(revoked).unwrap();
        for (request, status, part) in [
            (question(Method::GET, Body::empty()), 405, "POST"),
            (question(Method::POST, Body::empty()), 400, "not understood"),
            (question(Method::POST, Body::full("{}")), 400, "peer_id"),
            (question(Method::POST, Body::full("nonsense")), 400, "not understood"),
            (post(&json!({ "peer_id": "abcd" })), 400, "64 hex digits"),
            (post(&json!({ "peer_id": peer, "name": 7 })), 400, "not understood"),
            (post(&json!({ "peer_id": peer, "client_id": "other" })), 409, "another client id"),
            (post(&json!({ "peer_id": peer, "name": "x".repeat(10_000) })), 413, "8192 bytes"),
            (post(&json!({ "peer_id": revoked.to_string() })), 403, "revoked"),
        ] {
            let response = home.handler.http(request).await.unwrap();
            assert_eq!(response.status.as_u16(), status, "{part}");
            let message = json(response).await["message"].as_str().unwrap().to_owned();
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(home.peers.list().len(), 1, "nobody was let in");
        assert_eq!(home.seen(), 0);
    });
}

#[test]
fn the_client_tells_a_refusal_from_a_host_that_does_not_pair_and_from_one_that_is_away() {
    run(1, |network: SimNetwork| async move {
        let state = tempdir().unwrap();
        let home = Home::start(&network.node("home"), &state).await;
        let tunnel = Tunnel::to(&home);
        let peer = PeerId([1; 32]);
        assert_eq!(pair(&*tunnel, "home", peer, Some("phone")).await.unwrap(), home.keyed());
        home.peers.revoke(peer).unwrap();
        let error = pair(&*tunnel, "home", peer, None).await.unwrap_err();
        assert!(matches!(&error, PairError::Refused { refusal: Refusal::Revoked, .. }), "{error}");
        let error = pair(&*tunnel, "other", peer, None).await.unwrap_err();
        assert!(matches!(&error, PairError::Refused { refusal: Refusal::ClientId, .. }), "{error}");

        // A host from before this passes the question to its service.
        let service: std::sync::Arc<dyn tunnel_core::Handler> = home.service.clone();
        tunnel.switch_to(&service);
        let error = pair(&*tunnel, "home", peer, None).await.unwrap_err();
        assert!(matches!(error, PairError::Unsupported { status: StatusCode::NOT_FOUND }), "{error}");
        tunnel.stopped.store(true, std::sync::atomic::Ordering::Relaxed);
        let error = pair(&*tunnel, "home", peer, None).await.unwrap_err();
        assert!(matches!(error, PairError::Transport(_)), "{error}");
    });
}

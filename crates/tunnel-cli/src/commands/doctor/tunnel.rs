//! The tunnel server: whether it is one, and whether it takes the token.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tunnel_core::{Body, FailureKind, Request};
use tunnel_legacy::{AuthClient, LegacyClient, LegacyConfig, TunnelUrl};

use super::{
    check::{Check, Topic},
    clock::Sample,
};

/// The longest answer to `/health` that is read, in bytes; that of a tunnel server has under a hundred.
const HEALTH_BYTES_MAX: usize = 64 * 1024;

/// Which one, and what to show it.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) url: String,
    pub(super) client_id: Option<String>,
    pub(super) token: Option<String>,
}

/// What was found, and what time it is there.
pub(super) type Found = (Vec<Check>, Option<Sample>);

/// Asks it. With a token and a client id it also asks for a signature, as hosts and gateways do at every start.
pub(super) async fn ask(question: &Question, patience: Duration) -> Found {
    let url: TunnelUrl = match question.url.parse() {
        Ok(url) => url,
        Err(error) => {
            let check = Check::failed(Topic::Tunnel, format!("{error}")).of(&question.url);
            return (vec![check.next("write it like https://tunnel.example.org")], None);
        }
    };
    let (health, token) = tokio::join!(health(&url, patience), token(&url, question, patience));
    let (health, sample) = health;
    let there = !health.is_bad();
    let token = if there { token } else { Check::not_checked(Topic::TunnelToken, "the tunnel server is not reached") };
    (vec![health.of(url.to_string()), token], sample)
}

async fn health(url: &TunnelUrl, patience: Duration) -> (Check, Option<Sample>) {
    let silent =
        || Check::failed(Topic::Tunnel, format!("it does not answer within {patience:?}")).next(unreached(url));
    timeout(patience, ask_health(url)).await.unwrap_or_else(|_| (silent(), None))
}

async fn ask_health(url: &TunnelUrl) -> (Check, Option<Sample>) {
    let failed = |message: String, next: String| (Check::failed(Topic::Tunnel, message).next(next), None);
    let client = match LegacyClient::new(LegacyConfig::new(url.clone())) {
        Ok(client) => client,
        Err(error) => return failed(error.to_string(), unreached(url)),
    };
    let mut parts = http::Request::new(()).into_parts().0;
    parts.uri = http::Uri::from_static("/health");
    let asked = Instant::now();
    let response = match client.pass(Request::http(1, parts, Body::empty())).await {
        Ok(response) => response,
        Err(error) => return failed(error.failure().to_string(), unreached(url)),
    };
    let latency = asked.elapsed();
    let date = response.headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
    let sample = date.and_then(|date| Sample::new(url.to_string(), date));
    let status = response.status;
    let body = Limited::new(response.body, HEALTH_BYTES_MAX).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    (judge(status.as_u16(), &body, latency), sample)
}

/// Whether that is how a tunnel server answers.
fn judge(status: u16, body: &[u8], latency: Duration) -> Check {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    match (status, said["healthy"].as_bool()) {
        (200, Some(true)) => Check::ok(Topic::Tunnel, format!("reached, {} ms; it is healthy", latency.as_millis())),
        (200, Some(false)) => Check::failed(Topic::Tunnel, "it says that it is not healthy")
            .next("look at its log; its database may be away"),
        (200, None) => Check::failed(Topic::Tunnel, "it answers /health, but not as a tunnel server does")
            .next("look at the URL: another server is there, or a login page answers in its place"),
        (status @ 500.., _) => Check::failed(Topic::Tunnel, format!("it answers {status} to /health"))
            .next("the tunnel server behind this address is down: look at it, and at the proxy before it"),
        (status, _) => Check::failed(Topic::Tunnel, format!("it answers {status} to /health, and is no tunnel server"))
            .next("look at the URL, and at the path in it if the tunnel server is behind one"),
    }
}

fn unreached(url: &TunnelUrl) -> String {
    format!("look whether it runs at {} port {}, and whether a firewall lets TCP through", url.host(), url.port())
}

async fn token(url: &TunnelUrl, question: &Question, patience: Duration) -> Check {
    let (client_id, token) = match (&question.client_id, &question.token) {
        (_, None) => return Check::not_checked(Topic::TunnelToken, "none is given: --tunnel-token-file FILE"),
        (None, Some(_)) => {
            return Check::not_checked(
                Topic::TunnelToken,
                "it belongs to a client id, and none is given: --client-id ID",
            );
        }
        (Some(client_id), Some(token)) => (client_id, token),
    };
    let auth = match AuthClient::new(url.clone()) {
        Ok(auth) => auth,
        Err(error) => return Check::failed(Topic::TunnelToken, error.to_string()),
    };
    match timeout(patience, auth.signature_token(client_id, token)).await {
        Ok(Ok(_)) => Check::ok(Topic::TunnelToken, format!("accepted for client id {client_id:?}")),
        Ok(Err(failure)) if failure.kind() == FailureKind::Unauthorized => Check::failed(
            Topic::TunnelToken,
            format!("refused for client id {client_id:?}"),
        )
        .next(
            "look whether both are right; a host gets a new one with --tunnel-access-token-file FILE at its next start",
        ),
        Ok(Err(failure)) => Check::problem(Topic::TunnelToken, failure.to_string())
            .next("look at the log of the tunnel server: it cannot tell whether the token is right"),
        Err(_) => Check::problem(Topic::TunnelToken, format!("no answer within {patience:?}"))
            .next("look at the log of the tunnel server: its database may be slow"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::State;

    #[test]
    fn only_the_answer_of_a_tunnel_server_is_one() {
        let of = |status, body: &[u8]| judge(status, body, Duration::from_millis(7));
        assert_eq!(of(200, br#"{"hash":"","healthy":true}"#).state, State::Ok);
        assert!(of(200, br#"{"healthy":false}"#).found.contains("not healthy"));
        assert!(of(200, b"<html>Welcome to the hotel").next.unwrap().contains("login page"));
        assert!(of(404, b"").found.contains("no tunnel server"));
        assert!(of(502, b"").next.unwrap().contains("proxy"));
    }

    #[tokio::test]
    async fn a_url_that_is_none_is_said_to_be_none() {
        let question = Question { url: "tunnel".to_owned(), client_id: None, token: None };
        let (checks, sample) = ask(&question, Duration::from_secs(1)).await;
        assert_eq!((checks.len(), checks[0].state, sample), (1, State::Failed, None));
    }
}

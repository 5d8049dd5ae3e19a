//! The calls for tokens.

use tunnel_core::FailureKind;
use tunnel_legacy::AuthClient;

use crate::support::{answering, connector, read_request};

fn url() -> tunnel_legacy::TunnelUrl {
    "http://tunnel.example/t".parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn tokens_are_asked_for_with_the_scheme_that_the_server_wants() {
    let (seen, connect) = answering("HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{\"token\":\"abc-1\"}");
    let auth = AuthClient::with_connector(url(), connect);
    assert_eq!(auth.register("home 1", "server").await.unwrap(), "abc-1");
    assert_eq!(auth.signature_token("home 1", "client").await.unwrap(), "abc-1");
    let seen = seen.lock().unwrap();
    assert!(seen[0].starts_with("POST /t/auth/register-client?clientId=home%201 HTTP/1.1\r\n"), "{}", seen[0]);
    assert!(seen[0].contains("authorization: Bearer server\r\n"));
    assert!(seen[1].starts_with("POST /t/auth/signature-token?clientId=home%201 HTTP/1.1\r\n"), "{}", seen[1]);
    assert!(seen[1].contains("authorization: Bearer client\r\n"));
}

#[tokio::test(start_paused = true)]
async fn failures_name_the_next_step() {
    for (answer, kind, hint) in [
        ("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", FailureKind::Unauthorized, "register again"),
        ("HTTP/1.1 500 Oh\r\ncontent-length: 4\r\n\r\nboom", FailureKind::Protocol, "boom"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", FailureKind::Protocol, "is the address right?"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"token\":\"a b\"}",
            FailureKind::Protocol,
            "is the address right?",
        ),
    ] {
        let (_, connect) = answering(answer);
        let failure = AuthClient::with_connector(url(), connect).signature_token("c", "t").await.unwrap_err();
        assert_eq!(failure.kind(), kind);
        assert!(failure.message().contains(hint), "{failure}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{}", "x".repeat(1_000_000));
    let (_, connect) = answering(endless);
    let failure = AuthClient::with_connector(url(), connect).register("c", "t").await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Protocol);

    let panicking = connector(|mut stream| async move {
        read_request(&mut stream).await;
    });
    let failure = AuthClient::with_connector(url(), panicking).signature_token("c", "t").await.unwrap_err();
    assert!(failure.message().contains("0.5.0"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_work_is_not_asked() {
    let (seen, connect) = answering("");
    let auth = AuthClient::with_connector(url(), connect);
    let long = "x".repeat(65);
    for (client_id, token) in [("", "t"), (&*long, "t"), ("c", "Bearer t"), ("c", "")] {
        assert_eq!(auth.register(client_id, token).await.unwrap_err().kind(), FailureKind::BadRequest);
    }
    assert!(seen.lock().unwrap().is_empty());
}

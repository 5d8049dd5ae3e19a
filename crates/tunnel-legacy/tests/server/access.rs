//! Who may ask whom.

use http::StatusCode;
use tunnel_legacy::server::{Clock, ServerError, TunnelServerConfig};

use crate::support::{Server, bearer};

#[tokio::test]
async fn without_a_good_token_nobody_learns_anything() {
    for server in [Server::mended().await, Server::faithful().await] {
        let account = server.account("alice").await;
        let stranger = server.account("bob").await;
        for (target, headers) in [
            ("/x?clientId=alice", vec![]),
            ("/x?clientId=alice", vec![bearer("wrong")]),
            ("/x?clientId=alice", vec![stranger.bearer()]),
            ("/x?clientId=alice", vec![("authorization", account.token.clone())]),
            ("/x?clientId=nobody", vec![account.bearer()]),
            ("/files/track?clientId=alice", vec![account.bearer()]),
            ("/files/track?clientId=alice&signature=wrong", vec![]),
            (&format!("/x?clientId=alice&signature={}", account.signature), vec![]),
            (&format!("/Files/Track?clientId=alice&signature={}", account.signature), vec![]),
            (&format!("/files/albums/1/2?clientId=alice&signature={}", stranger.signature), vec![]),
        ] {
            let answer = server.ask("GET", target, &headers, "").await;
            assert_eq!((answer.status, answer.text()), (StatusCode::UNAUTHORIZED, "Unauthorized"), "{target}");
        }
        for target in ["/x?clientId=alice", "/Files/Track?clientId=alice"] {
            let answer = server.ask("GET", target, &[("authorization", format!("bearer {}", account.token))], "").await;
            assert_eq!(answer.status, StatusCode::FAILED_DEPENDENCY);
            assert_eq!(answer.text(), "Client with ID is not connected");
        }
    }
}

#[tokio::test]
async fn files_are_for_whoever_has_the_signature() {
    let server = Server::mended().await;
    let account = server.account("alice").await;
    let mut host = server.host(&account).await;
    for path in ["/files/track", "/files/albums/1/300x300", "/files/artists/a%2Fb/9x9"] {
        let target = format!("{path}?clientId=alice&signature={}&trackId=1", account.signature);
        let (answer, ()) = tokio::join!(server.ask("GET", &target, &[], ""), async {
            let (id, request) = host.request().await;
            assert_eq!(format!("/{}", request["path"].as_str().unwrap()), path);
            // Hosts of today want to see them.
            assert_eq!(request["query"]["signature"], account.signature);
            assert_eq!(request["query"]["clientId"], "alice");
            host.answer(id, 200, "music").await;
        });
        assert_eq!(answer.text(), "music");
    }
}

#[tokio::test]
async fn a_second_client_id_reaches_another_tenant_only_at_the_published_server() {
    for (server, reaches) in [(Server::mended().await, false), (Server::faithful().await, true)] {
        let (mine, victim) = (server.account("mine").await, server.account("victim").await);
        let mut host = server.host(&victim).await;
        let headers = [mine.bearer()];
        let asking = server.ask("GET", "/secret?clientId=mine&clientId=victim", &headers, "");
        if reaches {
            let (answer, ()) = tokio::join!(asking, async {
                let (id, _) = host.request().await;
                host.answer(id, 200, "secret").await;
            });
            assert_eq!(answer.text(), "secret");
        } else {
            let answer = asking.await;
            assert_eq!((answer.status, answer.text()), (StatusCode::BAD_REQUEST, "More than one clientId query param"));
            let spelled = server.ask("GET", "/secret?clientId=mine&CLIENTID=victim", &headers, "").await;
            assert_eq!(spelled.status, StatusCode::BAD_REQUEST);
            assert_eq!(server.statistics.snapshot().requests, 0);
        }
    }
}

#[tokio::test]
async fn the_client_id_may_be_spelled_in_any_case_at_the_mended_server() {
    let (mended, faithful) = (Server::mended().await, Server::faithful().await);
    for (server, status, text) in [
        (&mended, StatusCode::FAILED_DEPENDENCY, "Client with ID is not connected"),
        (&faithful, StatusCode::BAD_REQUEST, "Missing clientId query param"),
    ] {
        let account = server.account("a").await;
        let answer = server.ask("GET", "/x?CLIENTID=a", &[account.bearer()], "").await;
        assert_eq!((answer.status, answer.text()), (status, text));
    }
    let account = mended.account("b").await;
    let none = mended.ask("GET", "/x", &[account.bearer()], "").await;
    assert_eq!((none.status, none.text()), (StatusCode::BAD_REQUEST, "Missing clientId query param"));
    assert_eq!(faithful.ask("GET", "/x", &[], "").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn methods_without_a_word_in_the_tunnel_are_not_found() {
    let server = Server::mended().await;
    let account = server.account("a").await;
    for method in ["OPTIONS", "TRACE", "PROPFIND"] {
        let answer = server.ask(method, "/x?clientId=a", &[account.bearer()], "").await;
        assert_eq!((answer.status, answer.text()), (StatusCode::NOT_FOUND, ""));
    }
}

#[tokio::test]
async fn heads_have_a_limit() {
    let server = Server::mended().await;
    let account = server.account("a").await;
    let ask = async |bytes: usize| {
        let target = format!("/{}?clientId=a", "x".repeat(bytes));
        server.ask("GET", &target, &[account.bearer()], "").await.status
    };
    assert_eq!(ask(60_000).await, StatusCode::FAILED_DEPENDENCY);
    // Longer targets get 414 from the HTTP library. What arrives in one go may be a little longer than the limit.
    let header = [account.bearer(), ("x-long", "x".repeat(400_000))];
    let answer = server.ask("GET", "/x?clientId=a", &header, "").await;
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[test]
fn a_configuration_that_cannot_work_is_refused_by_the_name_of_the_field() {
    let config = |token: &str| TunnelServerConfig::new(token, Clock::new(|| 0));
    assert!(config("secret").check().is_ok());
    assert!(matches!(config("").check(), Err(ServerError::AccessTokenMissing)));
    assert!(matches!(config("two words").check(), Err(ServerError::AccessTokenUnusable)));
    let mut zero = config("secret");
    zero.limits.head_timeout = std::time::Duration::ZERO;
    assert!(zero.check().unwrap_err().to_string().contains("limits.head_timeout"));
    let mut small = config("secret");
    small.limits.response_bytes_max = 1;
    assert!(small.check().unwrap_err().to_string().contains("limits.response_bytes_max"));
    assert!(!format!("{:?}", config("secret")).contains("secret"));
}

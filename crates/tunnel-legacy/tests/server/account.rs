//! Registering, signing, magic tokens, and where accounts are kept.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::StatusCode;
use tunnel_legacy::server::{Behaviour, Clock, Limits, MemoryStorage, Storage};

use crate::support::{ACCESS_TOKEN, Account, NOW, Server, bearer};

const DAY: u64 = 24 * 60 * 60;

#[tokio::test]
async fn health_is_told_to_everybody() {
    let server = Server::mended().await;
    let health = server.ask("GET", "/health", &[], "").await;
    assert_eq!((health.status, health.text()), (StatusCode::OK, r#"{"hash":"","healthy":true}"#));
    assert_eq!(health.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn only_the_access_token_registers() {
    let server = Server::mended().await;
    for (headers, status) in [
        (vec![], StatusCode::UNAUTHORIZED),
        (vec![bearer("other")], StatusCode::UNAUTHORIZED),
        (vec![("authorization", ACCESS_TOKEN.to_owned())], StatusCode::UNAUTHORIZED),
        (vec![("authorization", format!("bearer {ACCESS_TOKEN}"))], StatusCode::OK),
    ] {
        let answer = server.ask("POST", "/auth/register-client?clientId=a", &headers, "").await;
        assert_eq!(answer.status, status, "{headers:?}");
        if status == StatusCode::UNAUTHORIZED {
            assert_eq!(answer.text(), "Unauthorized");
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        }
    }
}

#[tokio::test]
async fn a_client_id_must_be_there_once_and_not_too_long() {
    let server = Server::mended().await;
    let long = "a".repeat(65);
    for (query, problem) in [
        ("", "missing field `clientId`"),
        ("?clientId=a&clientId=b", "More than one clientId"),
        (&format!("?clientId={long}"), "more than 64 characters"),
    ] {
        let answer = server.ask("POST", &format!("/auth/register-client{query}"), &[bearer(ACCESS_TOKEN)], "").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.text().contains(problem), "{}", answer.text());
    }
    let faithful = Server::faithful().await;
    let account = faithful.account("a").await;
    let twice = faithful.ask("POST", "/auth/signature-token?clientId=a&clientId=b", &[account.bearer()], "").await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST, "tokens for others are not given even there");
}

#[tokio::test]
async fn a_second_registration_leaves_the_first_valid() {
    let server = Server::mended().await;
    let (one, two) = (server.account("a").await, server.account("a").await);
    assert_ne!(one.token, two.token);
    for account in [one, two] {
        let answer = server.ask("GET", "/x?clientId=a", &[account.bearer()], "").await;
        assert_eq!(answer.status, StatusCode::FAILED_DEPENDENCY);
    }
}

#[tokio::test]
async fn signatures_are_good_for_14_days_in_memory() {
    signatures_are_good_for_14_days(Arc::new(MemoryStorage::new())).await;
}

#[tokio::test]
async fn magic_tokens_admit_to_the_host_in_memory() {
    magic_tokens_admit_to_the_host(Arc::new(MemoryStorage::new())).await;
}

async fn signatures_are_good_for_14_days(storage: Arc<dyn Storage>) {
    let time = Arc::new(AtomicU64::new(NOW));
    let clock = Clock::new({
        let time = Arc::clone(&time);
        move || time.load(Ordering::Relaxed)
    });
    let server = Server::with(Behaviour::mended(), Limits::default(), storage, clock).await;
    let (early, late) = (server.account("a").await, server.account("a").await);
    let stranger = server.account("b").await;
    let validate = async |account: &Account, client_id: &str| {
        let target = format!("/auth/validate-signature-token?clientId={client_id}&signature={}", account.signature);
        let answer = server.ask("POST", &target, &[], "").await;
        (answer.status, answer.text().to_owned())
    };
    let valid = (StatusCode::OK, r#"{"valid":true}"#.to_owned());
    let refused = (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned());
    assert_eq!(validate(&stranger, "a").await, refused);
    time.store(NOW + 14 * DAY - 1, Ordering::Relaxed);
    assert_eq!(validate(&early, "a").await, valid);
    time.store(NOW + 14 * DAY, Ordering::Relaxed);
    assert_eq!(validate(&late, "a").await, refused);
    // The account goes on, with a new signature.
    let target = "/auth/signature-token?clientId=a";
    let signed = server.ask("POST", target, &[late.bearer()], "").await.json();
    let renewed = Account { signature: signed["token"].as_str().unwrap().to_owned(), ..late };
    assert_eq!(validate(&renewed, "a").await, valid);
}

async fn magic_tokens_admit_to_the_host(storage: Arc<dyn Storage>) {
    let server = Server::with(Behaviour::mended(), Limits::default(), storage, Clock::starting_at(NOW)).await;
    let account = server.account("a").await;
    let stranger = server.account("b").await;
    let target = "/auth/magic-token?clientId=a&magicToken=sesame";
    assert_eq!(server.ask("POST", target, &[stranger.bearer()], "").await.status, StatusCode::UNAUTHORIZED);
    let unknown = server.ask("GET", "/auth/magic-token?magicToken=sesame", &[], "").await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
    let added = server.ask("POST", target, &[account.bearer()], "").await;
    assert_eq!((added.status, added.text()), (StatusCode::OK, r#"{"success":true}"#));

    let redeem = "/auth/magic-token?magicToken=sesame";
    assert_eq!(server.ask("GET", redeem, &[], "").await.status, StatusCode::FAILED_DEPENDENCY);
    let mut host = server.host(&account).await;
    let profile = [("moosicbox-profile", "p".to_owned())];
    let (answer, ()) = tokio::join!(server.ask("GET", redeem, &profile, ""), async {
        let (id, request) = host.request().await;
        assert_eq!(request["path"], "auth/magic-token");
        assert_eq!(request["query"], serde_json::json!({"magicToken": "sesame"}));
        assert_eq!(request["profile"], "p");
        host.answer(id, 200, "{}").await;
    });
    assert_eq!(answer.text(), "{}");
    let without = server.ask("GET", "/auth/magic-token", &[], "").await;
    assert_eq!(without.status, StatusCode::BAD_REQUEST);
    assert_eq!(without.text(), "Query deserialize error: missing field `magicToken`");
}

#[tokio::test]
async fn a_host_that_leaves_is_signed_off() {
    let server = Server::mended().await;
    let account = server.account("a").await;
    let mut host = server.host(&account).await;
    assert!(server.storage.has_connection("a").await.unwrap());
    host.socket.close(None).await.unwrap();
    host.end().await;
    while server.storage.has_connection("a").await.unwrap() {
        tokio::task::yield_now().await;
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use tunnel_legacy::server::{Defect, SqliteStorage};

    use super::*;

    #[tokio::test]
    async fn signatures_are_good_for_14_days_in_a_file() {
        signatures_are_good_for_14_days(Arc::new(SqliteStorage::in_memory().unwrap())).await;
    }

    #[tokio::test]
    async fn magic_tokens_admit_to_the_host_in_a_file() {
        magic_tokens_admit_to_the_host(Arc::new(SqliteStorage::in_memory().unwrap())).await;
    }

    #[tokio::test]
    async fn accounts_outlast_the_server_and_connections_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Arc::new(SqliteStorage::open(folder.path().join("tunnel.db")).unwrap());
        let start = async |behaviour| Server::with(behaviour, Limits::default(), open(), Clock::starting_at(NOW)).await;
        let server = start(Behaviour::mended()).await;
        let account = server.account("a").await;
        let host = server.host(&account).await;
        assert!(server.storage.has_connection("a").await.unwrap());
        // Killed: nobody signs the host off.
        drop(server);
        drop(host);

        // The published server waits for the host that is written down.
        let server = start(Behaviour::mended().with(Defect::StaleConnectionsHang)).await;
        let headers = [account.bearer()];
        {
            let asking = std::pin::pin!(server.ask("GET", "/x?clientId=a", &headers, ""));
            let asking = tokio::time::timeout(std::time::Duration::from_millis(200), asking).await;
            assert!(asking.is_err(), "{asking:?}");
        }
        drop(server);

        let server = start(Behaviour::mended()).await;
        let answer = server.ask("GET", "/x?clientId=a", &headers, "").await;
        assert_eq!(answer.status, StatusCode::FAILED_DEPENDENCY);
        assert!(!server.storage.has_connection("a").await.unwrap());
    }

    #[tokio::test]
    async fn a_broken_storage_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tunnel.db");
        let storage = Arc::new(SqliteStorage::open(&path).unwrap());
        let server = Server::with(Behaviour::mended(), Limits::default(), storage, Clock::starting_at(NOW)).await;
        let account = server.account("a").await;
        rusqlite::Connection::open(&path).unwrap().execute_batch("DROP TABLE client_access_tokens").unwrap();
        let asked = server.ask("GET", "/x?clientId=a", &[account.bearer()], "").await;
        // Looked up a moment ago, when the account was signed; another token was not.
        assert_eq!(asked.status, StatusCode::FAILED_DEPENDENCY);
        let asked = server.ask("GET", "/x?clientId=a", &[bearer("other")], "").await;
        assert_eq!(asked.status, StatusCode::UNAUTHORIZED);
        let registered = server.ask("POST", "/auth/register-client?clientId=a", &[bearer(ACCESS_TOKEN)], "").await;
        assert_eq!(registered.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}

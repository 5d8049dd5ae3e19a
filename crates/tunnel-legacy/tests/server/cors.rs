//! What scripts of other origins may do.

use http::StatusCode;

use crate::support::Server;

const ORIGIN: &str = "https://app.example";

fn preflight(method: &str, headers: &str) -> Vec<(&'static str, String)> {
    vec![
        ("origin", ORIGIN.to_owned()),
        ("access-control-request-method", method.to_owned()),
        ("access-control-request-headers", headers.to_owned()),
    ]
}

#[tokio::test]
async fn every_answer_says_what_scripts_may_read() {
    let server = Server::mended().await;
    let plain = server.ask("GET", "/health", &[], "").await;
    assert_eq!(plain.header("access-control-allow-origin"), None);
    let crossing = server.ask("GET", "/nowhere", &[("origin", ORIGIN.to_owned())], "").await;
    assert_eq!(crossing.header("access-control-allow-origin"), Some(ORIGIN));
    for answer in [plain, crossing] {
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert!(answer.header("access-control-expose-headers").unwrap().contains("hx-redirect"));
        assert!(answer.header("vary").unwrap().contains("Origin"));
    }
}

#[tokio::test]
async fn preflights_need_no_token() {
    let (mended, faithful) = (Server::mended().await, Server::faithful().await);
    for server in [&mended, &faithful] {
        let answer = server.ask("OPTIONS", "/x", &preflight("POST", "Authorization, content-type"), "").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
        assert_eq!(answer.header("access-control-max-age"), Some("3600"));
        assert!(answer.header("access-control-allow-headers").unwrap().to_lowercase().contains("authorization"));
        let allowed = answer.header("access-control-allow-methods").unwrap();
        assert!(allowed.contains("PATCH"));
        assert_eq!(allowed.contains("HEAD"), std::ptr::eq(server, &raw const mended));
    }
}

#[tokio::test]
async fn players_may_ask_for_ranges_and_heads_at_the_mended_server() {
    let (mended, faithful) = (Server::mended().await, Server::faithful().await);
    for asked in [preflight("GET", "range"), preflight("HEAD", "accept")] {
        assert_eq!(mended.ask("OPTIONS", "/x", &asked, "").await.status, StatusCode::OK);
        assert_eq!(faithful.ask("OPTIONS", "/x", &asked, "").await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn the_service_may_speak_for_itself_where_no_origin_is_named() {
    let server = Server::mended().await;
    let account = server.account("a").await;
    let mut host = server.host(&account).await;
    for (headers, seen) in [
        (vec![account.bearer()], "https://service.example"),
        (vec![account.bearer(), ("origin", ORIGIN.to_owned())], ORIGIN),
    ] {
        let (answer, ()) = tokio::join!(server.ask("GET", "/x?clientId=a", &headers, ""), async {
            let (id, _) = host.request().await;
            let headers = [("access-control-allow-origin", "https://service.example")];
            host.packet(crate::support::first(id, 200, &headers, "", true)).await;
        });
        assert_eq!(answer.headers.get_all("access-control-allow-origin").iter().count(), 1);
        assert_eq!(answer.header("access-control-allow-origin"), Some(seen));
    }
}

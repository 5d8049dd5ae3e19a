//! HTTP requests, and what becomes of them.

use http::StatusCode;

use crate::support::{Server, first, next};

#[tokio::test]
async fn a_request_goes_to_the_host_and_the_response_comes_back() {
    let server = Server::mended().await;
    let account = server.account("alice").await;
    let mut host = server.host(&account).await;
    let target = account.target("/a%20b/c?x=1");
    let headers = [account.bearer()];
    let (answer, id) = tokio::join!(server.ask("GET", &target, &headers, ""), async {
        let (id, request) = host.request().await;
        assert_eq!(request["path"], "a%20b/c");
        host.packet(first(id, 201, &[("X-Kind", "tea"), ("content-type", "text/plain")], "hel", false)).await;
        host.packet(next(id, 2, "lo", true)).await;
        id
    });
    assert_ne!(id, 0);
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.header("x-kind"), Some("tea"));
}

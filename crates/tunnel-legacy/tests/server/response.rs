//! Responses, as apps see them.

use http::StatusCode;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tunnel_core::packet::TunnelResponse;

use crate::support::{Account, Answer, Host, Server, first, next};

async fn start() -> (Server, Account, Host) {
    let server = Server::mended().await;
    let account = server.account("alice").await;
    let host = server.host(&account).await;
    (server, account, host)
}

async fn answered(
    server: &Server,
    account: &Account,
    host: &mut Host,
    method: &str,
    packets: impl Fn(u64) -> Vec<TunnelResponse>,
) -> Answer {
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let (answer, ()) = tokio::join!(server.ask(method, &target, &headers, ""), async {
        let (id, _) = host.request().await;
        for packet in packets(id) {
            host.packet(packet).await;
        }
    });
    answer
}

#[tokio::test]
async fn the_length_that_the_host_says_is_used_else_chunks_are() {
    let (server, account, mut host) = start().await;
    let said = answered(&server, &account, &mut host, "GET", |id| {
        vec![first(id, 200, &[("Content-Length", "5")], "hel", false), next(id, 2, "lo", true)]
    })
    .await;
    assert_eq!((said.text(), said.header("content-length")), ("hello", Some("5")));
    assert_eq!(said.header("transfer-encoding"), None);
    let unsaid = answered(&server, &account, &mut host, "GET", |id| vec![first(id, 200, &[], "hello", true)]).await;
    assert_eq!((unsaid.text(), unsaid.header("content-length")), ("hello", None));
    assert_eq!(unsaid.header("transfer-encoding"), Some("chunked"));
    assert_eq!(unsaid.header("content-type"), Some("application/octet-stream"));
}

#[tokio::test]
async fn a_response_of_another_length_than_it_says_is_cut() {
    let (server, account, mut host) = start().await;
    for (length, body) in [("6", "hello"), ("4", "hello"), ("5", "")] {
        let (target, headers) = (account.target("/x"), [account.bearer()]);
        let ((response, _connection), ()) = tokio::join!(server.send("GET", &target, &headers, ""), async {
            let (id, _) = host.request().await;
            host.packet(first(id, 200, &[("content-length", length)], "", false)).await;
            host.packet(next(id, 2, body, true)).await;
        });
        assert!(response.into_body().collect().await.is_err(), "{length}");
    }
}

#[tokio::test]
async fn headers_about_the_connection_stay_behind() {
    let (server, account, mut host) = start().await;
    let answer = answered(&server, &account, &mut host, "GET", |id| {
        let headers = [
            ("Connection", "close, x"),
            ("Transfer-Encoding", "gzip"),
            ("keep-alive", "1"),
            ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("Content-Type", "text/css"),
        ];
        vec![first(id, 200, &headers, "a", true)]
    })
    .await;
    assert_eq!(answer.header("date"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    assert_eq!(answer.header("content-type"), Some("text/css"));
    assert_eq!((answer.header("connection"), answer.header("keep-alive")), (None, None));
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
}

#[tokio::test]
async fn what_http_cannot_say_is_an_error_of_the_server() {
    let (server, account, mut host) = start().await;
    for (status, headers, expected) in [
        (0, vec![], StatusCode::INTERNAL_SERVER_ERROR),
        (99, vec![], StatusCode::INTERNAL_SERVER_ERROR),
        (1000, vec![], StatusCode::INTERNAL_SERVER_ERROR),
        (100, vec![], StatusCode::BAD_GATEWAY),
        (101, vec![], StatusCode::BAD_GATEWAY),
        (200, vec![("x y", "1")], StatusCode::INTERNAL_SERVER_ERROR),
        (200, vec![("x", "1\r\ny: 2")], StatusCode::INTERNAL_SERVER_ERROR),
        (200, vec![("content-length", "-1")], StatusCode::INTERNAL_SERVER_ERROR),
        (200, vec![("content-length", "99999999999999999999")], StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        let answer =
            answered(&server, &account, &mut host, "GET", |id| vec![first(id, status, &headers, "x", true)]).await;
        assert_eq!(answer.status, expected, "{status} {headers:?}");
    }
    for status in [200, 299, 404, 599, 600, 999] {
        let answer = answered(&server, &account, &mut host, "GET", |id| vec![first(id, status, &[], "x", true)]).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, "x"));
    }
}

#[tokio::test]
async fn a_head_keeps_its_length_and_needs_no_abort() {
    let (server, account, mut host) = start().await;
    let answer = answered(&server, &account, &mut host, "HEAD", |id| {
        vec![first(id, 206, &[("content-length", "1000")], "", false), next(id, 2, "", true)]
    })
    .await;
    assert_eq!((answer.status, answer.header("content-length")), (StatusCode::PARTIAL_CONTENT, Some("1000")));
    let none =
        answered(&server, &account, &mut host, "GET", |id| vec![first(id, 204, &[], "", false), next(id, 2, "", true)])
            .await;
    assert_eq!((none.status, none.body.len()), (StatusCode::NO_CONTENT, 0));
    // A host that goes on sending is told to stop.
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let (_, id) = tokio::join!(server.ask("HEAD", &target, &headers, ""), async {
        let (id, _) = host.request().await;
        host.packet(first(id, 200, &[], "a", false)).await;
        id
    });
    server.until(|counted| counted.in_flight == 0).await;
    assert_eq!(server.statistics.snapshot().aborts, 0);
    host.packet(next(id, 2, "b", false)).await;
    host.packet(next(id, 3, "c", false)).await;
    assert_eq!(host.json().await, serde_json::json!({"type": "ABORT", "request_id": id}));
}

#[tokio::test]
async fn nothing_follows_a_response_without_a_body() {
    let (server, account, mut host) = start().await;
    for status in [204_u16, 304] {
        let mut raw = tokio::net::TcpStream::connect(server.addr).await.unwrap();
        let ask = format!(
            "GET {} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\n\r\n",
            account.target("/x"),
            account.bearer().1
        );
        raw.write_all(ask.as_bytes()).await.unwrap();
        let (id, _) = host.request().await;
        host.packet(first(id, status, &[], "", true)).await;
        let next = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        raw.write_all(next.as_bytes()).await.unwrap();
        let mut all = String::new();
        raw.read_to_string(&mut all).await.unwrap();
        let (first, rest) = all.split_once("\r\n\r\n").unwrap();
        assert!(first.starts_with(&format!("HTTP/1.1 {status} ")), "{first}");
        assert!(rest.starts_with("HTTP/1.1 200 OK\r\n"), "{rest}");
    }
}

#[tokio::test]
async fn a_piece_is_passed_on_before_the_next_one_comes() {
    let (server, account, mut host) = start().await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let ((response, _connection), id) = tokio::join!(server.send("GET", &target, &headers, ""), async {
        let (id, _) = host.request().await;
        host.packet(first(id, 200, &[], "", false)).await;
        id
    });
    let mut body = response.into_body();
    for packet in 2..20 {
        host.packet(next(id, packet, packet.to_string(), packet == 19)).await;
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), packet.to_string());
    }
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let (server, account, mut host) = start().await;
    let (target, headers) = (account.target("/x"), [account.bearer()]);
    let piece = bytes::Bytes::from((0..=255).cycle().take(65_000).collect::<Vec<u8>>());
    let pieces: u32 = 500;
    let (answer, ()) = tokio::join!(server.ask("GET", &target, &headers, ""), async {
        let (id, _) = host.request().await;
        host.packet(first(id, 200, &[], "", false)).await;
        for packet in 2..pieces + 2 {
            host.packet(next(id, packet, piece.clone(), packet == pieces + 1)).await;
        }
    });
    assert_eq!(answer.body.len(), 65_000 * 500);
    assert!(answer.body.chunks(65_000).all(|chunk| chunk == piece));
    server.until(|counted| counted.buffered_bytes == 0).await;
}

//! Requests, as their host sees them.

use http::StatusCode;
use serde_json::{Value, json};
use tunnel_core::moosicbox_tunnel::TunnelRequest;

use crate::support::{Account, Host, Server, first, next};

/// What the host sees of a request that it answers with nothing.
async fn seen(
    server: &Server,
    host: &mut Host,
    method: &str,
    target: &str,
    headers: &[(&str, String)],
    body: impl Into<bytes::Bytes>,
) -> Value {
    let (answer, request) = tokio::join!(server.ask(method, target, headers, body), async {
        let (id, request) = host.request().await;
        host.answer(id, 200, "").await;
        request
    });
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    request
}

async fn start(faithful: bool) -> (Server, Account, Host) {
    let server = if faithful { Server::faithful().await } else { Server::mended().await };
    let account = server.account("alice").await;
    let host = server.host(&account).await;
    (server, account, host)
}

#[tokio::test]
async fn a_request_goes_to_the_host_and_the_response_comes_back() {
    let (server, account, mut host) = start(false).await;
    let headers = [account.bearer()];
    let (answer, id) = tokio::join!(server.ask("GET", "/a?clientId=alice", &headers, ""), async {
        let (id, _) = host.request().await;
        host.packet(first(id, 201, &[("X-Kind", "tea"), ("content-type", "text/plain")], "hel", false)).await;
        host.packet(next(id, 2, "lo", true)).await;
        id
    });
    assert_ne!(id, 0);
    assert_eq!((answer.status, answer.text()), (StatusCode::CREATED, "hello"));
    assert_eq!(answer.header("x-kind"), Some("tea"));
    let counted = server.statistics.snapshot();
    assert_eq!((counted.requests, counted.hosts, counted.aborts), (1, 1, 0));
}

#[tokio::test]
async fn requests_are_written_as_the_published_server_writes_them() {
    let (server, account, mut host) = start(false).await;
    let headers = [account.bearer(), ("accept", "audio/flac".to_owned()), ("range", "bytes=0-".to_owned())];
    let (_, text) =
        tokio::join!(server.ask("POST", "/x/y?b=2&a=1&clientId=alice", &headers, r#"{"z":1,"a":[1.0]}"#), async {
            let text = host.text().await;
            let id = serde_json::from_str::<Value>(&text).unwrap()["request_id"].as_u64().unwrap();
            host.answer(id, 200, "").await;
            text.replace(&id.to_string(), "7")
        });
    assert_eq!(
        text,
        r#"{"encoding":"BINARY","headers":{"accept":"audio/flac","range":"bytes=0-"},"method":"POST","path":"x/y","payload":{"a":[1.0],"z":1},"profile":null,"query":{"a":"1","b":"2","clientId":"alice"},"request_id":7,"type":"HTTP"}"#
    );
    assert!(matches!(serde_json::from_str(&text), Ok(TunnelRequest::Http(_))));
}

#[tokio::test]
async fn six_methods_are_forwarded() {
    let (server, account, mut host) = start(false).await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] {
        let request = seen(&server, &mut host, method, "/x?clientId=alice", &[account.bearer()], "").await;
        assert_eq!(request["method"], method);
        assert_eq!(request.get("payload"), None);
        assert_eq!(request.get("headers"), None);
    }
}

#[tokio::test]
async fn paths_and_queries_are_taken_as_the_published_server_takes_them() {
    let (server, account, mut host) = start(false).await;
    for (target, path, query) in [
        ("/", "", json!({})),
        ("/a%20b/%C3%A9/../X//?x", "a%20b/%C3%A9/../X//", json!({"x": ""})),
        ("/q?a=%20+%2B&b=1&b=2&c=%zz&d=a=b&&e=", "q", json!({"a": " ++", "b": "2", "c": "%zz", "d": "a=b", "e": ""})),
    ] {
        let target = account.target(target);
        let request = seen(&server, &mut host, "GET", &target, &[account.bearer()], "").await;
        let mut query = query;
        query["clientId"] = json!("alice");
        assert_eq!((&request["path"], &request["query"]), (&json!(path), &query), "{target}");
    }
}

#[tokio::test]
async fn of_the_headers_accept_and_range_and_the_profile_travel() {
    let (server, account, mut host) = start(false).await;
    let headers = [
        account.bearer(),
        ("accept", "text/html".to_owned()),
        ("accept", "image/*".to_owned()),
        ("cookie", "a=b".to_owned()),
        ("user-agent", "test".to_owned()),
        ("if-none-match", "\"1\"".to_owned()),
        ("moosicbox-profile", "header".to_owned()),
    ];
    let request = seen(&server, &mut host, "GET", "/x?clientId=alice", &headers, "").await;
    assert_eq!(request["headers"], json!({"accept": "image/*"}));
    assert_eq!(request["profile"], "header");
    let request = seen(&server, &mut host, "GET", "/x?clientId=alice&moosicboxProfile=query", &headers, "").await;
    assert_eq!(request["profile"], "query");
    let request = seen(&server, &mut host, "GET", "/x?clientId=alice&moosicboxProfile=", &headers, "").await;
    assert_eq!(request["profile"], "");
}

#[tokio::test]
async fn bodies_are_json_whatever_they_say_they_are() {
    let (server, account, mut host) = start(false).await;
    let headers = [account.bearer(), ("content-type", "text/plain".to_owned())];
    for (body, payload) in
        [(r#"{"b":1,"a":"x"}"#, json!({"a": "x", "b": 1})), ("[null]", json!([null])), ("7", json!(7))]
    {
        let request = seen(&server, &mut host, "POST", "/x?clientId=alice", &headers, body).await;
        assert_eq!(request["payload"], payload);
    }
    let answer = server.ask("POST", "/x?clientId=alice", &headers, "a=1").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.text(), "expected value at line 1 column 1");
}

#[tokio::test]
async fn a_null_body_is_refused_or_lost() {
    let (server, account, _host) = start(false).await;
    let answer = server.ask("POST", "/x?clientId=alice", &[account.bearer()], "null").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let (server, account, mut host) = start(true).await;
    let request = seen(&server, &mut host, "POST", "/x?clientId=alice", &[account.bearer()], "null").await;
    assert_eq!(request.get("payload"), Some(&Value::Null));
}

#[tokio::test]
async fn a_long_body_is_refused_or_dropped() {
    let exact = format!("\"{}\"", "x".repeat(262_142));
    let long = format!("\"{}\"", "x".repeat(262_143));
    let (server, account, mut host) = start(false).await;
    let request = seen(&server, &mut host, "POST", "/x?clientId=alice", &[account.bearer()], exact.clone()).await;
    assert_eq!(request["payload"].to_string(), exact);
    for body in [long.clone(), "x".repeat(4_000_000)] {
        let answer = server.ask("POST", "/x?clientId=alice", &[account.bearer()], body).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(answer.text().contains("262144"), "{}", answer.text());
        assert_eq!(answer.header("x-tunnel-reason"), Some("too-large"));
    }
    let (server, account, mut host) = start(true).await;
    let request = seen(&server, &mut host, "POST", "/x?clientId=alice", &[account.bearer()], long).await;
    assert_eq!(request.get("payload"), None);
}

#[tokio::test]
async fn a_connection_carries_one_request_after_the_other() {
    use http_body_util::{BodyExt, Empty};

    let (server, account, mut host) = start(false).await;
    let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let _connection = tokio_util::task::AbortOnDropHandle::new(crate::support::spawn(connection));
    for round in 0..3 {
        let request = http::Request::get(format!("/{round}?clientId=alice"))
            .header("authorization", account.bearer().1)
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        sender.ready().await.unwrap();
        let (response, ()) = tokio::join!(sender.send_request(request), async {
            let (id, request) = host.request().await;
            assert_eq!(request["path"], round.to_string());
            host.answer(id, 200, "ok").await;
        });
        assert_eq!(response.unwrap().collect().await.unwrap().to_bytes(), "ok");
    }
}

#[tokio::test]
async fn too_many_requests_at_once_are_told_so() {
    use tunnel_legacy::server::{Behaviour, Limits};

    let limits = Limits { requests_per_client_max: 1, ..Limits::default() };
    let server = Server::start(Behaviour::mended(), limits).await;
    let account = server.account("alice").await;
    let mut host = server.host(&account).await;
    let headers = [account.bearer()];
    let mut first = std::pin::pin!(server.ask("GET", "/1?clientId=alice", &headers, ""));
    let (id, _) = server.reaches(&mut host, first.as_mut()).await;
    let second = server.ask("GET", "/2?clientId=alice", &headers, "").await;
    assert_eq!(second.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(second.header("retry-after"), Some("1"));
    assert_eq!(second.header("x-tunnel-reason"), Some("overloaded"));
    host.answer(id, 200, "").await;
    assert_eq!(first.await.status, StatusCode::OK);
    // The place is free again.
    server.until(|counted| counted.in_flight == 0).await;
    seen(&server, &mut host, "GET", "/3?clientId=alice", &headers, "").await;
}

//! What becomes of answers, and of answers that do not come.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt;
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep},
};
use tunnel_core::{Body, FailureKind, Health, PathKind, Transport, TransportKind};

use crate::support::{answering, bytes, client, connector, get, post, read_request};

#[tokio::test(start_paused = true)]
async fn sends_exact_http_and_brings_back_the_answer() {
    let answer = "HTTP/1.1 206 Partial Content\r\ncontent-length: 3\r\nx-a: 1\r\nx-a: 2\r\n\r\nabc";
    let (seen, connect) = answering(answer);
    let client = client(connect);
    assert_eq!(client.health(), Health::Probing);
    let response = client.send(post("/a%20b?x=%2B", Body::full(r#"{"k": 1}"#))).await.unwrap();
    assert_eq!(response.status, 206);
    assert_eq!(response.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    let via = response.via.unwrap();
    assert_eq!((via.transport, via.path, via.reason), (TransportKind::Legacy, PathKind::Server, None));
    assert_eq!(bytes(response.body).await, b"abc");
    let seen = seen.lock().unwrap().remove(0);
    assert!(seen.starts_with("POST /a%20b?x=%2B&clientId=home HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("host: tunnel.example\r\n") && seen.contains("authorization: Bearer secret\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\n{\"k\": 1}"), "{seen}");
    let healthy = Health::Healthy { path: PathKind::Server, client_id: Some("home".to_owned()) };
    assert_eq!(client.health(), healthy);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_tunnel_server_gives_the_request_back() {
    for (answer, kind, hint) in [
        (
            "HTTP/1.1 424 Failed Dependency\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 31\r\n\r\n\
             Client with ID is not connected",
            FailureKind::Unreachable,
            "is its host running",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 12\r\n\r\n\
             Unauthorized",
            FailureKind::Unauthorized,
            "`authorization: Bearer TOKEN`",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n\
             c\r\nUnauthorized\r\n0\r\n\r\n",
            FailureKind::Unauthorized,
            "check token and client_id",
        ),
    ] {
        let (_, connect) = answering(answer);
        let client = client(connect);
        let error = client.send(post("/a", Body::full("{}"))).await.unwrap_err();
        assert_eq!(error.failure().kind(), kind);
        assert!(error.failure().message().contains(hint), "{error}");
        assert_eq!(client.health(), Health::Down(error.failure().clone()));
        assert!(!error.may_have_been_delivered());
        assert_eq!(bytes(error.into_request().unwrap().body).await, b"{}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_status_from_the_service_is_an_answer() {
    for (answer, body) in [
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain\r\ncontent-length: 12\r\n\r\nunauthorized",
            "unauthorized",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\nUnauthorized",
            "Unauthorized",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n\
             c\r\nUnauthorized\r\n1\r\n!\r\n0\r\n\r\n",
            "Unauthorized!",
        ),
        ("HTTP/1.1 424 Failed Dependency\r\ncontent-length: 0\r\n\r\n", ""),
    ] {
        let (_, connect) = answering(answer);
        let response = client(connect).send(get("/a")).await.unwrap();
        assert_eq!(bytes(response.body).await, body.as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_is_given_up_and_may_have_been_carried_out() {
    let client = client(connector(|mut stream| async move {
        read_request(&mut stream).await;
        sleep(Duration::from_hours(1)).await;
    }));
    let start = Instant::now();
    let error = client.send(post("/a", Body::empty())).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(75));
    assert_eq!(error.failure().kind(), FailureKind::Timeout);
    assert!(error.may_have_been_delivered());
    assert!(matches!(client.health(), Health::Down(_)));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_closes_instead_of_answering_proves_nothing() {
    let client = client(connector(|mut stream| async move {
        read_request(&mut stream).await;
    }));
    let error = client.send(post("/a", Body::empty())).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::ConnectionLost);
    assert!(error.may_have_been_delivered());
}

#[tokio::test(start_paused = true)]
async fn no_connection_gives_the_request_back_even_in_the_tunnels_form() {
    let client = tunnel_legacy::LegacyClient::with_connector(crate::support::config(), || async {
        Err::<tokio::io::DuplexStream, _>(std::io::ErrorKind::ConnectionRefused.into())
    })
    .unwrap();
    let json =
        r#"{"type":"HTTP","request_id":9,"method":"POST","path":"a","query":{},"payload":{"x":1},"encoding":"BINARY"}"#;
    let tunnel_core::moosicbox_tunnel::TunnelRequest::Http(tunnel) = serde_json::from_str(json).unwrap() else {
        panic!("not HTTP")
    };
    let error = client.send(tunnel_core::Request::tunnel(tunnel)).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::Unreachable);
    let tunnel_core::RequestHead::Tunnel(head) = error.into_request().unwrap().head else { panic!("converted") };
    assert_eq!(head.payload, Some(serde_json::json!({"x": 1})));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_cut_is_an_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let client = client(connector(move |mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }));
        let mut body = client.send(get("/a")).await.unwrap().body;
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
        assert_eq!(body.frame().await.unwrap().unwrap_err().kind(), FailureKind::ConnectionLost);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stands_still_is_an_error() {
    let client = client(connector(|mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await.unwrap();
        sleep(Duration::from_hours(1)).await;
    }));
    let mut body = client.send(get("/a")).await.unwrap().body;
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
    let start = Instant::now();
    assert_eq!(body.frame().await.unwrap().unwrap_err().kind(), FailureKind::Timeout);
    assert_eq!(start.elapsed(), Duration::from_mins(5));
}

#[tokio::test(start_paused = true)]
async fn stray_bytes_behind_an_answer_without_a_body_spoil_nothing() {
    // The stray bytes come a moment later, when the next request may already be under way on the same connection.
    let client = client(connector(|mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            for part in [&b"HTTP/1.1 204 No Content\r\n\r\n"[..], b"0\r\n\r\n"] {
                if stream.write_all(part).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(1)).await;
            }
        }
    }));
    for _ in 0..3 {
        let response = client.send(post("/a", Body::empty())).await.unwrap();
        assert_eq!(response.status, 204);
        assert_eq!(bytes(response.body).await, b"");
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_is_an_error() {
    let (_, connect) = answering("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    let error = client(connect).send(get("/a")).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::ConnectionLost);
    assert!(error.failure().message().contains("did not answer in HTTP/1.1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_body_closes_the_connection() {
    let closed = Arc::new(tokio::sync::Notify::new());
    let noticed = Arc::clone(&closed);
    let client = client(connector(move |mut stream| {
        let closed = Arc::clone(&noticed);
        async move {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await.unwrap();
            assert!(read_request(&mut stream).await.is_none());
            closed.notify_one();
        }
    }));
    drop(client.send(get("/a")).await.unwrap());
    closed.notified().await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_proves_that_the_tunnel_server_is_up_and_no_more() {
    let (seen, connect) = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let client = client(connect);
    client.probe().await.unwrap();
    assert!(seen.lock().unwrap()[0].starts_with("GET /health HTTP/1.1\r\n"));
    assert!(matches!(client.health(), Health::Healthy { .. }));

    let answers = std::sync::atomic::AtomicUsize::new(0);
    let client = crate::support::client(connector(move |mut stream| {
        let first = answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        async move {
            read_request(&mut stream).await;
            let answer: &[u8] = if first {
                b"HTTP/1.1 424 Failed Dependency\r\ncontent-type: text/plain\r\nconnection: close\r\n\
                  content-length: 31\r\n\r\nClient with ID is not connected"
            } else {
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
            };
            stream.write_all(answer).await.unwrap();
        }
    }));
    let error = client.send(get("/a")).await.unwrap_err();
    client.probe().await.unwrap();
    assert_eq!(client.health(), Health::Down(error.failure().clone()), "the host is still not connected");
    client.send(get("/a")).await.unwrap();
    assert!(matches!(client.health(), Health::Healthy { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_no_tunnel_server_fails_the_probe() {
    let (_, connect) = answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let failure = client(connect).probe().await.unwrap_err();
    assert!(failure.message().contains("is it a tunnel server"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn what_is_passed_on_is_not_altered() {
    let (seen, connect) =
        answering("HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain\r\ncontent-length: 12\r\n\r\nUnauthorized");
    let mut request = post("/auth/signature-token?clientId=theirs", Body::full("not json"));
    let tunnel_core::RequestHead::Http(parts) = &mut request.head else { unreachable!() };
    parts.headers.insert("authorization", "Bearer theirs".parse().unwrap());
    let response = client(connect).pass(request).await.unwrap();
    assert_eq!(response.status, 401);
    assert_eq!(bytes(response.body).await, b"Unauthorized");
    let seen = seen.lock().unwrap().remove(0);
    assert!(seen.starts_with("POST /auth/signature-token?clientId=theirs HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("authorization: Bearer theirs\r\n") && seen.ends_with("\r\n\r\nnot json"), "{seen}");
}

//! Exact HTTP through both edges.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{Handler, Request, moosicbox_tunnel::TunnelRequest};
use tunnel_edge::{LocalService, Profile, ServiceConfig};

use crate::support::{PATIENCE, Service, Tunnel, body, field, read_head, read_to_end, read_until, text};

#[tokio::test]
async fn carries_any_method_and_the_raw_target() {
    let service = Service::echoing().await;
    let tunnel = Tunnel::plain(&service.target()).await;
    for line in [
        "PROPFIND /a%2Fb//../c;d?x=%20+&x=%zz&&y HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "REPORT /?clientId=a&clientId=b&signature=s HTTP/1.1",
        "GET /health? HTTP/1.1",
    ] {
        let answer =
            tunnel.exchange(format!("{line}\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes()).await;
        assert!(body(&text(&answer)).starts_with(line), "{}", text(&answer));
    }
    let answer = tunnel.get("http://localhost:1/a?b", "").await;
    assert!(body(&answer).starts_with("GET /a?b HTTP/1.1\r\n"), "{answer}");
    assert!(body(&answer).contains("host: localhost:1\r\n"), "{answer}");
    assert!(
        tunnel
            .exchange(b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\nconnection: close\r\n\r\n")
            .await
            .starts_with(b"HTTP/1.1 501")
    );
}

#[tokio::test]
async fn plain_requests_arrive_without_an_added_or_lost_header() {
    let service = Service::echoing().await;
    let tunnel = Tunnel::plain(&service.target()).await;
    let answer = tunnel
        .exchange(
            b"GET / HTTP/1.1\r\nhost: localhost:9\r\ncookie: a\r\ncookie: b\r\nx-raw: \xff\xfe\r\nexpect: 100-continue\r\n\
              connection: close, x-hop\r\nx-hop: 1\r\nuser-agent: app\r\nauthorization: Bearer x\r\n\r\n",
        )
        .await;
    let start = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let mut lines: Vec<&[u8]> = answer[start..].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
    lines.retain(|line| !line.is_empty());
    lines.sort_unstable();
    let expected: [&[u8]; 7] = [
        b"GET / HTTP/1.1",
        b"authorization: Bearer x",
        b"cookie: a",
        b"cookie: b",
        b"host: localhost:9",
        b"user-agent: app",
        b"x-raw: \xff\xfe",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn responses_keep_repeated_and_raw_headers_and_gain_no_date() {
    let service =
        Service::answering(b"HTTP/1.1 299 Odd\r\nset-cookie: a\r\nset-cookie: b\r\nx-raw: \xff\r\ncontent-length: 2\r\nkeep-alive: timeout=9\r\nx-hop: 1\r\nconnection: x-hop\r\n\r\nok")
            .await;
    let tunnel = Tunnel::plain(&service.target()).await;
    let raw = tunnel.exchange(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(raw.windows(9).any(|window| window == b"x-raw: \xff\r"), "{}", text(&raw));
    let answer = text(&raw);
    assert!(answer.starts_with("HTTP/1.1 299 "), "{answer}");
    assert!(answer.contains("set-cookie: a\r\nset-cookie: b\r\n"), "{answer}");
    for gone in ["date", "keep-alive", "x-hop"] {
        assert_eq!(field(&answer, gone), None, "{answer}");
    }
    assert_eq!(field(&answer, "x-tunnel-transport"), Some("p2p"));
    assert_eq!(field(&answer, "x-tunnel-path"), Some("direct"));
    assert_eq!(body(&answer), "ok");
}

#[tokio::test]
async fn keeps_the_framing_of_responses_without_a_body() {
    let service = Service::start(|mut stream| async move {
        loop {
            let head = text(&read_head(&mut stream).await);
            let answer: &[u8] = match head.split(' ').nth(1) {
                Some("/head") => b"HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n",
                Some("/204") => b"HTTP/1.1 204 No Content\r\n\r\n",
                Some("/304") => b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 77\r\n\r\n",
                Some("/empty") => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                _ => return,
            };
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let tunnel = Tunnel::plain(&service.target()).await;
    // All on one connection: a stray byte would spoil the next response.
    let mut stream = tunnel.connect().await;
    for (request, status, length) in [
        ("HEAD /head", 200, Some("12345")),
        ("GET /204", 204, None),
        // The HTTP library leaves out the length that a 304 may tell (RFC 9110 §8.6).
        ("GET /304", 304, None),
        ("GET /empty", 200, Some("0")),
        ("HEAD /head", 200, Some("12345")),
    ] {
        stream.write_all(format!("{request} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let head = text(&read_head(&mut stream).await);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
        assert_eq!(field(&head, "content-length"), length, "{request}: {head}");
        assert_eq!(field(&head, "transfer-encoding"), None, "{request}: {head}");
    }
}

#[tokio::test]
async fn request_bodies_keep_their_framing() {
    let service = Service::echoing().await;
    let tunnel = Tunnel::plain(&service.target()).await;
    let answer = tunnel
        .exchange(b"POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello")
        .await;
    let answer = text(&answer);
    assert!(body(&answer).contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    for method in ["POST", "GET"] {
        let request = format!(
            "{method} / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
        );
        let answer = text(&tunnel.exchange(request.as_bytes()).await);
        assert!(body(&answer).contains("transfer-encoding: chunked\r\n") && answer.contains("llo"), "{answer}");
    }
    let answer = text(
        &tunnel.exchange(b"POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await,
    );
    assert!(body(&answer).contains("content-length: 0\r\n"), "{answer}");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let service = Service::start(|mut stream| async move {
        let head = text(&read_head(&mut stream).await);
        let body = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.contains("te: trailers") && body.contains("x-sum: up"), "{head}{body}");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: down\r\n\r\n")
            .await
            .unwrap();
    })
    .await;
    let tunnel = Tunnel::plain(&service.target()).await;
    let answer = tunnel
        .exchange(
            b"POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close, te\r\nte: trailers\r\ntrailer: x-sum\r\n\
              transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: up\r\n\r\n",
        )
        .await;
    assert!(text(&answer).ends_with("2\r\nok\r\n0\r\nx-sum: down\r\n\r\n"), "{}", text(&answer));
}

#[tokio::test]
async fn answers_100_continue_before_the_body_comes() {
    let service = Service::echoing().await;
    let tunnel = Tunnel::plain(&service.target()).await;
    let mut stream = tunnel.connect().await;
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: 2\r\n\r\n")
        .await
        .unwrap();
    assert!(text(&read_head(&mut stream).await).starts_with("HTTP/1.1 100 "));
    stream.write_all(b"ok").await.unwrap();
    let answer = text(&read_to_end(&mut stream).await);
    assert!(answer.ends_with("\r\n\r\nok") && !body(&answer).contains("expect"), "{answer}");
}

#[tokio::test]
async fn passes_an_event_on_while_the_stream_stays_open() {
    let service = Service::start(|mut stream| async move {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
            .await
            .unwrap();
        read_to_end(&mut stream).await;
    })
    .await;
    let tunnel = Tunnel::plain(&service.target()).await;
    let mut stream = tunnel.connect().await;
    stream.write_all(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    read_until(&mut stream, "data: 1\n\n").await;
}

#[tokio::test]
async fn an_early_response_arrives_and_the_upload_goes_on() {
    let service = Service::start(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nearly\r\n").await.unwrap();
        // Echoes each byte of the upload as a chunk.
        for _ in 0..3 {
            let chunk = read_until(&mut stream, "\r\n").await;
            let data = read_until(&mut stream, "\r\n").await;
            stream.write_all(format!("{chunk}{data}").as_bytes()).await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    })
    .await;
    let tunnel = Tunnel::plain(&service.target()).await;
    let mut stream = tunnel.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    read_until(&mut stream, "early\r\n").await;
    for byte in ["a", "b", "c"] {
        stream.write_all(format!("1\r\n{byte}\r\n").as_bytes()).await.unwrap();
        read_until(&mut stream, &format!("1\r\n{byte}\r\n")).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    read_until(&mut stream, "0\r\n\r\n").await;
}

#[tokio::test]
async fn a_large_body_arrives_whole_in_both_directions() {
    let service = Service::start(|mut stream| async move {
        let head = text(&read_head(&mut stream).await);
        let mut upload = vec![0; field(&head, "content-length").unwrap().parse().unwrap()];
        stream.read_exact(&mut upload).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", upload.len());
        stream.write_all(&[head.as_bytes(), &upload].concat()).await.unwrap();
    })
    .await;
    let tunnel = Tunnel::plain(&service.target()).await;
    let upload: Vec<u8> = (0..4_000_000_u32).map(|i| i.to_le_bytes()[usize::from(i % 3 == 0)]).collect();
    let mut request =
        format!("POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", upload.len())
            .into_bytes();
    request.extend(&upload);
    let answer = tunnel.exchange(&request).await;
    assert!(answer.ends_with(&upload));
}

#[tokio::test]
async fn connections_to_the_service_are_reused_and_replaced_when_dead() {
    let (opened, mut seen) = tokio::sync::mpsc::channel(8);
    let service = Service::start(move |mut stream| {
        let opened = opened.clone();
        async move {
            opened.send(()).await.unwrap();
            for _ in 0..2 {
                if read_head(&mut stream).await.is_empty() {
                    return;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            }
        }
    })
    .await;
    let tunnel = Tunnel::plain(&service.target()).await;
    for _ in 0..4 {
        assert!(tunnel.get("/", "").await.ends_with("ok"));
        // The service's close after the second request has to arrive.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    seen.recv().await.unwrap();
    seen.recv().await.unwrap();
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn speaks_http2_with_prior_knowledge() {
    let service = Service::echoing().await;
    let tunnel = Tunnel::with(&service.target(), |_, gateway| gateway.client_id = Some("c".into())).await;
    let io = TokioIo::new(tunnel.connect().await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let _driver =
        AbortOnDropHandle::new(tokio::runtime::Handle::current().spawn(async move { connection.await.is_ok() }));
    let uri = format!("http://{}/a?b=%20", tunnel.address);
    let request = hyper::Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    let response = timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    let seen = text(&response.into_body().collect().await.unwrap().to_bytes());
    assert!(seen.starts_with("GET /a?b=%20 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("x-forwarded-host: {}\r\n", tunnel.address)), "{seen}");
}

#[cfg(unix)]
#[tokio::test]
async fn reaches_a_service_on_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("service.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let _service = AbortOnDropHandle::new(tokio::runtime::Handle::current().spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        read_to_end(&mut stream).await;
    }));
    let tunnel = Tunnel::plain(&format!("unix:{}", path.display())).await;
    assert!(tunnel.get("/", "").await.ends_with("ok"));
}

#[tokio::test]
async fn moosicbox_requests_say_who_asked_and_hide_the_tunnel() {
    let service = Service::echoing().await;
    let tunnel = Tunnel::with(&service.target(), |service, gateway| {
        assert_eq!((service.profile, gateway.profile), (Profile::Moosicbox, Profile::Moosicbox));
    })
    .await;
    let answer = tunnel
        .get(
            "/files?clientId=c&a=%20&signature=s",
            "user-agent: app\r\nauthorization: Bearer t\r\nx-forwarded-for: 9.9.9.9\r\n",
        )
        .await;
    let seen = body(&answer);
    assert!(seen.starts_with("GET /files?a=%20 HTTP/1.1\r\n"), "{seen}");
    assert_eq!(field(seen, "host"), Some(&*service.address.to_string()));
    assert_eq!(field(seen, "x-forwarded-host"), Some("localhost"));
    assert_eq!(field(seen, "x-forwarded-for"), Some("9.9.9.9, 127.0.0.1"));
    assert_eq!(field(seen, "x-forwarded-proto"), Some("http"));
    assert_eq!(field(seen, "user-agent"), Some("MOOSICBOX_TUNNEL"));
    assert_eq!(field(seen, "x-forwarded-user-agent"), Some("app"));
    assert_eq!(field(seen, "authorization"), None);
}

#[tokio::test]
async fn a_request_in_the_tunnels_form_reaches_the_service_as_http() {
    let service = Service::echoing().await;
    let local = LocalService::new(ServiceConfig::new(service.target().parse().unwrap())).unwrap();
    let request = serde_json::from_str(
        r#"{"type":"HTTP","request_id":7,"method":"POST","path":"a/b","query":{"clientId":"c","x":"1 2"},
            "payload":{"k":1},"headers":{"accept":"*/*"},"encoding":"BINARY","profile":"main"}"#,
    )
    .unwrap();
    let TunnelRequest::Http(request) = request else { panic!("not HTTP") };
    let response = local.http(Request::tunnel(request)).await.unwrap();
    let seen = text(&response.body.collect().await.unwrap().to_bytes());
    assert!(seen.starts_with("POST /a/b?x=1"), "{seen}");
    assert!(seen.ends_with("\r\n\r\n{\"k\":1}"), "{seen}");
    assert_eq!(field(&seen, "moosicbox-profile"), Some("main"));
    assert_eq!(field(&seen, "user-agent"), Some("MOOSICBOX_TUNNEL"));
}

//! One request, one response: what arrives is what was sent, or an error.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use support::{
    Pair, Service, body_error, declared, digest, get, ok, once, path, pattern, pattern_hash, pattern_piece, pieces,
    request, soon, take, text,
};
use tokio::sync::oneshot;
use tunnel_core::{
    Body, Failure, FailureKind, PathKind, Request, RequestHead, Response, Transport, TransportKind, Via,
    moosicbox_tunnel::{TunnelEncoding, TunnelHttpRequest},
};

/// Answers with the headers and the body of the request; method and target go into headers.
fn echo() -> Service {
    Service::http(|request| async move {
        let RequestHead::Http(parts) = request.head else { panic!("born as HTTP") };
        let mut response = Response::new(StatusCode::OK, request.body);
        response.headers = parts.headers;
        response.headers.insert("x-method", HeaderValue::from_str(parts.method.as_str()).unwrap());
        response.headers.insert("x-target", HeaderValue::try_from(parts.uri.to_string()).unwrap());
        Ok(response)
    })
}

/// Fills a body with the pattern, to the length that the path names.
fn filler() -> Service {
    Service::http(|request| async move {
        let bytes: usize = path(&request)[1..].parse().unwrap();
        Ok(Response::new(StatusCode::OK, pieces(pattern(bytes, 50_000))))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn method_target_and_headers_arrive_exactly() {
    let pair = Pair::start(echo()).await;
    let (mut parts, ()) = http::Request::builder()
        .method(Method::from_bytes(b"PROPFIND").unwrap())
        .uri("/a%2Fb//c/../d?x=1&x=%20&y=&%E2%9C%93")
        .body(())
        .unwrap()
        .into_parts();
    let raw = HeaderValue::from_bytes(&[0xff, b'a', 0x80, 0xfe]).unwrap();
    parts.headers.append("x-many", HeaderValue::from_static("one"));
    parts.headers.append("x-raw", raw.clone());
    parts.headers.append("x-many", HeaderValue::from_static(""));
    parts.headers.append("x-many", HeaderValue::from_static("one"));
    let sent = parts.headers.clone();

    let response = pair.client.send(Request::http(9, parts, Body::empty())).await.unwrap();

    assert_eq!(response.via, Some(Via { transport: TransportKind::P2p, path: PathKind::Direct }));
    assert_eq!(response.headers["x-method"], "PROPFIND");
    assert_eq!(response.headers["x-target"], "/a%2Fb//c/../d?x=1&x=%20&y=&%E2%9C%93");
    assert_eq!(response.headers["x-raw"], raw);
    let all = |headers: &HeaderMap| headers.get_all("x-many").iter().cloned().collect::<Vec<_>>();
    assert_eq!(all(&response.headers), all(&sent));
    assert_eq!(response.headers.len(), sent.len() + 2);
    assert_eq!(text(response.body).await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_every_size_go_both_ways() {
    let pair = Pair::start(echo()).await;
    let sizes = [0, 1, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 10 << 20];
    for size in sizes {
        let buffered = Body::full(pattern_piece(0, size));
        let known = declared(size as u64, pieces(pattern(size, 10_007)));
        let unknown = pieces(pattern(size, 70_001));
        for (name, body) in [("buffered", buffered), ("known", known), ("unknown", unknown)] {
            let sending = pair.client.send(request(Method::POST, "/", body));
            let response = soon("a response", sending).await.unwrap();
            let read = soon("the body", digest(response.body)).await.unwrap_or_else(|e| panic!("{name} {size}: {e}"));
            assert_eq!(read.bytes, size, "{name}");
            assert_eq!(read.hash, pattern_hash(size), "{name} of {size}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_length_is_known_to_the_reader() {
    let pair = Pair::start(echo()).await;
    for size in [5, 300_000] {
        let body = declared(size, pieces(pattern(usize::try_from(size).unwrap(), 1000)));
        let response = pair.client.send(request(Method::POST, "/", body)).await.unwrap();
        assert_eq!(http_body::Body::size_hint(&response.body).exact(), Some(size));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_go_both_ways() {
    let pair = Pair::start(echo()).await;
    for size in [0, 10, 400_000] {
        let mut trailers = HeaderMap::new();
        trailers.append("x-sum", HeaderValue::from_static("1"));
        trailers.append("x-sum", HeaderValue::from_bytes(&[0xfe]).unwrap());
        let data = pattern(size, 9_000).map(|piece| piece.map(Frame::data));
        let end = Frame::trailers(trailers.clone());
        let body = Body::stream(StreamBody::new(data.chain(stream::iter([Ok(end)]))));
        let response = pair.client.send(request(Method::PUT, "/", body)).await.unwrap();
        let read = digest(response.body).await.unwrap();
        assert_eq!((read.bytes, read.trailers), (size, trailers));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_without_a_body_keep_their_headers() {
    let pair = Pair::start(Service::http(|request| async move {
        let status = if path(&request) == "/204" { StatusCode::NO_CONTENT } else { StatusCode::OK };
        let mut response = Response::new(status, Body::empty());
        response.headers.insert("content-length", HeaderValue::from_static("12345"));
        Ok(response)
    }))
    .await;
    for (method, target, status) in [(Method::HEAD, "/", 200), (Method::DELETE, "/204", 204)] {
        let response = pair.client.send(request(method, target, Body::empty())).await.unwrap();
        assert_eq!(response.status, status);
        assert_eq!(response.headers["content-length"], "12345");
        assert!(http_body::Body::is_end_stream(&response.body));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_may_begin_and_end_while_the_upload_streams() {
    let (got_all, all) = oneshot::channel();
    let got_all = once(got_all);
    let pair = Pair::start(Service::http(move |request| {
        let got_all = take(&got_all);
        async move {
            let upload = stream::once(async move {
                got_all.send(digest(request.body).await.map(|read| read.bytes)).ok();
                Ok(Bytes::from_static(b"done"))
            });
            Ok(Response::new(StatusCode::OK, pieces(stream::iter([Ok(Bytes::from_static(b"early "))]).chain(upload))))
        }
    }))
    .await;
    let (go, gate) = oneshot::channel::<()>();
    let gate = stream::once(async move {
        gate.await.ok();
        Ok(pattern_piece(0, 500_000))
    });
    let upload = pieces(stream::iter([Ok(Bytes::from_static(b"first"))]).chain(gate));
    let mut response = soon("an early head", pair.client.send(request(Method::POST, "/", upload))).await.unwrap();
    let first = soon("early data", response.body.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "early ");
    go.send(()).unwrap();
    assert_eq!(soon("the upload", all).await.unwrap(), Ok(500_005));
    assert_eq!(soon("the rest", text(response.body)).await.unwrap(), "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_and_downloads_run_at_once() {
    const BYTES: usize = 50 << 20;
    let pair = Pair::start(echo()).await;
    let piece = pattern_piece(0, 1 << 16);
    let source = stream::iter((0..BYTES / piece.len()).map(move |_| Ok(piece.clone())));
    let response = pair.client.send(request(Method::POST, "/", pieces(source))).await.unwrap();
    assert_eq!(soon("50 MiB", digest(response.body)).await.unwrap().bytes, BYTES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_breaks_off_is_an_error_of_the_body() {
    let pair = Pair::start(Service::http(|request| async move {
        let bytes: usize = path(&request)[1..].parse().unwrap();
        let broken = stream::once(async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            Err(Failure::new(FailureKind::ServiceFailed, "the service broke off"))
        });
        Ok(Response::new(StatusCode::OK, pieces(pattern(bytes, 10_000).chain(broken))))
    }))
    .await;
    for target in ["/0", "/10", "/100000", "/1000000"] {
        let response = pair.client.send(get(target)).await.unwrap();
        assert_eq!(body_error(response.body).await.kind(), FailureKind::ServiceFailed, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_the_wrong_length_is_an_error() {
    let pair = Pair::start(Service::http(|request| async move {
        let declaration: u64 = path(&request)[1..].parse().unwrap();
        Ok(Response::new(StatusCode::OK, declared(declaration, pieces(pattern(400_000, 10_000)))))
    }))
    .await;
    for target in ["/1", "/399999", "/400001", "/10000000"] {
        let response = pair.client.send(get(target)).await.unwrap();
        assert_eq!(body_error(response.body).await.kind(), FailureKind::Protocol, "{target}");
    }
    let response = pair.client.send(get("/400000")).await.unwrap();
    assert_eq!(digest(response.body).await.unwrap().bytes, 400_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_upload_is_an_error_of_the_handlers_body() {
    let pair = Pair::start(Service::http(|request| async move {
        let failure = body_error(request.body).await;
        Ok(ok(failure.kind().name()))
    }))
    .await;
    for (length, declaration) in [(10, 11), (400_000, 400_001), (11, 10)] {
        let body = declared(declaration, pieces(pattern(length, 1000)));
        let response = soon("a response", pair.client.send(request(Method::POST, "/", body))).await.unwrap();
        assert_eq!(text(response.body).await.unwrap(), "protocol");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_the_tunnels_form_arrive_equal() {
    let pair = Pair::start(Service::http(|request| async move {
        assert!(http_body::Body::is_end_stream(&request.body));
        let RequestHead::Tunnel(tunnel) = request.head else { panic!("born in the tunnel") };
        Ok(ok(serde_json::to_vec(&*tunnel).unwrap()))
    }))
    .await;
    let tunnel = TunnelHttpRequest {
        request_id: u64::MAX,
        method: serde_json::from_str("\"POST\"").unwrap(),
        path: "/api/x y".to_owned(),
        query: serde_json::json!({"a": ["1", 2], "b": null}),
        payload: Some(serde_json::json!({"z": 1.5, "y": "\u{0}✓", "big": 18_446_744_073_709_551_615_u64})),
        headers: Some(serde_json::json!({"range": "bytes=0-1"})),
        encoding: TunnelEncoding::Binary,
        profile: Some("master".to_owned()),
    };
    let sent = serde_json::to_string(&tunnel).unwrap();
    let response = pair.client.send(Request::tunnel(tunnel)).await.unwrap();
    assert_eq!(text(response.body).await.unwrap(), sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_over_the_limit_is_never_delivered() {
    let pair = Pair::start(filler()).await;
    let mut large = get("/1");
    if let RequestHead::Http(parts) = &mut large.head {
        parts.headers.insert("x-large", HeaderValue::try_from("a".repeat(129 << 10)).unwrap());
    }
    let error = pair.client.send(large).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::TooLarge);
    assert!(!error.may_have_been_delivered());
    assert!(error.into_request().is_some());
    let response = pair.client.send(get("/3")).await.unwrap();
    assert_eq!(digest(response.body).await.unwrap().bytes, 3);
}

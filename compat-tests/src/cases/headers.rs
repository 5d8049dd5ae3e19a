//! Headers arrive in both directions as they are, or the whole message does not.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tunnel_core::{Body, FailureKind, Response};

use crate::{
    backend::Backend,
    body::text,
    pair::Pair,
    request::{get, get_with, path},
    service::{Service, ok},
};

/// Sends these headers to the echo and compares what comes back.
async fn go_both_ways<B: Backend>(backend: B, sent: HeaderMap) {
    let pair = Pair::start(&backend, Service::echo()).await;
    let response = pair.answer(get_with("/", sent.clone())).await;
    assert_eq!(response.headers.len(), sent.len() + 2);
    for name in sent.keys() {
        let all = |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(all(&response.headers), all(&sent), "{name}");
    }
}

/// A second cookie must not swallow the first, and lists keep their order.
pub async fn repeated_values_keep_their_order<B: Backend>(backend: B) {
    let mut sent = HeaderMap::new();
    for (name, value) in [
        ("x-many", "one"),
        ("set-cookie", "a=1"),
        ("x-many", ""),
        ("x-many", "one"),
        ("set-cookie", "b=2; Path=/"),
        ("x-many", "0"),
    ] {
        sent.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    go_both_ways(backend, sent).await;
}

/// Values are bytes, not text.
pub async fn raw_bytes_arrive<B: Backend>(backend: B) {
    let every: Vec<u8> = (0x20..=0xff).filter(|byte| *byte != 0x7f).collect();
    let mut sent = HeaderMap::new();
    sent.insert("x-every", HeaderValue::from_bytes(&every).unwrap());
    sent.insert("x-not-utf8", HeaderValue::from_bytes(&[0xff, b'a', 0x80, 0xfe]).unwrap());
    sent.insert("x-utf8", HeaderValue::from_bytes("é✓".as_bytes()).unwrap());
    sent.insert("x-tab", HeaderValue::from_bytes(b"a\tb").unwrap());
    sent.insert("x-empty", HeaderValue::from_static(""));
    go_both_ways(backend, sent).await;
}

/// Those that a proxy might be tempted to act upon.
pub async fn the_tunnel_acts_on_none_of_them<B: Backend>(backend: B) {
    let mut sent = HeaderMap::new();
    for (name, value) in [
        ("authorization", "Bearer x"),
        ("cookie", "a=1; b=2"),
        ("accept-encoding", "gzip, br"),
        ("content-encoding", "gzip"),
        ("content-type", "audio/flac"),
        ("cache-control", "no-store"),
        ("host", "home.example"),
        ("origin", "https://app.example"),
        ("forwarded", "for=192.0.2.1"),
        ("expect", "100-continue"),
        ("x-tunnel-transport", "none"),
    ] {
        sent.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    go_both_ways(backend, sent).await;
}

/// A thousand, of which every second repeats a name.
pub async fn a_thousand_fields_arrive<B: Backend>(backend: B) {
    let mut sent = HeaderMap::new();
    for number in 0..500_u16 {
        sent.append(HeaderName::try_from(format!("x-{number}")).unwrap(), HeaderValue::from(number));
        sent.append("x-same", HeaderValue::from(number));
    }
    go_both_ways(backend, sent).await;
}

/// A cookie of 60 KiB is larger than a packet and smaller than the limit.
pub async fn a_value_of_60_kib_arrives<B: Backend>(backend: B) {
    let mut sent = HeaderMap::new();
    sent.insert("x-large", HeaderValue::try_from("a".repeat(60 << 10)).unwrap());
    go_both_ways(backend, sent).await;
}

/// The request is refused before it leaves, and comes back.
pub async fn a_request_head_over_the_limit_is_never_delivered<B: Backend>(backend: B) {
    let pair = Pair::start(
        &backend,
        Service::http(|request| async move {
            assert_eq!(path(&request), "small");
            Ok(ok("ok"))
        }),
    )
    .await;
    let mut large = HeaderMap::new();
    large.insert("x-large", HeaderValue::try_from("a".repeat(129 << 10)).unwrap());
    let mut many = HeaderMap::new();
    for _ in 0..1025 {
        many.append("x-many", HeaderValue::from_static(""));
    }
    for headers in [large, many] {
        let fields = headers.len();
        let error = pair.send(get_with("/large", headers)).await.unwrap_err();
        assert_eq!(error.failure().kind(), FailureKind::TooLarge);
        assert!(!error.may_have_been_delivered());
        let request = error.into_request().expect("the request comes back");
        assert_eq!(crate::request::parts(&request).headers.len(), fields);
    }
    assert_eq!(text(pair.answer(get("/small")).await.body).await.unwrap(), "ok");
}

/// It is the service that did wrong, and nobody else suffers.
pub async fn a_response_head_over_the_limit_is_a_failure_of_the_service<B: Backend>(backend: B) {
    let pair = Pair::start(
        &backend,
        Service::http(|request| async move {
            let mut response = Response::new(StatusCode::OK, Body::full("body"));
            match path(&request) {
                "large" => drop(response.headers.insert("x", HeaderValue::try_from("a".repeat(200 << 10)).unwrap())),
                "many" => {
                    for _ in 0..1100 {
                        response.headers.append("x", HeaderValue::from_static(""));
                    }
                }
                _ => {}
            }
            Ok(response)
        }),
    )
    .await;
    for target in ["/large", "/many"] {
        let error = pair.send(get(target)).await.unwrap_err();
        assert_eq!(error.failure().kind(), FailureKind::ServiceFailed, "{target}");
        assert!(error.may_have_been_delivered(), "{target}");
    }
    assert_eq!(text(pair.answer(get("/small")).await.body).await.unwrap(), "body");
}

//! Requests in the tunnel's own form arrive in it, and the tunnel's responses pass.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Body as _;
use serde_json::{Value, json};
use tunnel_core::{
    Body, FailureKind, Request, RequestHead, Response,
    moosicbox_tunnel::{TunnelEncoding, TunnelHttpRequest, TunnelRequest},
    packet::{self, Packets, response_from_packets},
};

use crate::{
    backend::Backend,
    body::{arrives, by_hand, bytes, digest, pattern, pattern_hash, pieces, text},
    pair::Pair,
    service::{Once, Service, ok},
};

const REQUESTS: &str = include_str!("../../../spec/vectors/tunnel_request.json");
const ACCEPTED: &str = include_str!("../../../spec/vectors/tunnel_request_accept.json");
const RESPONSES: &str = include_str!("../../../spec/vectors/tunnel_response_binary.json");

/// Answers with the request as JSON.
fn mirror() -> Service {
    Service::any_form(|request| async move {
        assert!(request.body.is_end_stream(), "the payload is in the head");
        let RequestHead::Tunnel(tunnel) = request.head else { panic!("born in the tunnel") };
        Ok(ok(serde_json::to_vec(&*tunnel).unwrap()))
    })
}

fn minimal(request_id: u64) -> TunnelHttpRequest {
    TunnelHttpRequest {
        request_id,
        method: serde_json::from_str("\"GET\"").unwrap(),
        path: "api/albums".to_owned(),
        query: json!({}),
        payload: None,
        headers: None,
        encoding: TunnelEncoding::Binary,
        profile: None,
    }
}

/// Sends it, and compares what the handler got.
async fn arrives_equal<B: Backend>(pair: &Pair<B>, request: TunnelHttpRequest) {
    let sent = serde_json::to_string(&request).unwrap();
    let response = pair.answer(Request::tunnel(request)).await;
    assert_eq!(text(response.body).await.unwrap(), sent);
}

/// With everything in it that JSON can hold.
pub async fn a_request_arrives_as_it_was<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, mirror()).await;
    let request = TunnelHttpRequest {
        method: serde_json::from_str("\"POST\"").unwrap(),
        path: "/api/x y?a=b".to_owned(),
        query: json!({"a": ["1", 2], "b": null, "": {"c": true}}),
        payload: Some(json!({"z": 1.5, "y": "\u{0}✓", "big": u64::MAX, "small": i64::MIN, "e": 1e300})),
        headers: Some(json!({"range": "bytes=0-1", "X-Case": ["1", "2"]})),
        profile: Some("master".to_owned()),
        ..minimal(9)
    };
    arrives_equal(&pair, request).await;
}

/// JSON numbers of 64 bits do not fit a double.
pub async fn request_ids_are_exact_up_to_the_largest<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, mirror()).await;
    for id in [0, 1, (1 << 53) - 1, (1 << 53) + 1, u64::MAX - 1, u64::MAX] {
        arrives_equal(&pair, minimal(id)).await;
    }
}

/// No profile, an empty one, and one that is not ASCII are three different things.
pub async fn the_profile_is_none_or_any_text<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, mirror()).await;
    for profile in [None, Some(""), Some("master"), Some("prófil")] {
        arrives_equal(&pair, TunnelHttpRequest { profile: profile.map(str::to_owned), ..minimal(1) }).await;
    }
}

/// `null` is a payload for some services and none for others; what the JSON says is what arrives.
pub async fn every_method_and_payload_arrives<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, mirror()).await;
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"] {
        for payload in [None, Some(json!("")), Some(json!([])), Some(json!({"a": [null]})), Some(json!(false))] {
            let method = serde_json::from_value(json!(method)).unwrap();
            arrives_equal(&pair, TunnelHttpRequest { method, payload, ..minimal(1) }).await;
        }
    }
}

/// Every text that the tunnel server is known to send.
pub async fn the_golden_requests_arrive_equal<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, mirror()).await;
    let texts = vectors(REQUESTS, &["to_string", "via_value"]);
    assert!(send_all(&pair, texts).await >= 36);
}

/// Every other way of writing them that the tunnel accepts.
pub async fn the_golden_variants_arrive_equal<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, mirror()).await;
    let texts = vectors(ACCEPTED, &["text"]);
    assert!(send_all(&pair, texts).await >= 10);
}

/// Sends those that are requests in the tunnel's form; their number.
async fn send_all<B: Backend>(pair: &Pair<B>, texts: Vec<String>) -> usize {
    let mut sent = 0;
    for text in texts {
        // Others are of WebSockets, aborts, refused on purpose, or need a feature that is off (`spec/vectors`).
        if let Ok(TunnelRequest::Http(request)) = serde_json::from_str(&text) {
            arrives_equal(pair, request).await;
            sent += 1;
        }
    }
    sent
}

fn vectors(file: &str, fields: &[&str]) -> Vec<String> {
    let file: Value = serde_json::from_str(file).unwrap();
    let vectors = file["vectors"].as_array().expect("a list of vectors");
    let texts = |vector: &Value| fields.iter().filter_map(|field| Some(vector[*field].as_str()?.to_owned())).collect();
    vectors.iter().flat_map(|vector| -> Vec<String> { texts(vector) }).collect()
}

/// The packets of today's tunnel, joined at home, cut again at the other end: the same bytes.
pub async fn the_golden_responses_pass<B: Backend>(backend: B) {
    let mut passed = 0;
    for hex in vectors(RESPONSES, &["hex"]) {
        let Ok(mut packet) = packet::decode(Bytes::from(unhex(&hex))) else { continue };
        if packet.packet_id != 1 || packet.status.is_none_or(|status| !(200..1000).contains(&status)) {
            continue;
        }
        // Those of which further packets would follow end here.
        packet.last = true;
        let (request_id, expected) = (packet.request_id, packet::encode(&packet).unwrap());
        let response = response_from_packets(request_id, stream::iter([Ok(packet)])).await.unwrap();
        let response = Once::new(response);
        let service = Service::http(move |_| {
            let response = response.take();
            async { Ok(response) }
        });
        let pair = Pair::start(&backend, service).await;
        let arrived = pair.answer(Request::tunnel(minimal(request_id))).await;
        // A piece that comes after the head goes into a packet of its own.
        let whole = Response { body: Body::full(bytes(arrived.body).await.unwrap()), via: None, ..arrived };
        let packets: Vec<_> = Packets::new(request_id, whole).unwrap().try_collect().await.unwrap();
        assert_eq!(packets.len(), 1);
        assert_eq!(packet::encode(&packets[0]).unwrap(), expected, "{hex}");
        passed += 1;
    }
    assert!(passed >= 4, "{passed}");
}

fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect()
}

/// A body that is cut into packets at the far end and joined at the near one is the body, and so is its end.
pub async fn a_large_response_survives_being_packets<B: Backend>(backend: B) {
    let service = Service::http(|_| async {
        let mut response = Response::new(StatusCode::PARTIAL_CONTENT, pieces(pattern(700_000, 90_001)));
        response.headers.insert("content-range", HeaderValue::from_static("bytes 0-699999/1000000"));
        let packets = Packets::new(7, response)?;
        response_from_packets(7, packets).await
    });
    let pair = Pair::start(&backend, service).await;
    let response = pair.answer(Request::tunnel(minimal(7))).await;
    assert_eq!(response.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.headers["content-range"], "bytes 0-699999/1000000");
    let packets = Packets::new(7, response).unwrap();
    let joined = response_from_packets(7, packets).await.unwrap();
    let read = digest(joined.body).await.unwrap();
    assert_eq!((read.bytes, read.hash), (700_000, pattern_hash(700_000)));
}

/// The form of the request is no reason to collect its response.
pub async fn a_response_streams_as_any_other<B: Backend>(backend: B) {
    let (sender, body) = by_hand();
    let body = Once::new(body);
    let service = Service::http(move |_| {
        let body = body.take();
        async {
            let mut response = Response::new(StatusCode::OK, body);
            response.headers = HeaderMap::from_iter([
                (HeaderName::from_static("set-cookie"), HeaderValue::from_static("a=1")),
                (HeaderName::from_static("x-raw"), HeaderValue::from_bytes(&[0xff]).unwrap()),
            ]);
            Ok(response)
        }
    });
    let pair = Pair::start(&backend, service).await;
    let mut response = pair.answer(Request::tunnel(minimal(1))).await;
    assert_eq!(response.headers.len(), 2);
    for number in 0..10 {
        let sent = Bytes::from(number.to_string());
        sender.send(Ok(sent.clone())).await.unwrap();
        arrives(&mut response.body, sent).await;
    }
    drop(sender);
    assert_eq!(text(response.body).await.unwrap(), "");
}

/// The payload is part of the head: large ones arrive, too large ones are never sent and come back.
pub async fn payloads_arrive_up_to_the_limit<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, mirror()).await;
    let with = |bytes: usize| TunnelHttpRequest { payload: Some(json!("x".repeat(bytes))), ..minimal(1) };
    for size in [65_536, 300_000, 1_000_000] {
        arrives_equal(&pair, with(size)).await;
    }
    let error = pair.send(Request::tunnel(with(1 << 20))).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::TooLarge);
    assert!(!error.may_have_been_delivered());
    let RequestHead::Tunnel(request) = error.into_request().expect("it comes back").head else { panic!("same form") };
    assert_eq!(request.payload, with(1 << 20).payload);
}

/// Both forms share the way without touching each other.
pub async fn both_forms_may_be_mixed<B: Backend>(backend: B) {
    let service = Service::any_form(|request| async move {
        Ok(match request.head {
            RequestHead::Http(parts) => ok(format!("http {}", parts.uri)),
            RequestHead::Tunnel(tunnel) => ok(format!("tunnel {}", tunnel.request_id)),
        })
    });
    let pair = Pair::start(&backend, service).await;
    let all = stream::iter(0..50_u64)
        .map(|number| {
            let pair = &pair;
            async move {
                if number % 2 == 0 {
                    let response = pair.answer(Request::tunnel(minimal(number))).await;
                    assert_eq!(text(response.body).await.unwrap(), format!("tunnel {number}"));
                } else {
                    let response = pair.answer(crate::request::get(&format!("/{number}"))).await;
                    assert_eq!(text(response.body).await.unwrap(), format!("http /{number}"));
                }
            }
        })
        .buffer_unordered(10);
    all.collect::<()>().await;
}

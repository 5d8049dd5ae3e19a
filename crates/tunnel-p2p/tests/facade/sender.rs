//! Requests, by packets and by the service.

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tunnel_core::{
    Body, FailureKind, Request,
    moosicbox_tunnel::{TunnelHttpRequest, TunnelRequest},
    packet,
};
use tunnel_p2p::sender::{SenderConfig, TunnelRequestError};

use crate::{
    service::HttpService,
    support::{
        Started, answer, http_request, json_of, packet_bytes, pieces, soon, spawn, started, started_with,
        tunnel_request, whole,
    },
};

const VECTORS: &str = include_str!("../../../../spec/vectors/tunnel_request.json");

/// Any request of the tunnel.
pub(crate) fn any_request() -> impl Strategy<Value = TunnelHttpRequest> {
    const METHODS: [&str; 9] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from)
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    let option = || prop::option::of(value.clone().prop_filter("null is no value", |value| !value.is_null()));
    (any::<u64>(), prop::sample::select(&METHODS[..]), ".*", value.clone(), option(), option(), prop::option::of(".*"))
        .prop_map(|(request_id, method, path, query, payload, headers, profile)| TunnelHttpRequest {
            method: serde_json::from_value(json!(method)).unwrap(),
            path,
            query,
            payload,
            headers,
            profile,
            ..tunnel_request(request_id)
        })
}

/// As the loop of upstream's server.
async fn by_service(
    tunnel: &Started,
    service: &HttpService,
    request: TunnelHttpRequest,
) -> Result<(), TunnelRequestError> {
    let TunnelHttpRequest { request_id, method, path, query, payload, headers, profile, encoding } = request;
    let asking = tunnel.sender.tunnel_request(
        service.port,
        request_id,
        method,
        path,
        query,
        payload,
        headers,
        profile,
        encoding,
    );
    soon("the end of tunnel_request", asking).await
}

#[tokio::test]
async fn the_loop_is_told_byte_for_byte_what_the_tunnel_server_says() {
    let mut tunnel = started();
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let mut requests = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let Ok(TunnelRequest::Http(request)) = serde_json::from_str(vector["to_string"].as_str().unwrap()) else {
            continue;
        };
        let via_value = vector["via_value"].as_str().unwrap();
        let written = serde_json::to_value(TunnelRequest::Http(request.clone())).unwrap();
        if written != serde_json::from_str::<Value>(via_value).unwrap() {
            // The published types themselves read less than they write: a payload of null.
            continue;
        }
        let id = request.request_id;
        let asked = tunnel.ask(Request::tunnel(request));
        assert_eq!(tunnel.text().await, via_value, "{}", vector["name"]);
        tunnel.sender.send_bytes(id, 1, packet_bytes(id, 1, true, b"")).unwrap();
        whole(answer(asked).await.unwrap().body).await.unwrap();
        requests += 1;
    }
    assert!(requests > 10, "{requests} vectors");
}

#[test]
fn any_request_of_the_tunnel_arrives_equal_over_peers() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (tunnel, peers) = runtime.block_on(async {
        let tunnel = started();
        let peers = tunnel.peers().await;
        (Mutex::new(tunnel), peers)
    });
    proptest!(ProptestConfig::with_cases(256), |(request in any_request())| {
        let sent = serde_json::to_value(TunnelRequest::Http(request.clone())).unwrap();
        let text = runtime.block_on(async {
            let mut tunnel = tunnel.lock().await;
            let client = peers.client.clone();
            let asking = spawn(async move { tunnel_core::Transport::send(&client, Request::tunnel(request)).await });
            let text = tunnel.text().await;
            asking.abort();
            tunnel.abort().await;
            text
        });
        prop_assert_eq!(&text, &sent.to_string());
        let arrived: TunnelRequest = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(serde_json::to_value(arrived).unwrap(), sent);
    });
}

#[tokio::test]
async fn packets_in_any_order_are_a_response() {
    let mut tunnel = started();
    let asked = tunnel.ask(Request::tunnel(tunnel_request(7)));
    assert_eq!(tunnel.http().await.request_id, 7);
    tunnel.sender.send_bytes(7, 3, packet_bytes(7, 3, true, b"c")).unwrap();
    tunnel.sender.send_bytes(7, 1, packet_bytes(7, 1, false, b"a")).unwrap();
    let response = answer(asked).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.headers["content-type"], "audio/flac");
    let text = packet::encode_text(&packet::decode(packet_bytes(7, 2, false, b"b").into()).unwrap()).unwrap();
    tunnel.sender.send_message(7, 2, text).unwrap();
    assert_eq!(whole(response.body).await.unwrap(), "abc");
    let late = tunnel.sender.send_bytes(7, 4, packet_bytes(7, 4, true, b"d")).unwrap_err();
    assert!(late.to_string().contains("no request 7 waits"), "{late}");
}

#[tokio::test]
async fn what_is_no_packet_is_an_error_that_says_why_and_harms_nothing() {
    let mut tunnel = started();
    let asked = tunnel.ask(Request::tunnel(tunnel_request(7)));
    tunnel.http().await;
    let short = tunnel.sender.send_bytes(7, 1, [0; 12]).unwrap_err().to_string();
    assert!(short.contains("not a packet"), "{short}");
    let other = tunnel.sender.send_bytes(7, 1, packet_bytes(8, 1, true, b"")).unwrap_err().to_string();
    assert!(other.contains("1 of request 8, not 1 of 7"), "{other}");
    let text = tunnel.sender.send_message(7, 1, "7|1|200{}").unwrap_err().to_string();
    assert!(text.contains("neither a packet nor a TunnelWsResponse"), "{text}");
    tunnel.sender.send_bytes(7, 1, packet_bytes(7, 1, true, b"fine")).unwrap();
    assert_eq!(whole(answer(asked).await.unwrap().body).await.unwrap(), "fine");
}

#[tokio::test]
async fn a_packet_that_http_does_not_allow_is_a_failure_of_its_request_alone() {
    let mut tunnel = started();
    let asked = tunnel.ask(Request::tunnel(tunnel_request(7)));
    tunnel.http().await;
    let mut packet = packet_bytes(7, 1, true, b"");
    packet[13..15].copy_from_slice(&99_u16.to_be_bytes());
    tunnel.sender.send_bytes(7, 1, packet).unwrap();
    assert_eq!(answer(asked).await.unwrap_err().kind(), FailureKind::Protocol);
}

#[tokio::test]
async fn a_slow_reader_is_cut_by_send_bytes_and_awaited_by_send_bytes_paced() {
    static PIECE: [u8; 60_000] = [1; 60_000];
    let mut tunnel = started();
    let asked = tunnel.ask(Request::tunnel(tunnel_request(7)));
    tunnel.http().await;
    let mut sent = 0;
    let overflow = loop {
        let id = sent + 1;
        match tunnel.sender.send_bytes(7, id, packet_bytes(7, id, false, &PIECE)) {
            Ok(()) => sent = id,
            Err(error) => break error,
        }
    };
    assert!((250..300).contains(&sent), "16 MiB are {sent} packets");
    assert!(overflow.to_string().contains("reads too slowly"), "{overflow}");
    // Nobody has read the head yet: the answer itself is the failure.
    let failure = match answer(asked).await {
        Ok(response) => whole(response.body).await.unwrap_err(),
        Err(failure) => failure,
    };
    assert_eq!(failure.kind(), FailureKind::Aborted);

    let asked = tunnel.ask(Request::tunnel(tunnel_request(8)));
    tunnel.http().await;
    let sender = tunnel.sender.clone();
    let sending = spawn(async move {
        for id in 1..=600 {
            sender.send_bytes_paced(8, id, packet_bytes(8, id, id == 600, &PIECE).into()).await.unwrap();
        }
    });
    let body = whole(answer(asked).await.unwrap().body).await.unwrap();
    sending.await.unwrap();
    assert_eq!(body.len(), 600 * PIECE.len());
}

#[tokio::test]
async fn one_number_of_two_clients_is_two_for_the_loop() {
    let mut tunnel = started();
    let first = tunnel.ask(Request::tunnel(tunnel_request(7)));
    assert_eq!(tunnel.http().await.request_id, 7);
    let second = tunnel.ask(Request::tunnel(tunnel_request(7)));
    let other = tunnel.http().await.request_id;
    assert_ne!(other, 7);
    let mut packet = packet_bytes(7, 1, true, b"second");
    packet[..8].copy_from_slice(&other.to_be_bytes());
    tunnel.sender.send_bytes(other, 1, packet).unwrap();
    tunnel.sender.send_bytes(7, 1, packet_bytes(7, 1, true, b"first")).unwrap();
    assert_eq!(whole(answer(first).await.unwrap().body).await.unwrap(), "first");
    assert_eq!(whole(answer(second).await.unwrap().body).await.unwrap(), "second");
}

#[tokio::test]
async fn a_client_that_leaves_is_an_abort_before_the_head_and_in_the_body() {
    let mut tunnel = started();
    let asked = tunnel.ask(Request::tunnel(tunnel_request(7)));
    tunnel.http().await;
    asked.abort();
    assert_eq!(tunnel.abort().await, 7);

    let asked = tunnel.ask(Request::tunnel(tunnel_request(8)));
    tunnel.http().await;
    tunnel.sender.send_bytes(8, 1, packet_bytes(8, 1, false, b"a")).unwrap();
    drop(answer(asked).await.unwrap());
    assert_eq!(tunnel.abort().await, 8);
    tunnel.sender.abort_request(8);
}

#[tokio::test]
async fn the_loop_may_give_a_response_up() {
    let mut tunnel = started();
    let asked = tunnel.ask(Request::tunnel(tunnel_request(7)));
    tunnel.http().await;
    tunnel.sender.send_bytes(7, 1, packet_bytes(7, 1, false, b"a")).unwrap();
    let response = answer(asked).await.unwrap();
    tunnel.sender.abort_request(7);
    assert_eq!(whole(response.body).await.unwrap_err().kind(), FailureKind::Aborted);
    // Nothing is said about it: the next message is another request's.
    let asked = tunnel.ask(Request::tunnel(tunnel_request(9)));
    assert_eq!(tunnel.http().await.request_id, 9);
    asked.abort();
}

#[tokio::test]
async fn the_service_gets_a_request_in_the_tunnels_form_as_http() {
    let (mut tunnel, service) = (started(), HttpService::start().await);
    let request = TunnelHttpRequest {
        method: serde_json::from_value(json!("POST")).unwrap(),
        path: "mirror".to_owned(),
        query: json!({"a": "x&y", "clientId": "home"}),
        payload: Some(json!({"b": 1})),
        profile: Some("master".to_owned()),
        ..tunnel_request(7)
    };
    let asked = tunnel.ask(Request::tunnel(request));
    let told = tunnel.http().await;
    let (ended, response) =
        tokio::join!(by_service(&tunnel, &service, told), async { json_of(answer(asked).await.unwrap().body).await });
    ended.unwrap();
    assert_eq!(response["method"], "POST");
    assert_eq!(response["target"], "/mirror?a=x%26y");
    assert_eq!(response["body"], r#"{"b":1}"#);
    let headers = response["headers"].to_string();
    assert!(headers.contains(r#"["moosicbox-profile","master"]"#), "{headers}");
    assert!(headers.contains(r#"["user-agent","MOOSICBOX_TUNNEL"]"#), "{headers}");
}

#[tokio::test]
async fn the_service_gets_a_request_that_was_http_as_it_was_though_the_loop_sees_less() {
    let (mut tunnel, service) = (started_with(exact()), HttpService::start().await);
    let method = Method::from_bytes(b"PROPFIND").unwrap();
    let request =
        http::Request::builder().method(method).uri("/mirror?a=1&a=2+3").header("x-a", "1").header("x-a", "2");
    let mut request = http_request(request, "");
    request.body = pieces(b"not JSON", None);
    let asked = tunnel.ask(request);
    let told = tunnel.http().await;
    assert_eq!((told.query.to_string(), &told.payload), (r#"{"a":"2+3"}"#.to_owned(), &None));
    let (ended, response) =
        tokio::join!(by_service(&tunnel, &service, told), async { json_of(answer(asked).await.unwrap().body).await });
    ended.unwrap();
    assert_eq!(response["method"], "PROPFIND");
    assert_eq!(response["target"], "/mirror?a=1&a=2+3");
    assert_eq!(response["body"], "not JSON");
    assert!(response["headers"].to_string().contains(r#"["x-a","1"],["x-a","2"]"#), "{response}");
}

#[tokio::test]
async fn the_loops_word_counts_if_it_changes_a_request() {
    let (mut tunnel, service) = (started(), HttpService::start().await);
    let asked = tunnel.ask(http_request(http::Request::get("/elsewhere").header("cookie", "c"), ""));
    let told = TunnelHttpRequest { path: "mirror".to_owned(), ..tunnel.http().await };
    let (ended, response) =
        tokio::join!(by_service(&tunnel, &service, told), async { json_of(answer(asked).await.unwrap().body).await });
    ended.unwrap();
    assert_eq!(response["target"], "/mirror");
    assert!(!response["headers"].to_string().contains("cookie"), "{response}");
}

#[tokio::test]
async fn a_short_json_body_is_the_payload() {
    let mut tunnel = started();
    let mut request = http_request(http::Request::post("/mirror").header("content-type", "application/json"), "");
    request.body = pieces(br#"{"b":1}"#, Some(7));
    let asked = tunnel.ask(request);
    assert_eq!(tunnel.http().await.payload, Some(json!({"b": 1})));
    asked.abort();
}

#[tokio::test]
async fn what_the_loop_could_not_be_told_of_is_refused_unless_it_is_promised_to_ask_the_service() {
    let mut tunnel = started();
    let upload = || http_request(http::Request::post("/mirror"), "not JSON");
    let refused = answer(tunnel.ask(upload())).await.unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Unsupported);
    let long = Body::full(vec![b'1'; 300_000]);
    let refused = answer(tunnel.ask(Request { body: long, ..upload() })).await.unwrap_err();
    assert_eq!(refused.kind(), FailureKind::TooLarge);
    // Headers are what every request through the tunnel loses.
    let asked = tunnel.ask(http_request(http::Request::get("/mirror").header("cookie", "c"), ""));
    assert_eq!(tunnel.http().await.headers, None);
    asked.abort();

    let mut tunnel = started_with(exact());
    let asked = tunnel.ask(upload());
    assert_eq!(tunnel.http().await.payload, None);
    asked.abort();
}

#[tokio::test]
async fn a_service_that_is_away_is_an_error_for_the_loop_and_an_answer_for_the_client() {
    let (mut tunnel, service) = (started(), HttpService::start().await);
    service.stop();
    soon("the port is free", async {
        while tokio::net::TcpStream::connect(("127.0.0.1", service.port)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let asked = tunnel.ask(Request::tunnel(tunnel_request(7)));
    let told = tunnel.http().await;
    let (ended, answered) = tokio::join!(by_service(&tunnel, &service, told), answer(asked));
    assert!(
        matches!(ended.unwrap_err(), TunnelRequestError::Reqwest(failure) if failure.kind() == FailureKind::ServiceUnreachable)
    );
    assert_eq!(answered.unwrap_err().kind(), FailureKind::ServiceUnreachable);
}

#[tokio::test]
async fn a_request_that_cannot_be_http_is_a_bad_request() {
    let (mut tunnel, service) = (started(), HttpService::start().await);
    let asked = tunnel.ask(Request::tunnel(TunnelHttpRequest { query: json!([1]), ..tunnel_request(7) }));
    let told = tunnel.http().await;
    let (ended, answered) = tokio::join!(by_service(&tunnel, &service, told), answer(asked));
    assert!(matches!(ended.unwrap_err(), TunnelRequestError::BadRequest(_)));
    assert_eq!(answered.unwrap_err().kind(), FailureKind::BadRequest);
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_an_error() {
    let (tunnel, service) = (started(), HttpService::start().await);
    let error = by_service(&tunnel, &service, tunnel_request(7)).await.unwrap_err();
    assert!(matches!(&error, TunnelRequestError::Request(text) if text.contains("no request 7 waits")), "{error}");
}

#[tokio::test]
async fn an_abort_ends_the_work_of_the_service() {
    let (mut tunnel, service) = (started(), HttpService::start().await);
    for (id, path) in [(7, "silent"), (8, "endless")] {
        let asked = tunnel.ask(Request::tunnel(TunnelHttpRequest { path: path.to_owned(), ..tunnel_request(id) }));
        let told = tunnel.http().await;
        let ended = by_service(&tunnel, &service, told);
        let (ended, ()) = tokio::join!(ended, async {
            if path == "endless" {
                let mut body = answer(asked).await.unwrap().body;
                soon("a piece", body.frame()).await.unwrap().unwrap();
            } else {
                asked.abort();
            }
        });
        ended.unwrap();
        assert_eq!(tunnel.abort().await, id, "{path}");
    }
}

#[tokio::test]
async fn a_long_response_of_the_service_arrives_over_peers() {
    let (mut tunnel, service) = (started(), HttpService::start().await);
    let peers = tunnel.peers().await;
    let request = TunnelHttpRequest { path: "long".to_owned(), ..tunnel_request(7) };
    let client = peers.client.clone();
    let asking = spawn(async move {
        let response = tunnel_core::Transport::send(&client, Request::tunnel(request)).await.unwrap();
        whole(response.body).await.unwrap()
    });
    let told = tunnel.http().await;
    by_service(&tunnel, &service, told).await.unwrap();
    assert_eq!(asking.await.unwrap().len(), 8 << 20);
}

#[tokio::test]
async fn dropping_the_answer_cuts_the_response() {
    let (mut tunnel, service) = (started(), HttpService::start().await);
    let asked = tunnel.ask(Request::tunnel(TunnelHttpRequest { path: "endless".to_owned(), ..tunnel_request(7) }));
    let told = tunnel.http().await;
    let (sender, port) = (tunnel.sender.clone(), service.port);
    let answering = spawn(async move {
        let TunnelHttpRequest { request_id, method, path, query, payload, headers, profile, encoding } = told;
        sender.tunnel_request(port, request_id, method, path, query, payload, headers, profile, encoding).await
    });
    let response = answer(asked).await.unwrap();
    answering.abort();
    assert_eq!(whole(response.body).await.unwrap_err().kind(), FailureKind::Aborted);
}

#[tokio::test]
async fn without_a_loop_requests_are_refused_as_not_executed() {
    let tunnel = started();
    tunnel.handle.close();
    let refused = answer(tunnel.ask(Request::tunnel(tunnel_request(7)))).await.unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Refused);

    let Started { sender, messages, .. } = started();
    drop(messages);
    let refused = sender.handler().http(Request::tunnel(tunnel_request(7))).await.unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Refused);
}

#[tokio::test]
async fn closing_ends_the_messages_but_not_what_is_under_way() {
    let mut tunnel = started();
    let asked = tunnel.ask(Request::tunnel(tunnel_request(7)));
    tunnel.http().await;
    tunnel.handle.close();
    tunnel.sender.send_bytes(7, 1, packet_bytes(7, 1, true, b"a")).unwrap();
    assert_eq!(whole(answer(asked).await.unwrap().body).await.unwrap(), "a");
    assert!(soon("the end", tunnel.messages.recv()).await.is_none());
}

#[tokio::test]
async fn the_handle_closes_though_the_server_has_a_token_of_its_own() {
    for by_token in [false, true] {
        let token = switchy_async::util::CancellationToken::new();
        let (sender, handle) = tunnel_p2p::sender::P2PTunnelSender::detached(SenderConfig::default());
        let sender = sender.with_cancellation_token(token.clone());
        let mut messages = sender.start();
        if by_token {
            token.cancel();
        } else {
            handle.close();
        }
        assert!(soon("the end", messages.recv()).await.is_none());
    }
}

fn exact() -> SenderConfig {
    let mut config = SenderConfig::default();
    config.exact = true;
    config
}

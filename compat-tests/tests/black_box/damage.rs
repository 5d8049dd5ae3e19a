//! Each kind of damage is found by the checks that it concerns, and by no other.

use tokio::task::JoinSet;

use crate::{differences, proxy, service, target};

/// What does not need a proxy that streams: every kind of damage here concerns some of these.
const BUFFERED: [&str; 8] = [
    "methods: ",
    "bodies: GET /files/655",
    "headers: ",
    "paths and queries: ",
    "ranges and conditions: ",
    "errors: GET",
    "uploads: POST",
    "limits: ",
];

async fn found(damage: fn(proxy::Passing<'_>)) -> Vec<(&'static str, String)> {
    let mut tasks = JoinSet::new();
    let origin = service(&mut tasks).await;
    let proxy = proxy::start(&mut tasks, origin, damage).await;
    differences(&target(proxy), &BUFFERED).await
}

fn names(found: &[(&'static str, String)]) -> Vec<&'static str> {
    found.iter().map(|(name, _)| *name).collect()
}

#[tokio::test]
async fn an_honest_proxy_differs_in_nothing() {
    assert_eq!(found(proxy::honest).await, []);
}

#[tokio::test]
async fn ignored_ranges_are_found() {
    let found = found(proxy::ignore_ranges).await;
    for name in ["Range: bytes=0-0", "Range past the end: 416", "20 seeks on one connection"] {
        assert!(names(&found).contains(&name), "{found:?}");
    }
    assert!(found[0].1.contains("expected"), "{found:?}");
    let others = names(&found).into_iter().filter(|name| !name.starts_with("Range") && !name.starts_with("20 seeks"));
    assert_eq!(others.collect::<Vec<_>>(), ["request: what players and browsers send"]);
}

#[tokio::test]
async fn a_flipped_bit_is_found_and_located() {
    let found = found(proxy::flip_a_bit).await;
    let (_, sentence) = found.iter().find(|(name, _)| *name == "GET /files/65537.bin").unwrap();
    assert!(sentence.contains("byte 65536 "), "{sentence}");
    assert!(!names(&found).contains(&"GET /files/65536.bin"), "{found:?}");
}

#[tokio::test]
async fn a_lost_byte_is_found() {
    let found = found(proxy::lose_the_last_byte).await;
    assert_eq!(names(&found), ["GET /files/65536.bin"]);
    assert!(found[0].1.contains("65535"), "{found:?}");
}

#[tokio::test]
async fn a_lost_cookie_is_found() {
    assert_eq!(names(&found(proxy::keep_one_cookie).await), ["response: two set-cookie"]);
}

#[tokio::test]
async fn a_decoded_query_is_found() {
    let found = found(proxy::decode_the_query).await;
    assert_eq!(names(&found), ["query: +, %2B and %20"]);
    assert!(found[0].1.contains("a%2Bb"), "{found:?}");
}

#[tokio::test]
async fn joined_headers_are_found() {
    assert_eq!(names(&found(proxy::name_every_header_once).await), ["request: repeated headers, in order"]);
}

#[tokio::test]
async fn a_hidden_error_is_found() {
    assert_eq!(names(&found(proxy::hide_errors).await), ["GET /status/500", "GET /status/503", "GET /status/599"]);
}

#[tokio::test]
async fn stray_bytes_are_found() {
    let mut tasks = JoinSet::new();
    let origin = service(&mut tasks).await;
    let relay = proxy::start_with_stray_bytes(&mut tasks, origin).await;
    let found = differences(&target(relay), &["bodies: 204", "bodies: 304", "bodies: HEAD"]).await;
    assert_eq!(names(&found), ["204 without stray bytes, then reuse"]);
    assert!(found[0].1.contains("0\\r\\n"), "{found:?}");
}

#[tokio::test]
async fn held_back_bodies_are_found() {
    let mut tasks = JoinSet::new();
    let origin = service(&mut tasks).await;
    let proxy = proxy::start(&mut tasks, origin, proxy::honest).await;
    let found = differences(&target(proxy), &["streaming: "]).await;
    assert_eq!(names(&found), ["events, one by one", "the head comes before the body"]);
    assert!(found.iter().all(|(_, sentence)| sentence.contains("held back")), "{found:?}");
}

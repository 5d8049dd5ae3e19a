//! Tests of comparing.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Budget, Mismatch, Mismatches, Sampler, Seen, differences};

fn seen(status: u16, headers: &[(&'static str, &'static str)], hash: u8) -> Seen {
    let headers: HeaderMap =
        headers.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
    Seen { status: StatusCode::from_u16(status).unwrap(), headers, hash: [hash; 32], bytes: hash.into() }
}

#[test]
fn finds_what_differs_and_nothing_else() {
    let one = seen(
        200,
        &[
            ("date", "a"),
            ("x-tunnel-reason", "a"),
            ("set-cookie", "a"),
            ("access-control-allow-origin", "*"),
            ("etag", "a"),
            ("link", "first"),
            ("link", "last"),
        ],
        1,
    );
    let same = seen(200, &[("date", "b"), ("connection", "close"), ("etag", "a"), ("link", "last")], 1);
    assert!(differences(&one, &same, &[]).is_empty());
    let other = seen(404, &[("etag", "b"), ("x-new", "c")], 2);
    let expected = ["status 200 and 404", "header etag", "header link", "header x-new", "body of 1 and 2 bytes"];
    assert_eq!(differences(&one, &other, &[]), expected);
    let ignored = [HeaderName::from_static("x-new"), HeaderName::from_static("link")];
    assert_eq!(differences(&one, &other, &ignored).len(), 3);
}

#[test]
fn a_content_type_that_the_tunnel_server_adds_is_no_difference() {
    let without = seen(200, &[], 1);
    assert!(differences(&without, &seen(200, &[("content-type", "application/octet-stream")], 1), &[]).is_empty());
    assert_eq!(differences(&without, &seen(200, &[("content-type", "text/plain")], 1), &[]), ["header content-type"]);
}

#[test]
fn the_budget_is_for_a_minute() {
    let budget = Budget::default();
    let at = Duration::from_secs;
    assert!(budget.spend(at(0), 60, 100));
    assert!(!budget.spend(at(1), 60, 100));
    assert!(budget.spend(at(2), 40, 100));
    assert!(!budget.spend(at(59), 1, 100));
    assert!(budget.spend(at(60), 100, 100));
    assert!(!budget.spend(at(60), u64::MAX, 100));
}

#[test]
fn takes_about_the_share_it_is_told() {
    let sampler = Sampler::new(1);
    let taken = (0..10_000).filter(|_| sampler.takes(1_000)).count();
    assert!((900..1_100).contains(&taken), "{taken}");
    assert!((0..1_000).all(|_| !sampler.takes(0)));
    assert!((0..1_000).all(|_| sampler.takes(10_000)));
}

#[test]
fn the_last_32_mismatches_are_kept() {
    let mismatches = Mismatches::default();
    for id in 0..40 {
        let (method, path) = ("GET".to_owned(), "/".to_owned());
        mismatches.push(Mismatch { id, method, path, transport: "p2p", differences: Vec::new() });
    }
    let ids: Vec<u64> = mismatches.newest_first().iter().map(|mismatch| mismatch.id).collect();
    assert_eq!(ids, (8..40).rev().collect::<Vec<_>>());
}

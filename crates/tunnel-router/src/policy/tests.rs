//! Tests of the policy.

use http::Method;
use proptest::prelude::*;
use serde_json::Value;

use super::{BUCKETS, Choice, Mode, PathPattern, PatternError, Policy, Rule, Source, bucket, in_query};
use crate::config::basis_points;

#[test]
fn buckets_are_those_of_the_vectors() {
    let vectors: Value = serde_json::from_str(include_str!("../../../../spec/vectors/rollout.json")).unwrap();
    assert_eq!(vectors["buckets"], u64::from(BUCKETS));
    let clients = vectors["clients"].as_array().unwrap();
    assert!(clients.len() > 10);
    for client in clients {
        let client_id = client["client_id"].as_str().unwrap();
        assert_eq!(u64::from(bucket(client_id)), client["bucket"], "{client_id:?}");
    }
}

#[test]
fn a_percentage_takes_about_its_share_of_clients() {
    for percent in [1.0, 12.5, 50.0, 99.0] {
        let taken = (0..20_000).filter(|n| bucket(&format!("client-{n}")) < basis_points(percent)).count();
        let share = f64::from(u32::try_from(taken).unwrap()) / 200.0;
        assert!((share - percent).abs() < 1.5, "{share} instead of {percent}");
    }
}

#[test]
fn modes_are_read_by_their_names() {
    for mode in [Mode::Legacy, Mode::P2pFirst, Mode::P2pOnly] {
        assert_eq!(mode.to_string().parse(), Ok(mode));
        assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
    }
    let error = "p2p".parse::<Mode>().unwrap_err();
    assert_eq!(error.to_string(), "\"p2p\" is no mode: use legacy, p2p-first or p2p-only");
}

#[test]
fn patterns_match_what_they_say() {
    for (pattern, path, matches) in [
        ("/ws", "/ws", true),
        ("/ws", "/ws/", false),
        ("/ws", "/w%73", true),
        ("/files/**", "/files", true),
        ("/files/**", "/files/", true),
        ("/files/**", "/files/a/b", true),
        ("/files/**", "/files2", false),
        ("/files/**", "/Files/a", false),
        ("/files/**", "/%66iles%2Fa", true),
        ("/files**", "/files2", true),
        ("/a%20b", "/a b", true),
        ("/**", "/", true),
        ("/**", "/a", true),
        ("/**", "*", false),
    ] {
        let read: PathPattern = pattern.parse().unwrap();
        assert_eq!(read.matches(path), matches, "{pattern} {path}");
        assert_eq!(read.to_string(), pattern);
    }
    assert!(matches!("files".parse::<PathPattern>(), Err(PatternError::NoSlash(_))));
    assert!(matches!("/*/a".parse::<PathPattern>(), Err(PatternError::Star(_))));
    assert!(matches!("/a*".parse::<PathPattern>(), Err(PatternError::Star(_))));
    assert!(matches!("/a?b".parse::<PathPattern>(), Err(PatternError::Query(_))));
}

#[test]
fn the_client_id_is_read_as_the_gateway_reads_it() {
    for (query, client_id) in [
        ("clientId=a", Some("a")),
        ("x=1&client%49d=a%20b+c&clientId=z", Some("a b+c")),
        ("clientId", Some("")),
        ("clientid=a&xclientId=b", None),
        ("", None),
    ] {
        assert_eq!(in_query(query).as_deref(), client_id, "{query}");
    }
}

fn mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Legacy, Mode::P2pFirst, Mode::P2pOnly])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn raising_the_percentage_takes_nobody_out(client_id: String, low in 0u16..=10_000, high in 0u16..=10_000) {
        let (low, high) = (low.min(high), low.max(high));
        let choose = |rollout| {
            let policy = Policy { kill_switch: false, forced: None, rules: &[], rollout, mode: Mode::P2pOnly };
            policy.choose(&Method::GET, "/", || bucket(&client_id)).mode
        };
        if choose(low) == Mode::P2pOnly {
            prop_assert_eq!(choose(high), Mode::P2pOnly);
        }
        prop_assert_eq!(choose(0), Mode::Legacy);
        prop_assert_eq!(choose(10_000), Mode::P2pOnly);
    }

    #[test]
    fn the_first_that_speaks_decides(
        kill_switch: bool,
        forced in prop::option::of(mode()),
        rule_mode in mode(),
        rule_matches: bool,
        bucket in 0u16..10_000,
        rollout in 0u16..=10_000,
        config in mode(),
    ) {
        let rules = [Rule { path: "/a".parse().unwrap(), methods: vec![Method::GET], mode: rule_mode }];
        let policy = Policy { kill_switch, forced, rules: &rules, rollout, mode: config };
        let choice = policy.choose(&Method::GET, if rule_matches { "/a" } else { "/b" }, || bucket);
        let expected = match (kill_switch, forced, rule_matches, bucket < rollout) {
            (true, ..) => (Mode::Legacy, Source::KillSwitch),
            (_, Some(mode), ..) => (mode, Source::Override),
            (_, _, true, _) => (rule_mode, Source::Rule),
            (.., false) => (Mode::Legacy, Source::Rollout),
            _ => (config, Source::Mode),
        };
        let rule = (expected.1 == Source::Rule).then_some(0);
        prop_assert_eq!(choice, Choice { mode: expected.0, source: expected.1, rule });
        prop_assert_eq!(policy.choose(&Method::PUT, "/a", || bucket).rule, None);
    }
}

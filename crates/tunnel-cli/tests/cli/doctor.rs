//! `tunnel-p2p doctor`, on loopback: nothing leaves the machine.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use serde_json::Value;

use crate::{
    support::{Process, home, run, write},
    tunnel::HostSetup,
};

/// What it found, what it came to, and its exit code.
fn doctor(home: &Path, args: &[&str]) -> (Vec<Value>, Value, Option<i32>) {
    let always = ["doctor", "--json", "--bind", "127.0.0.1"];
    let output = run(home, &[&always, args].concat());
    let lines = String::from_utf8(output.stdout).expect("stdout is text");
    let mut events: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("stdout is JSON")).collect();
    let verdict = events.pop().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(verdict["event"], "verdict", "{lines}");
    assert!(events.iter().all(|event| event["event"] == "check"), "{lines}");
    (events, verdict, output.status.code())
}

fn check<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no check {name}: {checks:#?}"))
}

#[test]
fn without_a_relay_this_machine_alone_is_looked_at() {
    let home = home();
    let (checks, verdict, code) = doctor(home.path(), &[]);
    assert_eq!((code, &verdict["verdict"]), (Some(0), &"unknown".into()), "{checks:#?}");
    assert!(verdict["next"].as_str().unwrap().contains("--relay n0"), "{verdict}");
    assert_eq!(check(&checks, "udp-sockets")["state"], "ok");
    assert_eq!(check(&checks, "secret-files")["state"], "ok");
    for name in ["nat", "udp", "clock", "ipv4", "ipv6", "port-mapping", "captive-portal", "configuration"] {
        assert_eq!(check(&checks, name)["state"], "not-checked", "{name}");
    }

    let text = run(home.path(), &["doctor", "--bind", "127.0.0.1"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("UDP sockets") && text.contains("Nothing is wrong on this machine"), "{text}");
}

#[test]
fn a_relay_is_reached_refuses_or_is_not_there() {
    let home = home();
    let token = write(&home.path().join("token"), 0o600, "open-sesame\n");
    let token = token.to_str().unwrap();
    let mut relay = Process::start(home.path(), &["relay", "--http", "127.0.0.1:0", "--access-token-file", token]);
    let url = relay.event("ready")["url"].as_str().expect("a URL").to_owned();

    let (checks, verdict, code) = doctor(home.path(), &["--relay", &url, "--relay-token-file", token]);
    assert_eq!((code, &verdict["verdict"]), (Some(0), &"well".into()), "{checks:#?}");
    assert_eq!(check(&checks, "relay")["state"], "ok");
    assert_eq!(check(&checks, "clock")["state"], "ok");

    let (checks, verdict, code) = doctor(home.path(), &["--relay", &url, "--timeout", "3s"]);
    assert_eq!((code, &verdict["verdict"]), (Some(1), &"problem".into()));
    assert!(check(&checks, "relay")["found"].as_str().unwrap().contains("access token"), "{checks:#?}");
    assert!(verdict["next"].as_str().unwrap().contains("--relay-token-file"), "{verdict}");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (checks, verdict, code) = doctor(home.path(), &["--relay", &format!("http://{free}"), "--timeout", "3s"]);
    assert_eq!((code, &verdict["verdict"]), (Some(1), &"problem".into()));
    assert_eq!(check(&checks, "relay")["state"], "failed");
    assert!(verdict["message"].as_str().unwrap().contains("cannot be reached"), "{verdict}");
    assert!(verdict["next"].as_str().unwrap().contains("whether the relay runs"), "{verdict}");
}

#[test]
fn a_configuration_and_a_key_that_are_wrong_are_found() {
    let home = home();
    let state = home.path().join(".local/state/tunnel-p2p");
    fs::create_dir_all(&state).unwrap();
    write(&state.join("host.key"), 0o600, &"ab".repeat(32));
    fs::set_permissions(state.join("host.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let (checks, verdict, code) = doctor(home.path(), &[]);
    assert_eq!((code, &verdict["problems"]), (Some(1), &1.into()), "{checks:#?}");
    assert!(verdict["next"].as_str().unwrap().contains("chmod 600"), "{verdict}");

    fs::set_permissions(state.join("host.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let file = write(&home.path().join("tunnel.toml"), 0o600, "[host]\nrelays = 'n0'\n");
    let (checks, verdict, code) = doctor(home.path(), &["--config", file.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{checks:#?}");
    assert!(verdict["next"].as_str().unwrap().contains("did you mean `relay`?"), "{verdict}");
}

#[test]
fn a_tunnel_server_and_its_token_are_tried() {
    let home = home();
    let access = write(&home.path().join("access"), 0o600, "access\n");
    let mut server = Process::start(
        home.path(),
        &["tunnel-server", "--listen", "127.0.0.1:0", "--access-token-file", access.to_str().unwrap()],
    );
    let url = server.event("ready")["url"].as_str().expect("a URL").to_owned();
    let wrong = write(&home.path().join("wrong"), 0o600, "wrong\n");
    let (checks, verdict, code) =
        doctor(home.path(), &["--tunnel", &url, "--client-id", "home", "--tunnel-token-file", wrong.to_str().unwrap()]);
    assert_eq!(check(&checks, "tunnel-server")["state"], "ok", "{checks:#?}");
    assert_eq!(check(&checks, "tunnel-token")["state"], "failed", "{checks:#?}");
    assert_eq!((code, &verdict["verdict"]), (Some(1), &"problem".into()));
}

#[test]
fn the_way_to_a_host_is_tried() {
    let (setup, host, ticket) = HostSetup::start();
    let ticket = write(&setup.home.path().join("ticket"), 0o600, &ticket);
    let peer = ["--peer-file", ticket.to_str().unwrap()];
    let (checks, verdict, code) = doctor(setup.home.path(), &peer);
    assert_eq!((code, &verdict["verdict"]), (Some(0), &"well".into()), "{checks:#?}");
    assert!(check(&checks, "peer")["found"].as_str().unwrap().contains("directly at 127.0.0.1:"), "{checks:#?}");

    host.crash();
    let (_, verdict, code) = doctor(setup.home.path(), &[&peer[..], &["--timeout", "1s"]].concat());
    assert_eq!((code, &verdict["verdict"]), (Some(5), &"unreachable".into()));
    assert!(verdict["next"].as_str().unwrap().contains("loopback"), "{verdict}");
}

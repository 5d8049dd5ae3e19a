//! `tunnel-p2p mode`: the mode of a running gateway.

use std::{fs, io::Read, path::Path};

use compat_tests::demo_service::Content;
use serde_json::{Value, json};

use crate::{
    dual::{World, by, came},
    support::{eventually, home, refused, run, send, write},
    tunnel::HostSetup,
};

/// Far more than all that lies between the service and a reader who does not read.
const LENGTH: u64 = 64 << 20;

fn mode(world: &World, admin: &str, args: &[&str]) -> Value {
    let output = run(world.home.path(), &[&["mode", "--admin", admin, "--json"], args].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("stdout is JSON")
}

#[test]
fn legacy_holds_from_the_next_request_on_and_a_download_under_way_finishes() {
    let world = World::start();
    let (_p2p, _p2p_host, ticket) = HostSetup::start();
    let _host = world.tunnel_host(&["--no-p2p"]);
    let (mut gateway, url, admin) = world.gateway(&["--ticket", &ticket, "--bind", "127.0.0.1"]);
    gateway.event("connected");
    eventually("requests go peer to peer", || came(&url) == by("p2p", "p2p-healthy"));

    // Its reader takes the head and then waits, so that the response is under way when the mode changes.
    let mut download = send(&url, &format!("/files/{LENGTH}.bin"));
    let mut received = vec![0; 4096];
    download.read_exact(&mut received).unwrap();
    assert!(String::from_utf8_lossy(&received).contains("x-tunnel-transport: p2p"), "it begins peer to peer");

    let answer = mode(&world, &admin, &["legacy"]);
    assert_eq!((&answer["event"], &answer["changed"]), (&json!("mode"), &json!(true)));
    assert_eq!((&answer["before"]["mode"], &answer["before"]["source"]), (&json!("p2p-first"), &json!("mode")));
    assert_eq!((&answer["after"]["mode"], &answer["after"]["source"]), (&json!("legacy"), &json!("override")));
    assert_eq!(came(&url), by("legacy", "override"));

    download.read_to_end(&mut received).unwrap();
    let body = received.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    assert_eq!((received.len() - body) as u64, LENGTH);
    let whole: Vec<u8> = Content::new(LENGTH).pieces(0..LENGTH).flatten().collect();
    assert!(received[body..] == whole[..], "every byte is right");

    let again = run(world.home.path(), &["mode", "legacy", "--admin", &admin]);
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(String::from_utf8(again.stdout).unwrap(), "legacy (set by hand), as before\n");
    assert!(String::from_utf8(again.stderr).unwrap().contains("mode policy"));
    assert_eq!(mode(&world, &admin, &["policy"])["after"]["source"], "mode");
    assert_eq!(came(&url), by("p2p", "p2p-healthy"));
    assert_eq!(mode(&world, &admin, &[])["changed"], false, "showing changes nothing");
}

#[test]
fn the_kill_switch_is_stronger_and_its_file_is_named() {
    let world = World::start();
    let (_p2p, _p2p_host, ticket) = HostSetup::start();
    let _host = world.tunnel_host(&["--no-p2p"]);
    let file = world.home.path().join("no-p2p").to_str().unwrap().to_owned();
    let args = ["--ticket", &ticket, "--bind", "127.0.0.1", "--kill-switch-file", &file];
    let (mut gateway, url, admin) = world.gateway(&args);
    gateway.event("connected");
    eventually("requests go peer to peer", || came(&url) == by("p2p", "p2p-healthy"));

    let answer = mode(&world, &admin, &["p2p-only", "--kill-switch", "on"]);
    let after = &answer["after"];
    assert_eq!((&after["mode"], &after["source"]), (&json!("legacy"), &json!("kill-switch")));
    assert_eq!((&after["override"], &after["kill_switch"]), (&json!("p2p-only"), &json!(true)));
    assert_eq!(came(&url), by("legacy", "kill-switch"));
    let shown = run(world.home.path(), &["mode", "policy", "--kill-switch", "off", "--admin", &admin]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown, "legacy (the kill switch is on) → p2p-first (as configured)\n");
    assert_eq!(came(&url), by("p2p", "p2p-healthy"));

    write(Path::new(&file), 0o600, "");
    let message = refused(world.home.path(), 1, &["mode", "--kill-switch", "off", "--admin", &admin], &[]);
    assert!(message.contains(&format!("rm {file}")), "{message}");
    fs::remove_file(&file).unwrap();
    assert_eq!(mode(&world, &admin, &[])["after"]["kill_switch"], false);
}

#[test]
fn what_cannot_be_set_is_refused_with_what_to_do() {
    let home = home();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let message = refused(home.path(), 3, &["mode", "legacy"], &[("TUNNEL_P2P_MODE_ADMIN", &free)]);
    for part in [&free, "tunnel-p2p gateway --admin 127.0.0.1:8018", "SIGUSR1"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let message = refused(home.path(), 2, &["mode", "fast", "--admin", &free], &[]);
    assert!(message.contains("p2p-first") && message.contains("policy"), "{message}");

    let world = World::start();
    let host = world.tunnel_host(&["--no-p2p", "--admin", "127.0.0.1:0"]);
    // The event `tunnel` came after it.
    let admin = host.seen("ready")["admin"].as_str().expect("a URL").to_owned();
    let message = refused(world.home.path(), 1, &["mode", "legacy", "--admin", &admin], &[]);
    assert!(message.contains("is a host") && message.contains("gateway"), "{message}");
    let status = run(world.home.path(), &["status", "--decisions", "--admin", &admin]);
    assert_eq!(status.status.code(), Some(0));
    assert!(String::from_utf8(status.stderr).unwrap().contains("A host makes no decisions"));

    let (_gateway, url, admin) = world.gateway(&["--no-pairing"]);
    let message = refused(world.home.path(), 1, &["mode", "p2p-only", "--admin", &admin], &[]);
    assert!(message.contains("--ticket-file"), "{message}");
    assert_eq!(came(&url), by("legacy", "only-transport"), "nothing has changed");
}

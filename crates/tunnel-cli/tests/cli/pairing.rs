//! Tunnel server, host and a gateway without a ticket, as processes.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    dual::{World, by, came},
    support::{Process, eventually, get, home, post, refused, run},
    tunnel::HostSetup,
};

/// A home of its own for the gateway, as on another machine.
struct Away {
    home: TempDir,
}

impl Away {
    fn new() -> Self {
        Self { home: home() }
    }

    fn gateway(&self, world: &World, more: &[&str]) -> (Process, String) {
        let mut gateway = Process::start(self.home.path(), &args(world, more).each_ref_str());
        let url = gateway.event("ready")["url"].as_str().expect("a URL").to_owned();
        (gateway, url)
    }

    fn refused(&self, world: &World, code: i32, more: &[&str]) -> String {
        refused(self.home.path(), code, &args(world, more).each_ref_str(), &[])
    }
}

trait EachRefStr {
    fn each_ref_str(&self) -> Vec<&str>;
}

impl EachRefStr for Vec<String> {
    fn each_ref_str(&self) -> Vec<&str> {
        self.iter().map(String::as_str).collect()
    }
}

/// A gateway that has a tunnel server and no ticket.
fn args(world: &World, more: &[&str]) -> Vec<String> {
    let token = world.path(".local/state/tunnel-p2p/host.tunnel-token");
    let args = ["gateway", "--profile", "plain", "--listen", "127.0.0.1:0", "--bind", "127.0.0.1", "--name", "phone"];
    let tunnel = ["--client-id", "home", "--tunnel", &world.tunnel, "--tunnel-token-file", &token];
    [&args[..], &tunnel, more].concat().into_iter().map(str::to_owned).collect()
}

/// A host on both ways, and its peer id.
fn host(world: &World, more: &[&str]) -> (Process, String, String) {
    let args = ["host", "--service", &world.service, "--profile", "plain", "--bind", "127.0.0.1", "--port", "0"];
    let access = world.path("access");
    let tunnel = ["--client-id", "home", "--tunnel", &world.tunnel, "--tunnel-access-token-file", &access];
    let mut host = Process::start(world.home.path(), &[&args[..], &tunnel, &["--admin", "127.0.0.1:0"], more].concat());
    let ready = host.event("ready");
    let text = |key: &str| ready[key].as_str().expect("text").to_owned();
    assert_eq!(host.event("tunnel")["state"], "connected");
    (host, text("peer_id"), text("admin"))
}

/// `tunnel-p2p peers ..` at the home of host or gateway, and what it said in JSON.
fn peers(home: &Path, args: &[&str]) -> Value {
    let output = run(home, &[&["peers"], args, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {output:?}"))
}

fn p2p() -> (u16, String, String) {
    by("p2p", "p2p-healthy")
}

fn legacy() -> (u16, String, String) {
    by("legacy", "p2p-down")
}

/// Waits for this message of a gateway.
fn says(gateway: &mut Process, part: &str) {
    loop {
        let message = gateway.event("down")["message"].as_str().expect("a message").to_owned();
        if message.contains(part) {
            return;
        }
    }
}

#[test]
fn a_gateway_finds_its_host_through_the_tunnel_server_and_needs_it_no_more() {
    let world = World::start();
    let (_host, peer_id, admin) = host(&world, &[]);
    let away = Away::new();
    let (mut gateway, url) = away.gateway(&world, &[]);
    assert_eq!(came(&url).0, 200, "requests do not wait for the pairing");
    assert_eq!(gateway.event("paired")["host"], peer_id.as_str());
    eventually("requests go peer to peer", || came(&url) == p2p());

    let list = peers(world.home.path(), &["list"]);
    let peer = &list["peers"][0];
    assert_eq!((&peer["name"], &peer["state"], &peer["how"]), (&"phone".into(), &"allowed".into(), &"tunnel".into()));
    assert_eq!(peers(away.home.path(), &["list"])["hosts"][0]["peer"], peer_id.as_str());
    let shown = run(world.home.path(), &["peers", "list"]);
    assert!(String::from_utf8(shown.stdout).unwrap().contains("phone"));
    let status = get(&admin, "/status").json();
    assert_eq!(status["p2p"]["clients"][0]["name"], "phone");
    gateway.signal("INT");
    assert_eq!(gateway.exit_code(), Some(0));

    let World { home, service: _, tunnel, server } = world;
    server.crash();
    let token = home.path().join(".local/state/tunnel-p2p/host.tunnel-token");
    let token = token.to_str().unwrap();
    let args = ["gateway", "--profile", "plain", "--listen", "127.0.0.1:0", "--bind", "127.0.0.1"];
    let through = ["--client-id", "home", "--tunnel", &tunnel, "--tunnel-token-file", token];
    let mut gateway = Process::start(away.home.path(), &[&args[..], &through].concat());
    let url = gateway.event("ready")["url"].as_str().unwrap().to_owned();
    eventually("requests go peer to peer without the tunnel server", || came(&url) == p2p());
}

#[test]
fn a_revoked_gateway_is_cut_off_at_once_and_does_not_come_back_by_itself() {
    let world = World::start();
    let (_host, _, admin) = host(&world, &[]);
    let away = Away::new();
    let (mut gateway, url) = away.gateway(&world, &[]);
    eventually("requests go peer to peer", || came(&url) == p2p());

    let revoked = run(world.home.path(), &["peers", "revoke", "phone"]);
    assert_eq!(revoked.status.code(), Some(0), "{revoked:?}");
    let message = String::from_utf8(revoked.stderr).unwrap();
    assert!(message.contains("id --new-secret") && message.contains("--no-pairing"), "{message}");
    says(&mut gateway, "has been revoked");
    eventually("the host has no client left", || {
        get(&admin, "/status").json()["p2p"]["clients"].as_array().unwrap().is_empty()
    });
    assert_eq!(came(&url), legacy());

    gateway.signal("INT");
    assert_eq!(gateway.exit_code(), Some(0));
    let (mut gateway, url) = away.gateway(&world, &[]);
    says(&mut gateway, "has been revoked");
    assert_eq!(came(&url), legacy());
    // One that has forgotten its host asks to be paired, with the same key.
    gateway.crash();
    peers(away.home.path(), &["forget", "home"]);
    let (mut gateway, url) = away.gateway(&world, &[]);
    says(&mut gateway, "has been revoked at this host");
    assert_eq!(came(&url), legacy());
    assert_eq!(peers(world.home.path(), &["list"])["peers"][0]["state"], "revoked");

    peers(world.home.path(), &["allow", "phone"]);
    eventually("it comes back when it may", || came(&url) == p2p());
}

#[test]
fn a_host_with_another_key_is_refused_until_a_person_agrees() {
    let world = World::start();
    let (first, old, _) = host(&world, &[]);
    let away = Away::new();
    let (mut gateway, url) = away.gateway(&world, &[]);
    eventually("requests go peer to peer", || came(&url) == p2p());
    gateway.signal("INT");
    assert_eq!(gateway.exit_code(), Some(0));
    first.crash();
    fs::remove_file(world.path(".local/state/tunnel-p2p/host.key")).unwrap();
    let (_second, new, _) = host(&world, &[]);
    assert_ne!(new, old);

    let (mut gateway, url) = away.gateway(&world, &[]);
    says(&mut gateway, "tunnel-p2p peers forget home");
    assert_eq!(came(&url), legacy());
    assert_eq!(peers(away.home.path(), &["list"])["hosts"][0]["peer"], old.as_str());
    assert_eq!(peers(away.home.path(), &["forget", "home"])["hosts"][0]["peer"], old.as_str());
    eventually("requests go peer to peer to the new one", || came(&url) == p2p());
    assert_eq!(peers(away.home.path(), &["list"])["hosts"][0]["peer"], new.as_str());
    let message = refused(away.home.path(), 1, &["peers", "forget", "elsewhere"], &[]);
    assert!(message.contains("peers list"), "{message}");
}

#[test]
fn a_host_that_does_not_pair_leaves_the_tunnel_server_and_apps_cannot_pair_for_others() {
    let world = World::start();
    let (first, _, _) = host(&world, &["--no-pairing"]);
    let away = Away::new();
    let (mut gateway, url) = away.gateway(&world, &[]);
    says(&mut gateway, "does not pair");
    assert_eq!(came(&url), legacy());
    first.crash();
    let (_host, _, _) = host(&world, &[]);
    let stranger = format!("{{\"peer_id\":\"{}\"}}", "ab".repeat(32));
    let answer = post(&url, "/.well-known/tunnel-p2p/pair", "content-type: application/json\r\n", &stranger);
    assert_ne!(answer.status, 200, "{answer:?}");
    eventually("requests go peer to peer", || came(&url) == p2p());
    let list = peers(world.home.path(), &["list"]);
    assert_eq!(list["peers"].as_array().unwrap().len(), 1, "only the gateway itself: {list}");
}

#[test]
fn one_key_is_used_by_one_gateway_at_a_time() {
    let world = World::start();
    let (_host, _, _) = host(&world, &[]);
    let away = Away::new();
    let (mut gateway, url) = away.gateway(&world, &[]);
    eventually("requests go peer to peer", || came(&url) == p2p());
    let message = away.refused(&world, 3, &[]);
    assert!(message.contains("another gateway is running") && message.contains("--state-dir"), "{message}");

    // By ticket it goes on, as another peer.
    let (_setup, _p2p_host, ticket) = HostSetup::start();
    let second =
        ["gateway", "--profile", "plain", "--listen", "127.0.0.1:0", "--bind", "127.0.0.1", "--ticket", &ticket];
    let mut second = Process::start(away.home.path(), &second);
    let ready = second.event("ready");
    second.event("connected");
    assert_ne!(ready["peer_id"], peers(world.home.path(), &["list"])["peers"][0]["peer"]);
    gateway.signal("INT");
    assert_eq!(gateway.exit_code(), Some(0));
}

#[test]
fn a_state_directory_that_cannot_be_used_matters_only_without_a_ticket() {
    let world = World::start();
    let (_host, _, _) = host(&world, &[]);
    let away = Away::new();
    // A file in its place, which no privilege turns into a directory.
    let state = away.home.path().join("state");
    fs::write(&state, "").unwrap();
    let state = state.to_str().unwrap();
    let message = away.refused(&world, 3, &["--state-dir", state]);
    assert!(message.contains("--state-dir"), "{message}");
    let (_setup, _p2p_host, ticket) = HostSetup::start();
    let (mut gateway, url) = away.gateway(&world, &["--state-dir", state, "--ticket", &ticket]);
    gateway.event("connected");
    eventually("requests go peer to peer", || came(&url) == p2p());
}

#[test]
fn a_list_that_others_can_read_or_nobody_understands_is_refused_with_the_fix() {
    let (setup, first, ticket) = HostSetup::start();
    let away = home();
    let args = ["gateway", "--profile", "plain", "--listen", "127.0.0.1:0", "--bind", "127.0.0.1", "--ticket", &ticket];
    let mut gateway = Process::start(away.path(), &args);
    gateway.event("connected");
    let list = peers(setup.home.path(), &["list"]);
    assert_eq!(list["peers"][0]["state"], "needs the ticket");
    first.crash();
    let file = setup.home.path().join(".local/state/tunnel-p2p/peers");
    let start = ["host", "--service", "http://127.0.0.1:9", "--bind", "127.0.0.1", "--port", "0"];
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    for args in [&["peers", "list"][..], &start] {
        let message = refused(setup.home.path(), 3, args, &[]);
        assert!(message.contains("chmod 600") && message.contains("0644"), "{message}");
    }
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{good}let everybody in\n")).unwrap();
    for args in [&["peers", "revoke", "--all"][..], &start] {
        let message = refused(setup.home.path(), 3, args, &[]);
        assert!(message.contains("peers line 5") && message.contains("correct the line"), "{message}");
    }
    fs::write(&file, good).unwrap();
    assert_eq!(peers(setup.home.path(), &["revoke", "--all"])["peers"].as_array().unwrap().len(), 1);
    let message = refused(setup.home.path(), 1, &["peers", "revoke", "nobody"], &[]);
    assert!(message.contains("peers list"), "{message}");
}

//! Tunnel server, hosts and gateways as processes: the two ways beside each other.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    support::{Process, eventually, get, home, post, refused, run, service, write},
    tunnel::HostSetup,
};

const ADMIN: &str = "x-tunnel-admin: 1\r\n";
const CLIENT_ID: &str = "home";

/// A tunnel server, a service, and what hosts and gateways need to know of them.
pub(crate) struct World {
    pub(crate) home: TempDir,
    pub(crate) service: String,
    pub(crate) tunnel: String,
    pub(crate) server: Process,
}

impl World {
    pub(crate) fn start() -> Self {
        let home = home();
        write(&home.path().join("access"), 0o600, "open-sesame\n");
        let database = home.path().join("tunnel.db");
        let (server, tunnel) = server(&home, "127.0.0.1:0", &database);
        Self { home, service: format!("http://{}", service()), tunnel, server }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().expect("text").to_owned()
    }

    /// A host at the tunnel server, which registers at its first start.
    pub(crate) fn tunnel_host(&self, more: &[&str]) -> Process {
        let access = self.path("access");
        let args = ["host", "--service", &self.service, "--profile", "plain", "--bind", "127.0.0.1", "--port", "0"];
        let tunnel = ["--client-id", CLIENT_ID, "--tunnel", &self.tunnel, "--tunnel-access-token-file", &access];
        let mut host = Process::start(self.home.path(), &[&args[..], &tunnel, more].concat());
        assert_eq!(host.event("tunnel")["state"], "connected");
        host
    }

    /// A gateway that has the tunnel server, and what else is given.
    pub(crate) fn gateway(&self, more: &[&str]) -> (Process, String, String) {
        let token = self.path(".local/state/tunnel-p2p/host.tunnel-token");
        let args = ["gateway", "--profile", "plain", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let tunnel = ["--client-id", CLIENT_ID, "--tunnel", &self.tunnel, "--tunnel-token-file", &token];
        let mut gateway = Process::start(self.home.path(), &[&args[..], &tunnel, more].concat());
        let ready = gateway.event("ready");
        let url = |key: &str| ready[key].as_str().expect("a URL").to_owned();
        let (url, admin) = (url("url"), url("admin"));
        (gateway, url, admin)
    }
}

fn server(home: &TempDir, listen: &str, database: &Path) -> (Process, String) {
    let access = home.path().join("access");
    let (access, database) = (access.to_str().expect("text"), database.to_str().expect("text"));
    let args = ["tunnel-server", "--listen", listen, "--access-token-file", access, "--database", database];
    let mut server = Process::start(home.path(), &args);
    let url = server.event("ready")["url"].as_str().expect("a URL").to_owned();
    (server, url)
}

/// How a request came, and why.
pub(crate) fn came(url: &str) -> (u16, String, String) {
    let answer = get(url, "/files/1000.bin");
    (answer.status, answer.header("x-tunnel-transport").to_owned(), answer.header("x-tunnel-reason").to_owned())
}

pub(crate) fn by(transport: &str, reason: &str) -> (u16, String, String) {
    (200, transport.to_owned(), reason.to_owned())
}

#[test]
fn a_host_registers_once_and_keeps_its_token_to_itself() {
    let world = World::start();
    let host = world.tunnel_host(&["--no-p2p"]);
    let file = world.home.path().join(".local/state/tunnel-p2p/host.tunnel-token");
    let token = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    host.crash();

    // Without the access token: the one that is kept is enough.
    let args = ["host", "--service", &world.service, "--no-p2p", "--client-id", CLIENT_ID, "--tunnel", &world.tunnel];
    let mut again = Process::start(world.home.path(), &args);
    assert_eq!(again.event("tunnel")["state"], "connected");
    assert_eq!(fs::read_to_string(&file).unwrap(), token);
    again.signal("INT");
    assert_eq!(again.exit_code(), Some(0));

    // Under another name it would have to register.
    let message = refused(world.home.path(), 2, &[&args[..5], &["other"], &args[6..]].concat(), &[]);
    assert!(message.contains("not registered") && message.contains("--tunnel-access-token-file"), "{message}");
    let message = refused(world.home.path(), 2, &["host", "--service", "http://127.0.0.1:9", "--no-p2p"], &[]);
    assert!(message.contains("--tunnel URL"), "{message}");
}

#[test]
fn without_a_ticket_everything_takes_the_tunnel_server() {
    let world = World::start();
    let _host = world.tunnel_host(&["--no-p2p"]);
    let (mut gateway, url, admin) = world.gateway(&["--no-pairing"]);
    assert_eq!(gateway.event("connected")["path"], "server");
    assert_eq!(came(&url), by("legacy", "only-transport"));
    let answer = post(&url, "/api/echo", "content-type: application/json\r\n", "{\"a\":1}");
    assert_eq!((answer.status, answer.header("x-demo-method")), (200, "POST"));
    let target = |path| get(&url, path).json()["target"].as_str().expect("a target").to_owned();
    assert_eq!(target("/api/echo"), "/api/echo", "the service does not see whom the tunnel server was to ask");
    assert_eq!(target("/api/echo?clientId=home&a=1"), "/api/echo?a=1");
    let answer = post(&url, "/upload", "", "no JSON");
    assert_eq!((answer.status, answer.header("x-tunnel-outcome")), (502, "not-executed"), "{answer:?}");
    let status = run(world.home.path(), &["status", "--admin", &admin]);
    assert_eq!(status.status.code(), Some(4), "it works, but not peer to peer");
    let shown = String::from_utf8(status.stdout).unwrap();
    assert!(shown.contains("no ticket is given") && shown.contains("requests go by legacy"), "{shown}");
}

#[test]
fn a_gateway_falls_back_and_comes_back() {
    let world = World::start();
    let (p2p, p2p_host, ticket) = HostSetup::start();
    let _host = world.tunnel_host(&["--no-p2p"]);
    let (mut gateway, url, admin) = world.gateway(&["--ticket", &ticket, "--bind", "127.0.0.1"]);
    gateway.event("connected");
    eventually("requests go peer to peer", || came(&url) == by("p2p", "p2p-healthy"));
    assert_eq!(run(world.home.path(), &["status", "--admin", &admin]).status.code(), Some(0));

    p2p_host.crash();
    eventually("requests take the tunnel server", || {
        let came = came(&url);
        assert_eq!(came.0, 200, "nobody sees the difference: {came:?}");
        came == by("legacy", "p2p-down")
    });
    assert_eq!(get(&admin, "/status").json()["health"]["transport"], "legacy");

    let (_p2p_host, same, _) = p2p.host();
    assert_eq!(same, ticket);
    eventually("requests go peer to peer again", || came(&url) == by("p2p", "p2p-healthy"));
}

#[test]
fn the_kill_switch_holds_from_the_next_request_on() {
    let world = World::start();
    let (_p2p, _p2p_host, ticket) = HostSetup::start();
    let _host = world.tunnel_host(&["--no-p2p"]);
    let file = world.path("no-p2p");
    let args = ["--ticket", &ticket, "--bind", "127.0.0.1", "--kill-switch-file", &file];
    let (mut gateway, url, admin) = world.gateway(&args);
    gateway.event("connected");
    eventually("requests go peer to peer", || came(&url) == by("p2p", "p2p-healthy"));
    for _ in 0..5 {
        write(Path::new(&file), 0o600, "");
        assert_eq!(came(&url), by("legacy", "kill-switch"));
        fs::remove_file(&file).unwrap();
        assert_eq!(came(&url), by("p2p", "p2p-healthy"));
    }
    gateway.signal("USR1");
    eventually("the signal turns it on", || came(&url) == by("legacy", "kill-switch"));
    gateway.signal("USR1");
    eventually("the signal turns it off", || came(&url) == by("p2p", "p2p-healthy"));

    assert_eq!(post(&admin, "/kill-switch", ADMIN, "{\"on\":true}").json()["on"], true);
    assert_eq!(came(&url), by("legacy", "kill-switch"));
    assert_eq!(post(&admin, "/kill-switch", ADMIN, "{\"on\":false}").json()["on"], false);
    assert_eq!(post(&admin, "/mode", ADMIN, "{\"mode\":\"legacy\"}").status, 200);
    assert_eq!(came(&url), by("legacy", "override"));
    let explained = run(world.home.path(), &["explain", "--admin", &admin, "--path", "/x"]);
    assert!(String::from_utf8(explained.stdout).unwrap().contains("an operator has set it"));
    assert_eq!(post(&admin, "/mode", ADMIN, "{\"mode\":\"policy\"}").status, 200);
    assert_eq!(came(&url), by("p2p", "p2p-healthy"));
    write(Path::new(&file), 0o600, "");
    let off = post(&admin, "/kill-switch", ADMIN, "{\"on\":false}").json();
    assert_eq!((&off["on"], &off["file_exists"]), (&json!(true), &json!(true)), "the file is stronger");
}

#[test]
fn the_file_is_read_again_and_a_bad_one_changes_nothing() {
    let world = World::start();
    let (_p2p, _p2p_host, ticket) = HostSetup::start();
    let _host = world.tunnel_host(&["--no-p2p"]);
    let file = write(Path::new(&world.path("t.toml")), 0o600, "[gateway]\nrollout = 100\n");
    let config = file.to_str().unwrap().to_owned();
    let args = ["--ticket", &ticket, "--bind", "127.0.0.1", "--config", &config];
    let (mut gateway, url, admin) = world.gateway(&args);
    gateway.event("connected");
    eventually("requests go peer to peer", || came(&url) == by("p2p", "p2p-healthy"));

    // By itself, when the file has changed.
    write(&file, 0o600, "[gateway]\nrollout = 0\n");
    assert_eq!(gateway.event("reloaded")["changed"], true);
    assert_eq!(came(&url), by("legacy", "rollout"));

    write(&file, 0o600, "[gateway]\nrollout = 'none'\n");
    let message = gateway.event("not-reloaded")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("`rollout` in [gateway]"), "{message}");
    assert_eq!(came(&url), by("legacy", "rollout"), "the old one holds");
    let refused = post(&admin, "/reload", ADMIN, "");
    assert_eq!(refused.status, 422, "{refused:?}");
    let last = get(&admin, "/status").json()["configuration"]["last_error"].as_str().unwrap().to_owned();
    assert!(last.contains("`rollout` in [gateway]"), "{last}");

    write(&file, 0o600, "[gateway]\nmode = 'p2p-only'\nlisten = '127.0.0.1:1'\nrule = '/files/2*='\n");
    gateway.signal("HUP");
    gateway.event("not-reloaded");
    write(&file, 0o600, "[gateway]\nlisten = '127.0.0.1:1'\nrule = '/files/**=p2p-only'\n");
    gateway.signal("HUP");
    let reloaded = gateway.event("reloaded");
    assert_eq!(reloaded["needs_restart"], json!([]), "a flag is stronger than the file's `listen`");
    assert_eq!(came(&url), by("p2p", "rule"));
    gateway.signal("INT");
    assert_eq!(gateway.exit_code(), Some(0));
}

#[test]
fn a_new_client_id_in_the_file_waits_for_a_restart_as_a_whole() {
    let world = World::start();
    let file = write(Path::new(&world.path("t.toml")), 0o600, "[gateway]\nclient-id = 'home'\n");
    let config = file.to_str().unwrap().to_owned();
    let args = ["gateway", "--profile", "plain", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let tunnel = ["--tunnel", &world.tunnel, "--config", &config];
    let mut gateway = Process::start(world.home.path(), &[&args[..], &tunnel].concat());
    let admin = gateway.event("ready")["admin"].as_str().expect("a URL").to_owned();
    write(&file, 0o600, "[gateway]\nclient-id = 'other'\n");
    gateway.signal("HUP");
    assert_eq!(gateway.event("reloaded")["needs_restart"], json!(["client-id"]));
    let asked = get(&admin, "/explain?path=/a").json();
    assert_eq!(asked["client_id"], CLIENT_ID, "also for the rollout");
}

#[test]
fn one_host_serves_both_ways_and_tells_its_state() {
    let world = World::start();
    let mut host = Process::start(
        world.home.path(),
        &[
            &["host", "--service", &world.service, "--profile", "plain", "--bind", "127.0.0.1", "--port", "0"][..],
            &["--client-id", CLIENT_ID, "--tunnel", &world.tunnel, "--admin", "127.0.0.1:0"],
            &["--tunnel-access-token-file", &world.path("access")],
        ]
        .concat(),
    );
    let ready = host.event("ready");
    let (ticket, admin) = (ready["ticket"].as_str().unwrap(), ready["admin"].as_str().unwrap().to_owned());
    host.event("tunnel");
    let (mut gateway, url, _) = world.gateway(&["--ticket", ticket, "--bind", "127.0.0.1"]);
    assert_eq!(gateway.event("connected")["client_id"], CLIENT_ID);
    eventually("requests go peer to peer", || came(&url) == by("p2p", "p2p-healthy"));
    assert_eq!(run(world.home.path(), &["status", "--admin", &admin]).status.code(), Some(0));
    let status = get(&admin, "/status").json();
    assert_eq!(status["p2p"]["clients"][0]["path"], "direct");
    assert_eq!(status["tunnel"]["health"]["state"], "healthy");
    assert!(!status.to_string().contains(ticket));

    assert_eq!(post(&admin, "/drain", ADMIN, "").status, 200);
    assert_eq!(host.event("stopped")["drained"], true);
    assert_eq!(host.exit_code(), Some(0));
}

#[test]
fn a_tunnel_server_that_was_replaced_gets_to_know_the_host_again() {
    let world = World::start();
    let mut host = world.tunnel_host(&["--no-p2p"]);
    let World { home, service: _, tunnel, server: old } = world;
    old.crash();
    assert_eq!(host.event("tunnel")["state"], "down");
    let listen = tunnel.strip_prefix("http://").unwrap();
    let (_server, _) = server(&home, listen, &home.path().join("fresh.db"));
    // Nobody is there, then its token is not known there: how often it says so is a question of time.
    let mut told = host.event("tunnel");
    assert_eq!(told["state"], "down");
    while told["state"] == "down" {
        told = host.event("tunnel");
    }
    assert_eq!(told["state"], "connected");
}

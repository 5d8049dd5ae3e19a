//! The admin endpoint, and the commands that ask it.

use std::io::{Read, Write};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    support::{Answer, Process, eventually, get, home, post, refused, run, write},
    tunnel::{HostSetup, works},
};

const ADMIN: &str = "x-tunnel-admin: 1\r\n";

/// A gateway with an admin endpoint, and both URLs.
fn gateway(home: &TempDir, ticket: &str, more: &[&str]) -> (Process, String, String) {
    let args = ["gateway", "--ticket", ticket, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let options = ["--profile", "plain", "--bind", "127.0.0.1"];
    let mut gateway = Process::start(home.path(), &[&args[..], &options, more].concat());
    let ready = gateway.event("ready");
    let url = |key: &str| ready[key].as_str().expect("a URL").to_owned();
    let (url, admin) = (url("url"), url("admin"));
    (gateway, url, admin)
}

fn tell(admin: &str, path: &str, body: &Value) -> Answer {
    post(admin, path, ADMIN, &body.to_string())
}

#[test]
fn status_tells_how_a_gateway_is_and_its_exit_code_says_it_in_short() {
    let (_setup, host, ticket) = HostSetup::start();
    let home = home();
    let (mut gateway, url, admin) = gateway(&home, &ticket, &[]);
    gateway.event("connected");
    assert!(works(&url));

    let status = get(&admin, "/status");
    assert_eq!((status.status, status.header("cache-control")), (200, "no-store"));
    assert_eq!(status.header("access-control-allow-origin"), "");
    let status = status.json();
    assert_eq!(
        status["health"],
        json!({ "state": "healthy", "transport": "p2p", "path": "direct", "client_id": null })
    );
    assert_eq!(status["url"], url.as_str());
    assert_eq!(status["kill_switch"]["on"], false);
    assert!(!status.to_string().contains(&ticket), "the ticket is a secret");
    let decisions = get(&admin, "/decisions").json();
    assert_eq!(decisions["decisions"][0]["path"], "/files/65537.bin");
    assert_eq!(decisions["decisions"][0]["transport"], "p2p");
    let explanation = get(&admin, "/explain?path=/x&method=POST&client_id=c").json();
    assert_eq!((&explanation["client_id"], &explanation["transport"]), (&json!("c"), &json!("p2p")));

    let shown = run(home.path(), &["status", "--admin", &admin, "--decisions"]);
    assert_eq!(shown.status.code(), Some(0));
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("requests go by p2p, path direct") && shown.contains("/files/65537.bin"), "{shown}");
    let explained = run(home.path(), &["explain", "--admin", &admin, "--path", "/a b"]);
    assert_eq!(explained.status.code(), Some(1), "that is not a path");
    let explained = run(home.path(), &["explain", "--admin", &admin, "--path", "/a", "--json"]);
    assert!(String::from_utf8(explained.stdout).unwrap().contains("\"live\":true"));

    host.crash();
    eventually("status says that nothing works", || {
        run(home.path(), &["status", "--admin", &admin]).status.code() == Some(5)
    });
    let event = run(home.path(), &["status", "--admin", &admin, "--json"]).stdout;
    let event: Value = serde_json::from_slice(&event).unwrap();
    assert_eq!((&event["event"], &event["role"]), (&json!("status"), &json!("gateway")));
}

#[test]
fn nobody_but_programs_on_this_machine_may_use_it() {
    let home = home();
    let message = refused(home.path(), 2, &["gateway", "--ticket", "x", "--admin", "0.0.0.0:1"], &[]);
    assert!(message.contains("ticket is not valid"), "{message}");
    let (_setup, _host, ticket) = HostSetup::start();
    let message = refused(home.path(), 2, &["gateway", "--ticket", &ticket, "--admin", "0.0.0.0:0"], &[]);
    assert!(message.contains("--admin 0.0.0.0:0") && message.contains("127.0.0.1:8018"), "{message}");

    let (_gateway, _, admin) = gateway(&home, &ticket, &[]);
    assert_eq!(post(&admin, "/kill-switch", "", "{\"on\":true}").status, 403);
    assert_eq!(post(&admin, "/drain", &format!("{ADMIN}origin: http://localhost\r\n"), "").status, 403);
    let mut stream = std::net::TcpStream::connect(admin.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(b"GET /status HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    assert_eq!(get(&admin, "/nothing").json()["error"], "there is no /nothing");
    assert_eq!(get(&admin, "/drain").status, 405);
    let long = "x".repeat(10_000);
    assert_eq!(post(&admin, "/mode", ADMIN, &long).status, 413);
    assert_eq!(get(&admin, "/status").json()["draining"], false);
}

#[test]
fn mistakes_are_named_and_change_nothing() {
    let (_setup, _host, ticket) = HostSetup::start();
    let home = home();
    let (_gateway, _, admin) = gateway(&home, &ticket, &[]);
    for (path, body, hint) in [
        ("/mode", json!({ "mode": "fast" }), "p2p-first"),
        ("/mode", json!({ "modus": "legacy" }), "modus"),
        ("/mode", json!({ "mode": null }), "policy"),
        ("/mode", json!("legacy"), "body"),
        ("/kill-switch", json!({ "on": "yes" }), "body"),
    ] {
        let answer = tell(&admin, path, &body);
        assert_eq!(answer.status, 400, "{path} {body}");
        assert!(answer.json()["error"].as_str().unwrap().contains(hint), "{answer:?}");
    }
    for query in ["", "?path=files", "?path=/a&methode=GET", "?path=/a&method=%20"] {
        assert_eq!(get(&admin, &format!("/explain{query}")).status, 400, "{query}");
    }
    assert_eq!(get(&admin, "/status").json()["router"]["forced"], Value::Null);
}

#[test]
fn an_operator_can_drain_a_gateway() {
    let (_setup, _host, ticket) = HostSetup::start();
    let home = home();
    let (mut gateway, url, admin) = gateway(&home, &ticket, &[]);
    gateway.event("connected");
    // Its first event has arrived, so the request is under way.
    let mut stream = crate::support::send(&url, "/sse?count=5");
    let mut received = String::new();
    let mut piece = [0; 4096];
    while !received.contains("id: 0") {
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "the response ended early: {received}");
        received.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    assert_eq!(tell(&admin, "/drain", &json!({})).json(), json!({ "draining": true }));
    gateway.event("draining");
    assert_eq!(get(&admin, "/status").json()["draining"], true);
    stream.read_to_string(&mut received).unwrap();
    assert!(received.contains("id: 4"), "{received}");
    assert_eq!(gateway.event("stopped")["drained"], true);
    assert_eq!(gateway.exit_code(), Some(0));
}

#[test]
fn nobody_at_the_address_is_said_so_and_the_file_names_the_address() {
    let home = home();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let message = refused(home.path(), 3, &["status", "--admin", &free], &[]);
    assert!(message.contains(&free) && message.contains("--admin"), "{message}");
    let file = write(&home.path().join("t.toml"), 0o600, &format!("[gateway]\nadmin = '{free}'\n"));
    let message = refused(home.path(), 3, &["status", "--config", file.to_str().unwrap()], &[]);
    assert!(message.contains(&free), "{message}");
    let message = refused(home.path(), 2, &["status", "--admin", "somewhere"], &[]);
    assert!(message.contains("127.0.0.1:8018"), "{message}");
}

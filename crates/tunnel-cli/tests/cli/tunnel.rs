//! Host and gateway as processes.

use std::io::Read;

use tempfile::TempDir;

use crate::support::{Process, eventually, get, home, send, service};

/// What a host needs to be started again as the same host.
pub(crate) struct HostSetup {
    pub(crate) home: TempDir,
    service: String,
    port: String,
}

impl HostSetup {
    /// A new host on any free port, and its ticket.
    pub(crate) fn start() -> (Self, Process, String) {
        let mut setup = Self { home: home(), service: format!("http://{}", service()), port: "0".to_owned() };
        let (host, ticket, port) = setup.host();
        setup.port = port;
        (setup, host, ticket)
    }

    /// The host, its ticket and its port.
    pub(crate) fn host(&self) -> (Process, String, String) {
        let options = ["--profile", "plain", "--bind", "127.0.0.1"];
        let args = ["host", "--service", &self.service, "--port", &self.port];
        let mut host = Process::start(self.home.path(), &[&args[..], &options[..]].concat());
        let ready = host.event("ready");
        let address = ready["addresses"][0].as_str().expect("an address").to_owned();
        let port = address.rsplit_once(':').expect("a port").1.to_owned();
        (host, ready["ticket"].as_str().expect("a ticket").to_owned(), port)
    }
}

fn gateway(ticket: &str, listen: &str) -> (Process, String) {
    let home = home();
    let options = ["--profile", "plain", "--bind", "127.0.0.1"];
    let args = ["gateway", "--ticket", ticket, "--listen", listen];
    let mut gateway = Process::start(home.path(), &[&args[..], &options[..]].concat());
    let url = gateway.event("ready")["url"].as_str().expect("a URL").to_owned();
    (gateway, url)
}

pub(crate) fn works(url: &str) -> bool {
    let answer = get(url, "/files/65537.bin");
    answer.status == 200 && answer.body.len() == 65_537
}

#[test]
fn a_request_passes_from_gateway_to_host_and_both_drain_at_a_signal() {
    let (_setup, mut host, ticket) = HostSetup::start();
    let (mut gateway, url) = gateway(&ticket, "127.0.0.1:0");
    gateway.event("connected");
    let answer = get(&url, "/status/404");
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("x-demo-status"), "404");
    assert_eq!(answer.header("x-tunnel-transport"), "p2p");
    assert_eq!(answer.header("x-tunnel-path"), "direct");
    assert!(works(&url));

    gateway.signal("INT");
    assert_eq!(gateway.exit_code(), Some(0));
    host.signal("TERM");
    assert_eq!(host.exit_code(), Some(0));
}

#[test]
fn a_request_under_way_finishes_while_the_gateway_drains() {
    let (_setup, _host, ticket) = HostSetup::start();
    let (mut gateway, url) = gateway(&ticket, "127.0.0.1:0");
    gateway.event("connected");
    // Its first event has arrived, so the request is under way; four more take 800 ms.
    let mut stream = send(&url, "/sse?count=5");
    let mut received = String::new();
    let mut piece = [0; 4096];
    while !received.contains("id: 0") {
        let length = stream.read(&mut piece).expect("the first event");
        assert!(length > 0, "the response ended early: {received}");
        received.push_str(std::str::from_utf8(&piece[..length]).expect("text"));
    }
    gateway.signal("INT");
    gateway.event("draining");
    stream.read_to_string(&mut received).expect("the rest of the response");
    assert!(received.contains("id: 4"), "{received}");
    assert_eq!(gateway.event("stopped")["drained"], true);
    assert_eq!(gateway.exit_code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_gateway_at_once() {
    let (_setup, _host, ticket) = HostSetup::start();
    let (mut gateway, url) = gateway(&ticket, "127.0.0.1:0");
    gateway.event("connected");
    let mut stream = send(&url, "/endless");
    stream.read_exact(&mut [0; 1024]).expect("the stream begins");
    gateway.signal("INT");
    gateway.event("draining");
    gateway.signal("INT");
    assert_eq!(gateway.exit_code(), Some(130));
}

#[test]
fn the_gateway_survives_a_crash_of_the_host() {
    let (setup, host, ticket) = HostSetup::start();
    let (mut gateway, url) = gateway(&ticket, "127.0.0.1:0");
    gateway.event("connected");
    assert!(works(&url));

    host.crash();
    eventually("the gateway says that the host is gone", || {
        let answer = get(&url, "/files/1.bin");
        assert!(matches!(answer.status, 502..=504), "{answer:?}");
        assert!(!answer.header("x-tunnel-reason").is_empty(), "{answer:?}");
        answer.status == 502
    });

    let (_host, same_ticket, _) = setup.host();
    assert_eq!(same_ticket, ticket, "key, secret and port are kept");
    eventually("the gateway finds the host again", || works(&url));
}

#[test]
fn the_host_survives_a_crash_of_the_gateway() {
    let (_setup, _host, ticket) = HostSetup::start();
    let (mut first, url) = gateway(&ticket, "127.0.0.1:0");
    first.event("connected");
    assert!(works(&url));
    let mut stream = send(&url, "/endless");
    stream.read_exact(&mut [0; 1024]).expect("the stream begins");

    first.crash();
    let (mut second, url) = gateway(&ticket, "127.0.0.1:0");
    second.event("connected");
    assert!(works(&url));
    eventually("the service is rid of the stream of the first", || {
        String::from_utf8_lossy(&get(&url, "/active").body).contains("\"endless\":0")
    });
}

#[test]
fn a_rotated_secret_shuts_old_tickets_out() {
    let (setup, host, old) = HostSetup::start();
    host.crash();
    assert!(crate::support::run(setup.home.path(), &["id", "--new-secret"]).status.success());
    let (_host, new, _) = setup.host();
    assert_ne!(old, new);
    let (mut refused, url) = gateway(&old, "127.0.0.1:0");
    assert_eq!(refused.event("down")["reason"], "unauthorized");
    assert_eq!(get(&url, "/").header("x-tunnel-reason"), "unauthorized");
    let (mut admitted, url) = gateway(&new, "127.0.0.1:0");
    admitted.event("connected");
    assert!(works(&url));
}

#[test]
fn the_demo_finds_no_difference() {
    let home = home();
    let output = crate::support::run(home.path(), &["demo", "--json"]);
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{lines}");
    assert!(lines.lines().all(|line| line.starts_with('{')), "{lines}");
    assert!(lines.contains("\"differences\":0"), "{lines}");
}

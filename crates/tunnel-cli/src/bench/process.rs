//! Service, hosts, gateways and tunnel servers as processes of this same program.

mod tunnel_server;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};

use self::tunnel_server::Ways;

/// How long a process may take until it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// Lines of output that may wait to be read.
const LINES: usize = 64;

/// Clock ticks per second in `/proc/PID/stat` (`USER_HZ`): 100 on every Linux platform that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// The whole tunnel, and what it is compared with, in processes of their own. Dropping it kills them.
pub(super) struct Stack {
    /// Where the service listens.
    pub(super) service_address: SocketAddr,
    /// Where the gateway listens that goes peer to peer.
    pub(super) gateway_address: SocketAddr,
    /// Its host.
    pub(super) host: Process,
    /// The gateway.
    pub(super) gateway: Process,
    /// Through a tunnel server.
    pub(super) mended: Ways,
    /// Through a tunnel server that repeats the defects of the published one.
    pub(super) faithful: Ways,
    /// Where a gateway listens whose peer-to-peer host is down, and that goes through the mended tunnel server.
    pub(super) fallen_address: SocketAddr,
    _fallen: Process,
    _service: Process,
}

impl Stack {
    /// Starts everything; keys go to `home`. Dropping the future kills what has started.
    pub(super) async fn start(home: &Path) -> Result<Self> {
        let mut service = Process::start(home, &["bench-service"], &[])?;
        let service_address = address(&service.event("ready").await?)?;
        let url = format!("http://{service_address}");
        let (host, ticket) = peer_to_peer(home, &url).await?;
        let gateway = ["gateway", "--listen", "127.0.0.1:0", "--profile", "plain", "--bind", "127.0.0.1"];
        let mut gateway = Process::start(home, &gateway, &[("TUNNEL_P2P_GATEWAY_TICKET", &ticket)])?;
        let gateway_address = address(&gateway.event("ready").await?)?;
        gateway.event("connected").await?;
        let mended = Ways::start(home, &url, false).await.context("the tunnel server")?;
        let faithful = Ways::start(home, &url, true).await.context("the faithful tunnel server")?;
        let (dead, ticket) = peer_to_peer(home, &url).await?;
        drop(dead);
        let mut fallen = mended.gateway(home, Some(&ticket))?;
        let fallen_address = address(&fallen.event("ready").await?)?;
        fallen.event("down").await?;
        Ok(Self {
            service_address,
            gateway_address,
            host,
            gateway,
            mended,
            faithful,
            fallen_address,
            _fallen: fallen,
            _service: service,
        })
    }
}

/// A host that is reached peer to peer, and its ticket.
async fn peer_to_peer(home: &Path, service: &str) -> Result<(Process, String)> {
    let host = ["host", "--service", service, "--profile", "plain", "--bind", "127.0.0.1", "--port", "0"];
    let mut host = Process::start(home, &host, &[])?;
    let ready = host.event("ready").await?;
    let ticket = ready["ticket"].as_str().context("the host gave no ticket")?.to_owned();
    Ok((host, ticket))
}

fn address(ready: &Value) -> Result<SocketAddr> {
    let url = ready["url"].as_str().context("a process did not say where it listens")?;
    Ok(url.trim_start_matches("http://").parse()?)
}

/// A running `tunnel-p2p --json ..`. Dropping it kills it.
pub(super) struct Process {
    name: String,
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    /// Starts it in an environment of its own, so that nothing of the user's is read or written.
    fn start(home: &Path, args: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let name = args[0].to_owned();
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            .arg("--json")
            .arg("--quiet")
            .env_clear()
            .env("HOME", home)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("`{name}` did not start"))?;
        let stdout = child.stdout.take();
        let (sender, lines) = mpsc::channel(LINES);
        let process = Self { name, child, lines };
        let stdout = stdout.context("there is no pipe")?;
        // Ends with the process.
        std::thread::Builder::new().name(format!("{} output", process.name)).spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody reads on once everything is ready: what does not fit is dropped.
                _ = sender.try_send(line);
            }
        })?;
        Ok(process)
    }

    /// Waits for the next event of this name.
    async fn event(&mut self, name: &str) -> Result<Value> {
        let event = async {
            loop {
                let line = self.lines.recv().await.with_context(|| format!("`{}` ended", self.name))?;
                let event: Value = serde_json::from_str(&line)?;
                if event["event"] == name {
                    return anyhow::Ok(event);
                }
            }
        };
        timeout(READY_TIMEOUT, event).await.with_context(|| format!("no {name:?} in time"))?
    }

    /// The processor time so far, user and system, in seconds. `None` where there is no `/proc`.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The second field is the name in parentheses, and may hold spaces: count behind it. See proc_pid_stat(5).
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
    }

    /// The most memory that was ever resident, in MiB. `None` where there is no `/proc`.
    pub(super) fn peak_memory_mib(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

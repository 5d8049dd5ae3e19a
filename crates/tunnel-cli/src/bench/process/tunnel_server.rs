//! The way through a tunnel server.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context, Result, ensure};
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinSet};

use super::{Process, address};

/// With which the benchmark's host registers.
const ACCESS_TOKEN: &str = "bench";

const CLIENT_ID: &str = "bench";

/// A tunnel server, a host that it reaches, and a gateway that knows no other way.
pub(in crate::bench) struct Ways {
    /// Where the gateway listens.
    pub(in crate::bench) gateway_address: SocketAddr,
    /// The tunnel server.
    pub(in crate::bench) server: Process,
    url: String,
    token: String,
    _host: Process,
    _gateway: Process,
}

impl Ways {
    /// Starts all three. Dropping the future kills what has started.
    pub(super) async fn start(home: &Path, service: &str, faithful: bool) -> Result<Self> {
        let mut args = vec!["tunnel-server", "--listen", "127.0.0.1:0"];
        if faithful {
            args.push("--faithful");
        }
        let mut server = Process::start(home, &args, &[("TUNNEL_P2P_TUNNEL_SERVER_ACCESS_TOKEN", ACCESS_TOKEN)])?;
        let listening = address(&server.event("ready").await?)?;
        let url = format!("http://{listening}");
        let token = register(listening).await.context("registering at the tunnel server")?;
        let host = ["host", "--service", service, "--profile", "plain", "--no-p2p", "--tunnel", &url];
        let host = [&host[..], &["--client-id", CLIENT_ID]].concat();
        let mut host = Process::start(home, &host, &[("TUNNEL_P2P_HOST_TUNNEL_TOKEN", &token)])?;
        while host.event("tunnel").await?["state"] != "connected" {}
        let mut gateway = gateway(home, &url, &token, None)?;
        let gateway_address = address(&gateway.event("ready").await?)?;
        Ok(Self { gateway_address, server, url, token, _host: host, _gateway: gateway })
    }

    /// A further gateway, which tries this ticket first.
    pub(super) fn gateway(&self, home: &Path, ticket: Option<&str>) -> Result<Process> {
        gateway(home, &self.url, &self.token, ticket)
    }
}

fn gateway(home: &Path, url: &str, token: &str, ticket: Option<&str>) -> Result<Process> {
    let args = ["gateway", "--listen", "127.0.0.1:0", "--profile", "plain", "--bind", "127.0.0.1"];
    // Without a ticket the tunnel server is what is measured.
    let args = [&args[..], &["--no-pairing", "--tunnel", url, "--client-id", CLIENT_ID]].concat();
    let mut environment = vec![("TUNNEL_P2P_GATEWAY_TUNNEL_TOKEN", token)];
    environment.extend(ticket.map(|ticket| ("TUNNEL_P2P_GATEWAY_TICKET", ticket)));
    Process::start(home, &args, &environment)
}

/// A token for the client id.
async fn register(server: SocketAddr) -> Result<String> {
    let stream = TcpStream::connect(server).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async move { connection.await.is_ok() });
    let request = Request::post(format!("/auth/register-client?clientId={CLIENT_ID}"))
        .header(header::HOST, server.to_string())
        .header(header::AUTHORIZATION, format!("Bearer {ACCESS_TOKEN}"))
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    ensure!(response.status().is_success(), "the answer is {}", response.status());
    let answer: Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
    Ok(answer["token"].as_str().context("there is no token in the answer")?.to_owned())
}

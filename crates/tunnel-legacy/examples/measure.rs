//! Measures a whole tunnel on loopback: client, tunnel server and host, each on a thread of its own.
//!
//! `cargo run --release -p tunnel-legacy --features server --example measure`, with `published` behind it to leave the
//! additions of `spec/legacy.md` out.

use std::{io::Write, net::SocketAddr, sync::Arc, sync::mpsc, thread, time::Duration};

use anyhow::{Context, bail};
use async_trait::async_trait;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{runtime::Builder, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use tunnel_core::{Body, Failure, FailureKind, Handler, Request, RequestHead, Response, Transport, WsOpen, WsUpgrade};
use tunnel_legacy::{
    AuthClient, LegacyClient, LegacyConfig, LegacyHost, LegacyHostConfig, LegacyHostState, TunnelUrl,
    server::{Clock, MemoryStorage, TunnelServer, TunnelServerConfig},
};

const MIB: usize = 1 << 20;
const PIECE_BYTES: usize = 64 << 10;

fn main() -> anyhow::Result<()> {
    let extensions = std::env::args().nth(1).is_none_or(|argument| argument != "published");
    let url: TunnelUrl = format!("http://{}", server()?).parse()?;
    let access = host(url.clone(), extensions)?;
    let mut config = LegacyConfig::new(url);
    config.client_id = Some("home".to_owned());
    config.token = Some(access);
    let client = Arc::new(LegacyClient::new(config)?);
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        small(&client, 1, 2000).await?;
        small(&client, 32, 300).await?;
        large(&client, 1).await?;
        large(&client, 4).await?;
        small_beside_large(&client).await
    })
}

/// Runs the tunnel server on a thread.
fn server() -> anyhow::Result<SocketAddr> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || -> anyhow::Result<()> {
        Builder::new_current_thread().enable_all().build()?.block_on(async move {
            let config = TunnelServerConfig::new("token", Clock::starting_at(1))
                .with_listen(SocketAddr::from(([127, 0, 0, 1], 0)));
            let server = TunnelServer::bind(config, Arc::new(MemoryStorage::new())).await?;
            sender.send(server.local_addr())?;
            server.run(CancellationToken::new()).await;
            Ok(())
        })
    });
    receiver.recv().context("the tunnel server did not start")
}

/// Runs the host on a thread; returns the client access token.
fn host(url: TunnelUrl, extensions: bool) -> anyhow::Result<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || -> anyhow::Result<()> {
        Builder::new_current_thread().enable_all().build()?.block_on(async move {
            let access = AuthClient::new(url.clone())?.register("home", "token").await?;
            let mut config = LegacyHostConfig::new(url, "home", &access);
            config.extensions = extensions;
            let host = LegacyHost::start(config, Arc::new(Service))?;
            let mut state = host.state();
            while !matches!(state, LegacyHostState::Connected { .. }) {
                state = host.changed_from(&state).await;
            }
            sender.send(access)?;
            std::future::pending().await
        })
    });
    receiver.recv().context("the host did not connect")
}

/// Answers with 1 KiB, or with as many MiB as the path says.
struct Service;

#[async_trait]
impl Handler for Service {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        let RequestHead::Tunnel(head) = request.head else {
            return Err(Failure::new(FailureKind::Internal, "not in the tunnel's form"));
        };
        let Ok(mib) = head.path.parse::<usize>() else {
            return Ok(Response::new(http::StatusCode::OK, Body::full(vec![1; 1024])));
        };
        let piece = Bytes::from(vec![1; PIECE_BYTES]);
        let pieces = (0..mib * MIB / PIECE_BYTES).map(move |_| Ok(Frame::data(piece.clone())));
        let body = Body::stream(StreamBody::new(futures::stream::iter(pieces)));
        let mut response = Response::new(http::StatusCode::OK, body);
        response.headers.insert(http::header::CONTENT_LENGTH, (mib * MIB).into());
        Ok(response)
    }

    async fn ws(&self, _: WsOpen) -> Result<WsUpgrade, Failure> {
        Err(Failure::new(FailureKind::ServiceUnreachable, "there is no WebSocket"))
    }
}

/// One request and its whole answer: how long it took, and how many bytes it had.
async fn get(client: &LegacyClient, target: &str) -> anyhow::Result<(Duration, usize)> {
    let start = Instant::now();
    let (parts, ()) = http::Request::get(target).body(())?.into_parts();
    let request = Request::http(1, parts, Body::empty());
    let mut body = client.send(request).await.map_err(|error| error.failure().clone())?.body;
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.into_data().map_or(0, |data| data.len());
    }
    Ok((start.elapsed(), bytes))
}

async fn small(client: &Arc<LegacyClient>, clients: u32, each: u32) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let client = Arc::clone(client);
        tasks.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..each {
                times.push(get(&client, "/small").await?.0);
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(task) = tasks.join_next().await {
        times.extend(task??);
    }
    let rate = f64::from(clients * each) / start.elapsed().as_secs_f64();
    tell(&format!("1 KiB, {clients} clients: {rate:.0} requests/s, {}", spread(times)))
}

async fn large(client: &Arc<LegacyClient>, clients: u32) -> anyhow::Result<()> {
    const SIZE_MIB: u32 = 256;
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let client = Arc::clone(client);
        tasks.spawn(async move { get(&client, &format!("/{SIZE_MIB}")).await });
    }
    while let Some(task) = tasks.join_next().await {
        if task??.1 != SIZE_MIB as usize * MIB {
            bail!("a body is short");
        }
    }
    let rate = f64::from(clients * SIZE_MIB) / start.elapsed().as_secs_f64();
    tell(&format!("{SIZE_MIB} MiB, {clients} clients: {rate:.0} MiB/s"))
}

async fn small_beside_large(client: &Arc<LegacyClient>) -> anyhow::Result<()> {
    let mut large = JoinSet::new();
    let other = Arc::clone(client);
    large.spawn(async move { get(&other, "/1024").await });
    let mut times = Vec::new();
    let ended = loop {
        match large.try_join_next() {
            Some(ended) => break ended,
            None => times.push(get(client, "/small").await?.0),
        }
    };
    ended??;
    tell(&format!("1 KiB beside one of 1 GiB: {}", spread(times)))
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
    let (median, worst) = (at(50).copied().unwrap_or_default(), at(99).copied().unwrap_or_default());
    format!("p50 {median:.2?}, p99 {worst:.2?}")
}

fn tell(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

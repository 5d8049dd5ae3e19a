//! The migration, played through: a home server moves from the tunnel server to peer to peer and back, while requests come.
//!
//! ```text
//! cargo run --release -p migration --example server              plays it through and ends
//! cargo run --release -p migration --example server -- --serve   takes modes from stdin: tunnel, p2p, dual
//! ```

#![expect(clippy::print_stdout, reason = "it is a program")]

use std::time::Duration;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use http_body_util::BodyExt;
use migration::stage::{HomeClient, Stage, peer};
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    time::Instant,
};
use tunnel_p2p::transports::{TransportMode, TunnelTransports};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // A real HTTP service and a real tunnel server, on loopback.
    let stage = Stage::start().await?;
    // The home server. In production: a key from a file, and `IrohConfig::new` with relays.
    let mut config = stage.config(peer()?)?;
    // Short, because this program's clients look for the home server every half second, not every minute.
    config.settle = Duration::from_secs(2);
    // So that there is a ticket to begin with; an operator would begin with `tunnel`.
    config.mode = TransportMode::Dual;
    let (running, transports) = stage.home(config)?;
    transports.switched().await;
    // A client with both ways, as a gateway has them.
    let client = stage.client(transports.ticket()).await?;
    client.p2p_connected().await?;

    if std::env::args().any(|argument| argument == "--serve") {
        serve(&client, &transports).await?;
    } else {
        play(&client, &transports).await?;
    }
    client.close().await;
    transports.close(Duration::from_secs(5)).await;
    running.await?;
    Ok(())
}

async fn play(client: &HomeClient, transports: &TunnelTransports) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "mode",
        "in force after",
        "the next request came by",
        "and took",
    ]);
    for mode in [TransportMode::Tunnel, TransportMode::Dual, TransportMode::P2p, TransportMode::Tunnel] {
        let start = Instant::now();
        transports.set_mode(mode)?;
        transports.switched().await;
        let in_force = start.elapsed();
        if mode != TransportMode::Tunnel {
            client.p2p_connected().await?;
        }
        let (transport, took) = ask(client).await?;
        let expected = if mode == TransportMode::Tunnel { "legacy" } else { "p2p" };
        anyhow::ensure!(transport == expected, "in the mode {mode} the request came by {transport}");
        table.add_row([mode.name().to_owned(), format!("{in_force:.1?}"), transport, format!("{took:.1?}")]);
    }
    println!("{table}");
    Ok(())
}

async fn serve(client: &HomeClient, transports: &TunnelTransports) -> anyhow::Result<()> {
    println!("Type a mode: tunnel, p2p or dual. An empty line sends a request; Ctrl-D ends.");
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            match ask(client).await {
                Ok((transport, took)) => println!("a request came by {transport} and took {took:.1?}"),
                Err(error) => println!("a request failed: {error:#}"),
            }
            continue;
        }
        // Returns at once: what is under way ends as it began.
        match line.parse::<TransportMode>().map_err(anyhow::Error::from).and_then(|mode| Ok(transports.set_mode(mode)?))
        {
            Ok(()) => println!("{:?}", transports.state()),
            Err(error) => println!("{error:#}"),
        }
    }
    Ok(())
}

/// A small request, and how its response came.
async fn ask(client: &HomeClient) -> anyhow::Result<(String, Duration)> {
    let start = Instant::now();
    let response = client.get("/files/1024.bin").await?;
    let transport = response.via.map_or("unknown", |via| via.transport.name()).to_owned();
    let body = response.body.collect().await?.to_bytes();
    anyhow::ensure!(body.len() == 1024, "{} bytes", body.len());
    Ok((transport, start.elapsed()))
}

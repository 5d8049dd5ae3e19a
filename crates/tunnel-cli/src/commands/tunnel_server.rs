//! `tunnel-p2p tunnel-server`.

use std::{net::SocketAddr, sync::Arc};

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tunnel_legacy::server::{
    Behaviour, Clock, MemoryStorage, ServerError, SqliteStorage, Storage, TunnelServer, TunnelServerConfig,
};

use crate::{
    config::TunnelServerOptions,
    error::{CliError, Outcome},
    output::Output,
    runtime::{Signals, block_on, drain},
    secret::secret,
};

/// Beside the port of the gateway.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8016);

/// Runs a tunnel server until it is told to stop.
pub(super) fn run(options: &TunnelServerOptions, output: Output) -> Result<Outcome, CliError> {
    let token = secret("access token", options.access_token.as_ref(), options.access_token_file.as_deref())?;
    let token = token.ok_or_else(|| {
        CliError::usage("no access token is given")
            .next("choose a long random word, with which hosts will register: --access-token-file FILE")
    })?;
    let mut config = TunnelServerConfig::new(token, system_clock()).with_listen(options.listen.unwrap_or(LISTEN));
    if options.faithful.unwrap_or_default() {
        config = config.with_behaviour(Behaviour::faithful());
    }
    let storage: Arc<dyn Storage> = match &options.database {
        Some(file) => Arc::new(SqliteStorage::open(file).map_err(|error| {
            CliError::start(format!("the database {} cannot be opened", file.display())).because(error)
        })?),
        None => Arc::new(MemoryStorage::new()),
    };
    block_on(serve(config, storage, options.database.is_some(), output))
}

/// The system's time of day, which decides when signature tokens expire.
#[expect(clippy::disallowed_methods, reason = "this is the binary, from which the time of day is passed in")]
pub(crate) fn system_clock() -> Clock {
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    Clock::new(move || std::time::SystemTime::now().duration_since(epoch).map_or(0, |time| time.as_secs()))
}

async fn serve(
    config: TunnelServerConfig,
    storage: Arc<dyn Storage>,
    kept: bool,
    output: Output,
) -> Result<Outcome, CliError> {
    let mut signals = Signals::listen()?;
    let faithful = config.behaviour != Behaviour::mended();
    let server = TunnelServer::bind(config, storage).await.map_err(not_started)?;
    let address = server.local_addr();
    let url = format!("http://{address}");
    output.json(&json!({ "event": "ready", "url": url, "faithful": faithful, "kept": kept }));
    output.text(&url);
    if faithful {
        output.note("Faithful: this server lets tenants into each other's houses. For comparisons only.");
    }
    if !kept {
        output.note("Tokens are kept in memory: hosts have to register again after a restart (--database FILE).");
    }
    if !address.ip().is_loopback() {
        output.note("It speaks plain HTTP: put a proxy with TLS before it.");
    }
    let reached = if address.ip().is_unspecified() { format!("http://THIS-MACHINE:{}", address.port()) } else { url };
    output.note(format!("Use it with  tunnel-p2p host --tunnel {reached}  and  tunnel-p2p gateway --tunnel {reached}"));
    let stop = CancellationToken::new();
    let running = server.run(stop.clone());
    tokio::pin!(running);
    tokio::select! {
        biased;
        () = signals.next() => {}
        () = &mut running => return Err(CliError::failed("the tunnel server stopped by itself")),
    }
    stop.cancel();
    let outcome = drain(&mut signals, output, async {
        running.await;
        // What had to be cut is in its log.
        true
    })
    .await;
    Ok(outcome)
}

fn not_started(error: ServerError) -> CliError {
    match error {
        ServerError::Bind { .. } => CliError::start("the tunnel server did not start")
            .because(error)
            .next("stop what listens there, or choose another address with `--listen`"),
        _ => CliError::usage("the options of the tunnel server do not fit").because(error),
    }
}

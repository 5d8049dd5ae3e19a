//! `tunnel-p2p gateway`.

mod settings;
mod transports;
mod watch;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use p2p_provider::P2PProvider;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tunnel_edge::{Gateway, GatewayConfig, GatewayError};
use tunnel_router::{Router, RouterConfig};

use self::{
    settings::gateway_config,
    transports::{TransportSettings, Transports},
    watch::watch,
};
use crate::{
    admin::{AdminServer, GatewayAdmin},
    config::{ConfigFile, GatewayOptions, layered},
    error::{CliError, Outcome},
    output::Output,
    peer_news,
    routing::{Reloader, Switched, router_config},
    runtime::{Controls, Signals, block_on, drain},
};

/// Everything that is known before the first socket is opened.
struct Plan {
    transports: TransportSettings,
    router: RouterConfig,
    gateway: GatewayConfig,
    admin: Option<SocketAddr>,
    /// The flags as they were given, and the file that goes under them, for reading the latter again.
    flags: GatewayOptions,
    file: Option<PathBuf>,
    options: GatewayOptions,
}

/// Runs a gateway until it is told to stop.
pub(super) fn run(
    flags: GatewayOptions,
    file: &ConfigFile,
    path: Option<PathBuf>,
    output: Output,
) -> Result<Outcome, CliError> {
    let options: GatewayOptions = layered(file, "gateway", &flags)?;
    let plan = Plan {
        transports: TransportSettings::new(&options)?,
        router: router_config(&options.routing, options.client_id.as_deref(), seed())?,
        gateway: gateway_config(&options)?,
        admin: options.admin,
        flags,
        file: path,
        options,
    };
    block_on(serve(plan, output))
}

/// From which the jitter of probes and the choice of compared requests follow: different for every gateway.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness of the system all gateways jitter alike, which is no reason not to run.
    let _ = getrandom::fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}

async fn serve(plan: Plan, output: Output) -> Result<Outcome, CliError> {
    let mut signals = Signals::listen()?;
    let mut controls = Controls::listen()?;
    let admin = match plan.admin {
        Some(address) => Some(AdminServer::bind(address).await?),
        None => None,
    };
    for note in &plan.transports.notes {
        output.note(note);
    }
    let transports = Transports::start(plan.transports).await?;
    let mut gateway = plan.gateway;
    gateway.auth = transports.auth();
    let seed = plan.router.seed;
    let router = Router::start(transports.p2p(), transports.legacy(), plan.router)
        .map_err(|error| CliError::usage("the routing options do not fit").because(error))?;
    let switched = Switched::new(router, plan.options.routing.kill_switch_file.clone());
    let reloader = Reloader::new(plan.file, plan.flags, &plan.options, seed, switched.clone(), output)?;
    let reloader = Arc::new(reloader);

    let profile = gateway.profile.to_string();
    let gateway = Gateway::bind(gateway, Arc::new(switched.clone())).await.map_err(not_started)?;
    let url = format!("http://{}", gateway.local_addr());
    let admin_url = admin.as_ref().map(|admin| format!("http://{}", admin.address()));
    let peer_id = transports.peer_id().map(|id| id.to_string());
    output.json(&json!({ "event": "ready", "url": url, "admin": admin_url, "peer_id": peer_id }));
    output.text(&url);
    if let Some(peer_id) = peer_id {
        output.note(format!("This gateway is peer {peer_id}."));
    }
    if let Some(admin) = &admin_url {
        output.note(format!("Admin endpoint: {admin} (tunnel-p2p status --admin {admin})"));
    }

    let stop = CancellationToken::new();
    let running = gateway.run(stop.clone());
    let background = async {
        let admin = async {
            let Some(admin) = admin else { return std::future::pending().await };
            let started = Instant::now();
            let state = GatewayAdmin {
                switched: switched.clone(),
                reloader: Arc::clone(&reloader),
                drain: stop.clone(),
                url,
                profile,
                started,
                peer: transports.peer().cloned(),
            };
            admin.serve(state.routes()).await;
        };
        tokio::join!(
            admin,
            watch(&transports, &switched, output),
            news(&transports, output),
            hasten(&transports, &switched),
            transports.keep_fresh(),
            reloader.watch(),
            obey(&mut controls, &reloader, &switched, output),
        );
    };
    tokio::pin!(running, background);
    tokio::select! {
        biased;
        () = signals.next() => {}
        () = stop.cancelled() => {}
        () = &mut background => return Err(CliError::failed("the gateway's own tasks stopped by themselves")),
        () = &mut running => return Err(CliError::failed("the gateway stopped by itself")),
    }
    stop.cancel();
    let finish = async {
        running.await;
        transports.close().await;
        // What the gateway had to cut is in its log.
        true
    };
    let outcome = tokio::select! {
        biased;
        outcome = drain(&mut signals, output, finish) => outcome,
        () = &mut background => Outcome::Aborted,
    };
    Ok(outcome)
}

/// Tells what becomes of the peer. Never ends.
async fn news(transports: &Transports, output: Output) {
    match transports.peer() {
        Some(peer) => peer_news::watch(peer, |_, _| {}, output).await,
        None => std::future::pending().await,
    }
}

/// After a change of the network nothing is waited for. Never ends.
async fn hasten(transports: &Transports, switched: &Switched) {
    let Some(peer) = transports.peer() else { return std::future::pending().await };
    let mut changes = peer.network_changes();
    loop {
        changes.next().await;
        switched.router().network_changed();
    }
}

/// Does what SIGHUP and SIGUSR1 ask for. Never ends.
async fn obey(controls: &mut Controls, reloader: &Reloader, switched: &Switched, output: Output) {
    loop {
        match controls.next().await {
            crate::runtime::Control::Reload => match reloader.reload() {
                Ok(_) => output.note("The configuration was read again."),
                Err(error) => output.note(format!("The configuration was not taken, the old one holds: {error}")),
            },
            crate::runtime::Control::KillSwitch => {
                switched.toggle();
            }
        }
    }
}

fn not_started(error: GatewayError) -> CliError {
    match error {
        GatewayError::Config { .. } => CliError::usage("the options of the gateway do not fit").because(error),
        _ => CliError::start("the gateway did not start").because(error),
    }
}

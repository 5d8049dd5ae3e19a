//! `tunnel-p2p host`.

mod announce;
mod ways;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use p2p_provider::iroh::IrohConfig;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tunnel_edge::{LocalService, ServiceConfig, ServiceTarget};
use tunnel_p2p::{HostConfig, TicketSecret, pairing::AuthorizedPeers};

use self::{announce::announce, ways::Ways};
use crate::{
    admin::{AdminServer, HostAdmin},
    config::{HostOptions, set},
    error::{CliError, Outcome},
    output::Output,
    p2p, peer_news,
    runtime::{Signals, block_on, drain},
    state::StateDir,
    tunnel::TunnelHostSettings,
};

/// The UDP port: unassigned by IANA, and the same at every start, so that a ticket stays valid.
pub(super) const PORT: u16 = 17_420;

/// How long requests may take to finish after Ctrl-C: longer than most, shorter than a service manager's patience.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything that is known before the first socket is opened.
struct Plan {
    service: LocalService,
    client_id: Option<String>,
    p2p: Option<(IrohConfig, HostConfig)>,
    tunnel: Option<TunnelHostSettings>,
    /// Whether gateways may ask through the tunnel server to be let in.
    pairing: bool,
    admin: Option<SocketAddr>,
    drain_timeout: Duration,
}

/// Runs a host until it is told to stop.
pub(super) fn run(options: &HostOptions, output: Output) -> Result<Outcome, CliError> {
    let mut drain_timeout = DRAIN_TIMEOUT;
    set(options.drain_timeout, &mut drain_timeout);
    let service = service(options)?;
    let state = StateDir::new(options.state_dir.clone())?;
    let tunnel = TunnelHostSettings::new(options, &state)?;
    let p2p = match (options.tunnel.no_p2p.unwrap_or_default(), &tunnel) {
        (false, _) => Some(p2p_settings(options, &state)?),
        (true, Some(_)) => None,
        (true, None) => {
            return Err(CliError::usage("--no-p2p leaves no way to this host")
                .next("give a tunnel server: --tunnel URL, or leave out --no-p2p"));
        }
    };
    let (client_id, admin) = (options.client_id.clone(), options.admin);
    let pairing = !options.tunnel.no_pairing.unwrap_or_default();
    block_on(serve(Plan { service, client_id, p2p, tunnel, pairing, admin, drain_timeout }, output))
}

fn service(options: &HostOptions) -> Result<LocalService, CliError> {
    let example = "say which service to offer: --service http://127.0.0.1:8000";
    let text = options.service.as_deref().ok_or_else(|| CliError::usage("no service is given").next(example))?;
    let target: ServiceTarget =
        text.parse().map_err(|error| CliError::usage("--service is not usable").because(anyhow::Error::new(error)))?;
    let mut config = ServiceConfig::new(target);
    config.profile = options.profile.unwrap_or_default().into();
    set(options.connect_timeout, &mut config.connect_timeout);
    set(options.head_timeout, &mut config.head_timeout);
    set(options.body_idle_timeout, &mut config.body_idle_timeout);
    LocalService::new(config).map_err(|error| CliError::usage("the options of the service do not fit").because(error))
}

fn p2p_settings(options: &HostOptions, state: &StateDir) -> Result<(IrohConfig, HostConfig), CliError> {
    let congestion = options.congestion.unwrap_or_default().into();
    let listen = p2p::Listen { bind: options.bind, port: options.port.unwrap_or(PORT) };
    let mut peer = p2p::host_config(state.key_or_create()?, listen, options.network.network(), congestion)?;
    peer.publish = options.publish.publish.unwrap_or_default().into();
    peer.external_addresses.clone_from(&options.publish.external_address);
    let mut config = HostConfig::new(TicketSecret::from(state.secret_or_create()?));
    let peers = AuthorizedPeers::open(state.peers());
    let peers = peers.map_err(|error| CliError::start("the list of who may use this host").because(error))?;
    config.peers = Some(Arc::new(peers));
    config.client_id.clone_from(&options.client_id);
    set(options.body_idle_timeout, &mut config.body_idle_timeout);
    if let Some(max_requests) = options.max_requests {
        config.max_requests = max_requests;
    }
    Ok((peer, config))
}

async fn serve(plan: Plan, output: Output) -> Result<Outcome, CliError> {
    let mut signals = Signals::listen()?;
    let admin = match plan.admin {
        Some(address) => Some(AdminServer::bind(address).await?),
        None => None,
    };
    let reach = announce::Reach::of(plan.p2p.as_ref().map(|(peer, _)| peer));
    let target = plan.service.target().to_string();
    let service = Arc::new(plan.service);
    let ways = Arc::new(Ways::start(plan.p2p, plan.tunnel, plan.pairing, service).await?);
    let admin_url = admin.as_ref().map(|admin| format!("http://{}", admin.address()));
    announce(&ways, &target, &reach, admin_url.as_ref(), output);

    let stop = CancellationToken::new();
    let background = async {
        let admin = async {
            let Some(admin) = admin else { return std::future::pending().await };
            let state = HostAdmin {
                service: target,
                client_id: plan.client_id,
                ways: ways.clone(),
                drain: stop.clone(),
                started: Instant::now(),
            };
            admin.serve(state.routes()).await;
        };
        let news = async {
            match ways.peer() {
                Some(peer) => {
                    peer_news::watch(peer, |before, now| announce::moved(&ways, before, now, output), output).await;
                }
                None => std::future::pending().await,
            }
        };
        let tunnel = async {
            match ways.tunnel() {
                Some(tunnel) => tunnel.run(|told| tell(told, output)).await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(admin, tunnel, news);
    };
    tokio::pin!(background);
    tokio::select! {
        biased;
        () = signals.next() => {}
        () = stop.cancelled() => {}
        () = &mut background => return Err(CliError::failed("the host's own tasks stopped by themselves")),
    }
    stop.cancel();
    let outcome = tokio::select! {
        biased;
        outcome = drain(&mut signals, output, ways.drain(plan.drain_timeout)) => outcome,
        () = &mut background => Outcome::Aborted,
    };
    Ok(outcome)
}

/// What has become of the tunnel: `Ok` if requests arrive through it.
fn tell(told: Result<(), String>, output: Output) {
    match told {
        Ok(()) => {
            output.json(&json!({ "event": "tunnel", "state": "connected" }));
            output.note("Connected to the tunnel server.");
        }
        Err(message) => {
            output.json(&json!({ "event": "tunnel", "state": "down", "message": message }));
            output.note(format!("Not connected to the tunnel server, trying again: {message}"));
        }
    }
}

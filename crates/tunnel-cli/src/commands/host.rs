//! `tunnel-p2p host`.

use std::{io::IsTerminal, sync::Arc, time::Duration};

use p2p_provider::{
    P2PProvider,
    iroh::{IrohConfig, IrohP2P, Relays},
};
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use serde_json::json;
use tunnel_edge::{LocalService, ServiceConfig, ServiceTarget};
use tunnel_p2p::{Host, HostConfig, TicketSecret};

use crate::{
    config::{HostOptions, set},
    error::{CliError, Outcome},
    output::Output,
    p2p,
    runtime::{Signals, block_on, drain},
    state::StateDir,
};

/// The UDP port: unassigned by IANA, and the same at every start, so that a ticket stays valid.
const PORT: u16 = 17_420;

/// How long requests may take to finish after Ctrl-C: longer than most, shorter than a service manager's patience.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The widest picture of a ticket, in columns of a terminal.
const QR_COLUMNS_MAX: usize = 80;

/// Runs a host until it is told to stop.
pub(super) fn run(options: &HostOptions, output: Output) -> Result<Outcome, CliError> {
    let mut drain_timeout = DRAIN_TIMEOUT;
    set(options.drain_timeout, &mut drain_timeout);
    let service = service(options)?;
    let state = StateDir::new(options.state_dir.clone())?;
    let congestion = options.congestion.unwrap_or_default().into();
    let port = options.port.unwrap_or(PORT);
    let p2p = p2p::config(state.key_or_create()?, options.bind, port, &options.relay, congestion)?;
    let host = host_config(options, &state)?;
    block_on(serve(service, p2p, host, drain_timeout, output))
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

fn host_config(options: &HostOptions, state: &StateDir) -> Result<HostConfig, CliError> {
    let mut config = HostConfig::new(TicketSecret::from(state.secret_or_create()?));
    config.client_id.clone_from(&options.client_id);
    set(options.body_idle_timeout, &mut config.body_idle_timeout);
    if let Some(max_requests) = options.max_requests {
        config.max_requests = max_requests;
    }
    Ok(config)
}

async fn serve(
    service: LocalService,
    p2p: IrohConfig,
    config: HostConfig,
    drain_timeout: Duration,
    output: Output,
) -> Result<Outcome, CliError> {
    let mut signals = Signals::listen()?;
    let direct_only = p2p.relays == Relays::None;
    let target = service.target().to_string();
    let provider = p2p::bind(p2p).await?;
    let host = Host::start(provider.clone(), Arc::new(service), config)
        .await
        .map_err(|error| CliError::start("the host did not start").because(error))?;
    announce(&host, &provider, &target, direct_only, output);
    signals.next().await;
    let outcome = drain(&mut signals, output, async {
        let finished = host.drain(drain_timeout).await;
        provider.close().await;
        finished
    })
    .await;
    Ok(outcome)
}

fn announce(host: &Host<IrohP2P>, provider: &IrohP2P, target: &str, direct_only: bool, output: Output) {
    let ticket = host.ticket().to_string();
    let address = provider.local_addr();
    output.json(&json!({
        "event": "ready",
        "ticket": ticket,
        "peer_id": address.id.to_string(),
        "addresses": address.direct,
        "relays": address.relays,
        "service": target,
    }));
    output.text(&ticket);
    if std::io::stdout().is_terminal()
        && !output.is_quiet()
        && let Some(picture) = qr_code(&ticket)
    {
        output.text(picture);
    }
    output.note(format!("Offering {target} as peer {}.", address.id));
    for address in &address.direct {
        output.note(format!("  listening on UDP {address}"));
    }
    if direct_only {
        output.note(
            "No relay: only peers on the same network, or through a forwarded UDP port, can reach this host. \
             `--relay n0` or a relay of your own lifts that.",
        );
    }
    output.note("The ticket above admits whoever holds it: treat it like a password. Use it elsewhere with");
    output.note("  tunnel-p2p gateway --ticket TICKET");
}

/// The ticket as a picture for a phone's camera; nothing if it would not fit a terminal.
fn qr_code(ticket: &str) -> Option<String> {
    // Tickets may be read in either case, and capitals need fewer modules (ISO/IEC 18004, alphanumeric mode).
    let code = QrCode::with_error_correction_level(ticket.to_ascii_uppercase(), EcLevel::L).ok()?;
    // Terminals are mostly dark: light modules are drawn, dark ones are left.
    let picture = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    (picture.lines().next()?.chars().count() <= QR_COLUMNS_MAX).then_some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_with_a_few_addresses_fits_a_terminal_as_a_picture() {
        let picture = qr_code(&format!("tp2p1{}", "a2".repeat(100))).expect("it fits");
        assert!(picture.lines().count() < 40, "{picture}");
        assert_eq!(qr_code(&"a".repeat(4000)), None);
    }
}

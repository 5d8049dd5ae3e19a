//! `tunnel-p2p gateway`.

use std::{path::Path, sync::Arc, time::Duration};

use p2p_provider::{P2PProvider, SecretKey, iroh::IrohConfig};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tunnel_core::{Health, Transport};
use tunnel_edge::{Gateway, GatewayConfig, GatewayError};
use tunnel_p2p::{Client, ClientConfig, ParseTicketError, Ticket};

use crate::{
    config::{GatewayOptions, set},
    error::{CliError, Outcome},
    output::Output,
    p2p,
    runtime::{Signals, block_on, drain},
};

/// How often the state of the connection is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// Runs a gateway until it is told to stop.
pub(super) fn run(options: GatewayOptions, output: Output) -> Result<Outcome, CliError> {
    let ticket = ticket(&options)?;
    // The host admits by ticket, so a gateway needs no lasting identity.
    let congestion = options.congestion.unwrap_or_default().into();
    let p2p = p2p::config(SecretKey::generate(), options.bind, 0, &options.relay, congestion)?;
    let mut client = ClientConfig::default();
    client.client_id.clone_from(&options.client_id);
    set(options.connect_timeout, &mut client.connect_timeout);
    set(options.head_timeout, &mut client.head_timeout);
    set(options.body_idle_timeout, &mut client.body_idle_timeout);
    let gateway = gateway_config(options)?;
    block_on(serve(ticket, p2p, client, gateway, output))
}

fn ticket(options: &GatewayOptions) -> Result<Ticket, CliError> {
    let text = match (&options.ticket, &options.ticket_file) {
        (Some(ticket), _) => ticket.clone(),
        (None, Some(file)) => secret_file("ticket", file)?,
        (None, None) => {
            return Err(CliError::usage("no ticket is given").next(
                "run `tunnel-p2p host` beside the service and give its ticket: --ticket TICKET or --ticket-file FILE",
            ));
        }
    };
    text.parse().map_err(|error: ParseTicketError| CliError::usage("the ticket is not valid").because(error))
}

fn secret_file(what: &str, file: &Path) -> Result<String, CliError> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        CliError::usage(format!("the {what} file {} cannot be read", file.display())).because(error)
    })?;
    match text.trim() {
        "" => Err(CliError::usage(format!("the {what} file {} is empty", file.display()))),
        text => Ok(text.to_owned()),
    }
}

fn gateway_config(options: GatewayOptions) -> Result<GatewayConfig, CliError> {
    let mut config = GatewayConfig::default();
    if let Some(listen) = options.listen {
        config.listen = listen;
    }
    config.profile = options.profile.unwrap_or_default().into();
    config.client_id = options.client_id;
    config.access_token = match options.access_token_file {
        Some(file) => Some(secret_file("access token", &file)?),
        None => options.access_token,
    };
    config.allow_hosts = options.allow_host;
    config.allow_origins = options.allow_origin;
    config.tunnel_headers = !options.no_tunnel_headers.unwrap_or_default();
    set(options.drain_timeout, &mut config.drain_timeout);
    set(options.body_idle_timeout, &mut config.body_idle_timeout);
    Ok(config)
}

async fn serve(
    ticket: Ticket,
    p2p: IrohConfig,
    client: ClientConfig,
    gateway: GatewayConfig,
    output: Output,
) -> Result<Outcome, CliError> {
    let mut signals = Signals::listen()?;
    let provider = p2p::bind(p2p).await?;
    let client = Client::start(provider.clone(), ticket, client);
    let gateway = Gateway::bind(gateway, Arc::new(client.clone())).await.map_err(not_started)?;
    let url = format!("http://{}", gateway.local_addr());
    output.json(&json!({ "event": "ready", "url": url }));
    output.text(&url);
    let stop = CancellationToken::new();
    let running = gateway.run(stop.clone());
    tokio::pin!(running);
    tokio::select! {
        biased;
        () = signals.next() => {}
        () = watch(&client, output) => {}
        () = &mut running => return Err(CliError::failed("the gateway stopped by itself")),
    }
    stop.cancel();
    let outcome = drain(&mut signals, output, async {
        running.await;
        client.close();
        provider.close().await;
        // What the gateway had to cut is in its log.
        true
    })
    .await;
    Ok(outcome)
}

fn not_started(error: GatewayError) -> CliError {
    match error {
        GatewayError::Config { .. } => CliError::usage("the options of the gateway do not fit").because(error),
        _ => CliError::start("the gateway did not start").because(error),
    }
}

/// Says whenever the connection to the host comes or goes. Never ends.
async fn watch(client: &impl Transport, output: Output) {
    let mut known = Health::Probing;
    output.note("Connecting to the host ...");
    loop {
        let health = client.health();
        if health != known {
            tell(&health, output);
            known = health;
        }
        sleep(WATCH_INTERVAL).await;
    }
}

fn tell(health: &Health, output: Output) {
    match health {
        Health::Healthy { path, client_id } => {
            output.json(&json!({ "event": "connected", "path": path.name(), "client_id": client_id }));
            let of = client_id.as_ref().map_or_else(String::new, |id| format!(" {id:?}"));
            output.note(format!("Connected to the host{of}, path: {}.", path.name()));
        }
        Health::Probing => {
            output.json(&json!({ "event": "connecting" }));
            output.note("Connecting to the host ...");
        }
        Health::Down(failure) => {
            output.json(&json!({ "event": "down", "reason": failure.kind().name(), "message": failure.message() }));
            output.note(format!("No connection to the host: {failure}. Trying again."));
        }
    }
}

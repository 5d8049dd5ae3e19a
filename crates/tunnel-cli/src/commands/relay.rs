//! `tunnel-p2p relay`.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use serde_json::json;
use tunnel_relay::{Access, AcmeConfig, Certificate, ClientRate, Relay, RelayConfig, RelayError, TlsConfig};

use crate::{
    config::RelayOptions,
    error::{CliError, Outcome},
    output::Output,
    runtime::{Reloads, Signals, block_on_all_cores},
    state::StateDir,
};

/// Where clients look for address discovery.
const QUIC_PORT: u16 = 7842;

const HTTPS: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 443);

/// Runs a relay until it is told to stop.
pub(super) fn run(options: &RelayOptions, output: Output) -> Result<Outcome, CliError> {
    let mut config = RelayConfig::new();
    config.access = access(options)?;
    config.tls = tls(options)?;
    config.http = options.http;
    config.host.clone_from(&options.host);
    config.metrics = options.metrics;
    config.client_rate = options.client_rate.map(ClientRate::new);
    block_on_all_cores(serve(config, options, output))
}

async fn serve(config: RelayConfig, options: &RelayOptions, output: Output) -> Result<Outcome, CliError> {
    let access = access_name(&config.access);
    let mut signals = Signals::listen()?;
    let mut reloads = Reloads::listen()?;
    let mut relay = Relay::start(config).await.map_err(not_started)?;
    output.json(&json!({
        "event": "ready",
        "url": relay.url(),
        "http": relay.http(),
        "https": relay.https(),
        "quic": relay.quic(),
        "metrics": relay.metrics(),
        "access": access,
    }));
    explain(&relay, access, options, output);
    loop {
        tokio::select! {
            biased;
            () = signals.next() => break,
            () = reloads.next() => reload(&relay, options, output).await,
            error = relay.finished() => return Err(CliError::failed("the relay stopped").because(error)),
        }
    }
    relay.stop().await;
    output.note("Stopped.");
    output.json(&json!({ "event": "stopped" }));
    Ok(Outcome::Done)
}

/// Reads the files again: those of the certificate, and that of the tokens. What cannot be used stays as it was.
async fn reload(relay: &Relay, options: &RelayOptions, output: Output) {
    let access = access(options).and_then(|access| {
        let ended = relay.set_access(access);
        ended.map_err(|error| CliError::usage("the access stays as it was").because(error))
    });
    let certificate = relay.reload_certificate().await;
    let certificate = certificate.map_err(|error| CliError::usage("the certificate stays the old one").because(error));
    let errors: Vec<_> =
        [access.as_ref().err(), certificate.as_ref().err()].into_iter().flatten().map(ToString::to_string).collect();
    for error in &errors {
        output.note(format!("Not read again: {error}"));
    }
    if let (Ok(ended), Ok(changed)) = (&access, &certificate) {
        let certificate = if *changed { "another" } else { "the same" };
        output.note(format!("Read again: {certificate} certificate; connections ended: {ended}"));
    }
    output.json(&json!({
        "event": "reloaded",
        "certificate_changed": certificate.as_ref().ok(),
        "connections_ended": access.as_ref().ok(),
        "errors": errors,
    }));
}

/// Says what the operator does next.
fn explain(relay: &Relay, access: &str, options: &RelayOptions, output: Output) {
    let address = relay.https().or(relay.http());
    let port = address.map_or(0, |address| address.port());
    let scheme = if relay.https().is_some() { "https" } else { "http" };
    let url = relay.url().map_or_else(|| format!("{scheme}://THIS-MACHINE:{port}"), str::to_owned);
    output.text(&url);
    if relay.url().is_none() {
        output.note("THIS-MACHINE is the name or address under which others reach it: --host NAME puts it there.");
    }
    let loopback = address.is_some_and(|address| address.ip().is_loopback());
    if relay.https().is_none() && !loopback {
        output.note(
            "Plain HTTP: traffic stays encrypted from end to end, but the access token travels in the clear, and there \
             is no address discovery, so that most peers behind NAT routers stay on the relay. With a certificate \
             (--acme, or --tls-cert and --tls-key) there is both.",
        );
    }
    if relay.https().is_some() && relay.quic().is_none() {
        output.note("No address discovery: most peers behind NAT routers stay on the relay.");
    }
    if let Some(quic) = relay.quic().filter(|quic| quic.port() != QUIC_PORT) {
        output.note(format!("Address discovery is at UDP port {}; clients expect {QUIC_PORT}.", quic.port()));
    }
    if access == "open" && !loopback {
        output.note("Open: whoever reaches this relay can use it.");
    }
    if relay.metrics().is_some_and(|metrics| !metrics.ip().is_loopback()) {
        output.note("The metrics have no password, and are reached from other machines.");
    }
    let token = if access.starts_with("token") {
        let file = options.access_token_file.as_deref().unwrap_or(Path::new("FILE"));
        format!(" --relay-token-file {}", file.display())
    } else {
        String::new()
    };
    let authority = if relay.needs_ca() { " --relay-ca FILE" } else { "" };
    let flags = format!("--relay {url}{token}{authority}");
    output.note(format!("Use it with  tunnel-p2p host {flags} ...  and  tunnel-p2p gateway {flags} ..."));
    if relay.needs_ca() {
        output.note(
            "The file of --relay-ca is the root of the certificate (PEM), which no client knows by itself; of a \
             certificate that signs itself, that is the file of --tls-cert.",
        );
    }
}

/// How it is called in the output.
fn access_name(access: &Access) -> &'static str {
    match access {
        Access::Listed { peers, .. } if peers.is_empty() => "token",
        Access::Listed { tokens, .. } if tokens.is_empty() => "allow-list",
        Access::Listed { .. } => "token-or-allow-list",
        _ => "open",
    }
}

fn access(options: &RelayOptions) -> Result<Access, CliError> {
    let mut tokens: Vec<String> = options.access_token.iter().cloned().collect();
    if let Some(file) = &options.access_token_file {
        tokens.extend(tokens_of(file)?);
    }
    let listed = !tokens.is_empty() || !options.allow_peer.is_empty();
    match (options.open.unwrap_or_default(), listed) {
        (true, true) => Err(CliError::usage("--open lets everybody in, and there are tokens or peers: choose one")),
        (true, false) => Ok(Access::Open),
        (false, true) => Ok(Access::listed(tokens, options.allow_peer.iter().cloned())),
        (false, false) => Ok(Access::LoopbackOnly),
    }
}

fn tokens_of(file: &Path) -> Result<Vec<String>, CliError> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        CliError::usage(format!("the access token file {} cannot be read", file.display())).because(error)
    })?;
    let tokens: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if tokens.is_empty() {
        return Err(CliError::usage(format!("the access token file {} is empty", file.display()))
            .next("write a long random word into it: openssl rand -hex 32"));
    }
    Ok(tokens)
}

fn tls(options: &RelayOptions) -> Result<Option<TlsConfig>, CliError> {
    let acme = options.acme.unwrap_or_default();
    let certificate = match (&options.tls_cert, &options.tls_key, acme) {
        (Some(_), _, true) | (_, Some(_), true) => {
            return Err(CliError::usage(
                "--acme gets a certificate, and --tls-cert or --tls-key gives one: choose one",
            ));
        }
        (Some(chain), Some(key), false) => Certificate::Files { chain: chain.clone(), key: key.clone() },
        (Some(_), None, false) => {
            return Err(
                CliError::usage("--tls-cert is given without the key of the certificate").next("--tls-key FILE")
            );
        }
        (None, Some(_), false) => {
            return Err(CliError::usage("--tls-key is given without its certificate").next("--tls-cert FILE"));
        }
        (None, None, true) => Certificate::Acme(acme_config(options)?),
        (None, None, false) => return no_tls(options),
    };
    let mut tls = TlsConfig::new(options.https.unwrap_or(HTTPS), certificate);
    match (options.no_quic.unwrap_or_default(), options.quic_port) {
        (true, Some(_)) => return Err(CliError::usage("--no-quic and --quic-port are both given: choose one")),
        (true, None) => tls.quic_port = None,
        (false, Some(port)) => tls.quic_port = Some(port),
        (false, None) => {}
    }
    Ok(Some(tls))
}

/// Refuses what needs a certificate.
fn no_tls(options: &RelayOptions) -> Result<Option<TlsConfig>, CliError> {
    let given = [
        ("--https", options.https.is_some()),
        ("--quic-port", options.quic_port.is_some()),
        ("--acme-contact", options.acme_contact.is_some()),
        ("--acme-dir", options.acme_dir.is_some()),
        ("--acme-directory", options.acme_directory.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(CliError::usage(format!("{option} is given, and there is no certificate"))
            .next("--tls-cert FILE --tls-key FILE, or --acme to get one from Let's Encrypt")),
        None => Ok(None),
    }
}

fn acme_config(options: &RelayOptions) -> Result<AcmeConfig, CliError> {
    let directory = match &options.acme_dir {
        Some(directory) => directory.clone(),
        None => StateDir::new(None)?.path().join("acme"),
    };
    private_directory(&directory)?;
    let mut acme = AcmeConfig::new(directory);
    acme.contact.clone_from(&options.acme_contact);
    if let Some(url) = &options.acme_directory {
        acme.directory.clone_from(url);
    }
    Ok(acme)
}

/// The directory, which nobody else can read if it is made here.
fn private_directory(directory: &Path) -> Result<(), CliError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
        CliError::start(format!("the directory {} cannot be made", directory.display()))
            .because(error)
            .next("give another one: --acme-dir DIR")
    })
}

fn not_started(error: RelayError) -> CliError {
    match error {
        RelayError::Unprotected { .. } => CliError::usage("the relay is not protected").because(error).next(
            "choose a long random word and give it to host and gateway: --access-token-file FILE; or name the peers: \
             --allow-peer ID; or let everybody in: --open",
        ),
        RelayError::Bind { kind, address, .. } => {
            CliError::start("the relay did not start").because(error).next(match kind {
                ErrorKind::PermissionDenied => {
                    "ports below 1024 are for root, or for a program with the right to them (systemd: \
                     AmbientCapabilities=CAP_NET_BIND_SERVICE); or choose another one: --https '[::]:8443'"
                }
                ErrorKind::AddrInUse => {
                    "stop what listens there, or choose another address: --https, --http, --quic-port, --metrics"
                }
                _ if address.is_ipv6() => "on a machine without IPv6: --https 0.0.0.0:443",
                _ => "choose an address that this machine has: --https, --http, --metrics",
            })
        }
        RelayError::Certificate { .. } | RelayError::Config { .. } => {
            CliError::usage("the options of the relay do not fit").because(error)
        }
        error => CliError::start("the relay did not start").because(error),
    }
}

//! Opens an endpoint by its settings, and says what went wrong.

use std::{net::SocketAddr, time::Duration};

use iroh::{
    Endpoint, Watcher,
    endpoint::{
        BindError, BindOpts, ConnectError, ConnectingError, ConnectionError, PortmapperConfig, TransportErrorCode,
        presets,
    },
    tls::CaTlsConfig,
};
use tokio::time::timeout;

use super::{config::IrohConfig, relay_list::RelayList};
use crate::{ConnectionConfig, P2PError, PeerId};

/// TLS alert 120, `no_application_protocol` (RFC 7301 §3.2).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// External addresses are told to everybody: more than this is a mistake.
const EXTERNAL_ADDRESSES_MAX: usize = 8;

/// How long a peer waits to learn its own addresses.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(1);

/// Opens the sockets. `bound`: where they were before, to have the same ports again.
pub(super) async fn open(config: &IrohConfig, relays: &RelayList, bound: &[SocketAddr]) -> Result<Endpoint, P2PError> {
    let invalid = |field, message: String| P2PError::Config { field, message };
    if config.external_addresses.len() > EXTERNAL_ADDRESSES_MAX {
        let message =
            format!("{} are given, at most {EXTERNAL_ADDRESSES_MAX} can be told", config.external_addresses.len());
        return Err(invalid("external_addresses", message));
    }
    let mut builder = Endpoint::builder(presets::Minimal)
        .secret_key(iroh::SecretKey::from_bytes(&config.secret_key.to_bytes()))
        .relay_mode(relays.mode(&config.relays))
        .ca_tls_config(CaTlsConfig::embedded().with_extra_roots(config.root_certificates.iter().cloned()))
        .addr_filter(config.publish.filter())
        .portmapper_config(if config.port_mapping { PortmapperConfig::default() } else { PortmapperConfig::Disabled })
        .transport_config(config.transport()?)
        .clear_ip_transports();
    for lookup in &config.lookups {
        builder = lookup.add_to(builder, config.announce)?;
    }
    for address in &config.external_addresses {
        builder = builder.external_addr(*address);
    }
    let addresses = config.bind_addresses(bound);
    for (address, required) in &addresses {
        builder = builder
            .bind_addr_with_opts(*address, BindOpts::default().set_is_required(*required))
            .map_err(|error| invalid("bind", format!("{address}: {error}")))?;
    }
    let addresses = addresses.iter().map(|(address, _)| address.to_string()).collect::<Vec<_>>().join(", ");
    builder.bind().await.map_err(|error| bind_error(&error, addresses))
}

/// Waits until the endpoint knows its own addresses. Best effort: without a network the peer still starts, and is reachable
/// once there is one. A relay is not waited for: it may never answer.
pub(super) async fn settled(endpoint: &Endpoint) {
    let mut watcher = endpoint.watch_addr();
    let known = async {
        let mut address = watcher.get();
        while address.is_empty() {
            address = watcher.updated().await.ok()?;
        }
        Some(())
    };
    timeout(ADDRESS_TIMEOUT, known).await.ok();
}

fn bind_error(error: &BindError, addresses: String) -> P2PError {
    match error {
        BindError::Sockets { source, .. } => P2PError::Bind { addresses, message: source.to_string() },
        other => P2PError::Bind { addresses, message: format!("{other:#}") },
    }
}

pub(super) fn connect_error(error: &ConnectError, peer: PeerId, config: &ConnectionConfig) -> P2PError {
    let connection_error = match error {
        ConnectError::Connection { source, .. }
        | ConnectError::Connecting { source: ConnectingError::ConnectionError { source, .. }, .. } => Some(source),
        _ => None,
    };
    match connection_error {
        Some(ConnectionError::ConnectionClosed(close))
            if close.error_code == TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL) =>
        {
            P2PError::ProtocolMismatch { peer, protocol: String::from_utf8_lossy(&config.protocol).into_owned() }
        }
        Some(ConnectionError::TimedOut) => P2PError::ConnectTimeout { peer, timeout: config.connect_timeout },
        Some(other) => P2PError::Connect { peer, message: other.to_string() },
        None => P2PError::Connect { peer, message: format!("{error:#}") },
    }
}

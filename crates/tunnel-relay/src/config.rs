//! What a relay is told.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
};

use rustls::pki_types::ServerName;

use crate::{Access, RelayError};

/// The port of a relay without TLS: that of iroh-relay's own development mode.
const HTTP_PORT: u16 = 3340;

/// The directory of Let's Encrypt, from which a client of ACME learns everything else.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// iroh-relay adds a tenth of the rate to the budget of a client every 100 ms; below this there would be nothing to add,
/// and it refuses every client.
const CLIENT_RATE_MIN: u32 = 10;

/// The settings of a [`Relay`](crate::Relay).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RelayConfig {
    /// Where to listen for plain HTTP; port 0 takes any free one. Without [`tls`](Self::tls) this is the relay itself,
    /// by default 127.0.0.1:3340. With it, only the check for captive portals is answered here (`/generate_204`, for
    /// which clients expect port 80), by default nowhere.
    pub http: Option<SocketAddr>,
    /// HTTPS and QUIC address discovery. Default none: plain HTTP.
    pub tls: Option<TlsConfig>,
    /// The name or IP address under which clients reach the relay; it has to be in the certificate. Default the address
    /// that the relay listens on, if that is a particular one.
    pub host: Option<String>,
    /// Who may use the relay. Default everybody who reaches it, as long as it listens on loopback only.
    pub access: Access,
    /// Where to serve metrics, as OpenMetrics text over plain HTTP, to whoever asks. Default nowhere.
    pub metrics: Option<SocketAddr>,
    /// How much each client may send. Default without limit.
    pub client_rate: Option<ClientRate>,
}

/// HTTPS and QUIC address discovery.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsConfig {
    /// Where to listen for HTTPS; port 0 takes any free one.
    pub https: SocketAddr,
    /// Where the certificate comes from.
    pub certificate: Certificate,
    /// The UDP port, on the same IP address, of QUIC address discovery; 0 takes any free one. Default 7842, which is
    /// what clients expect. Without it, peers behind NAT routers seldom find a direct path.
    pub quic_port: Option<u16>,
}

/// Where a certificate comes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Certificate {
    /// PEM files. They are looked at every minute, and read again when the chain is another one.
    Files {
        /// The certificate of the relay, then those between it and the root.
        chain: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// From an authority that speaks ACME (RFC 8555), by its challenge TLS-ALPN-01 (RFC 8737): the authority connects to
    /// port 443 of [`host`](RelayConfig::host). Renewed by itself.
    Acme(AcmeConfig),
}

/// How to get a certificate by ACME.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AcmeConfig {
    /// Where the certificate, the account and their private keys are kept: a directory that only the operator can read.
    /// Without it every start asks for a new certificate, of which authorities give out few.
    pub cache: PathBuf,
    /// The directory URL of the authority. Default [`LETS_ENCRYPT`].
    pub directory: String,
    /// The e-mail address that the authority gets. Default none.
    pub contact: Option<String>,
}

/// How much each client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientRate {
    /// Bytes per second, at least 10. What is above waits, and no more is read from the client meanwhile.
    pub bytes_per_second: u32,
    /// Bytes at once after a pause. Default a tenth of [`bytes_per_second`](Self::bytes_per_second).
    pub burst_bytes: Option<u32>,
}

impl RelayConfig {
    /// The defaults: plain HTTP at 127.0.0.1:3340.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the relay itself listens.
    pub(crate) fn address(&self) -> SocketAddr {
        match &self.tls {
            Some(tls) => tls.https,
            None => self.http.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT))),
        }
    }

    /// The name of the relay, if it has one.
    pub(crate) fn name(&self) -> Result<Option<ServerName<'static>>, RelayError> {
        let name = match (&self.host, self.address().ip()) {
            (Some(host), _) => ServerName::try_from(host.clone()).map_err(|_| {
                let message =
                    format!("{host:?} is neither a DNS name nor an IP address: give it without scheme and port");
                RelayError::Config { field: "host", message }
            })?,
            (None, ip) if ip.is_unspecified() => return Ok(None),
            (None, ip) => ServerName::from(ip),
        };
        Ok(Some(name))
    }
}

impl TlsConfig {
    /// HTTPS at this address, and QUIC address discovery at its usual port.
    #[must_use]
    pub const fn new(https: SocketAddr, certificate: Certificate) -> Self {
        Self { https, certificate, quic_port: Some(iroh_relay::defaults::DEFAULT_RELAY_QUIC_PORT) }
    }
}

impl AcmeConfig {
    /// From Let's Encrypt, kept in this directory.
    #[must_use]
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self { cache: cache.into(), directory: LETS_ENCRYPT.to_owned(), contact: None }
    }
}

impl ClientRate {
    /// This many bytes per second.
    #[must_use]
    pub const fn new(bytes_per_second: u32) -> Self {
        Self { bytes_per_second, burst_bytes: None }
    }

    pub(crate) fn limit(self) -> Result<iroh_relay::server::ClientRateLimit, RelayError> {
        let wrong = |message: &str| RelayError::Config { field: "client-rate", message: message.to_owned() };
        let rate = NonZeroU32::new(self.bytes_per_second)
            .filter(|rate| rate.get() >= CLIENT_RATE_MIN)
            .ok_or_else(|| wrong("give at least 10 bytes per second, or no limit"))?;
        let mut limit = iroh_relay::server::ClientRateLimit::new(rate);
        if let Some(burst) = self.burst_bytes {
            let burst = NonZeroU32::new(burst).ok_or_else(|| wrong("a burst of 0 bytes lets nothing pass"))?;
            limit.max_burst_bytes = Some(burst);
        }
        Ok(limit)
    }
}

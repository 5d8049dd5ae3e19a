//! A relay that runs.

use std::{
    error::Error,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use iroh_metrics::{Registry, service::MetricsServer};
use iroh_relay::server::{self, CertConfig, QuicConfig, Server, ServerConfig, SpawnError};
use rustls::{crypto::ring, pki_types::ServerName};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    Access, Certificate, LETS_ENCRYPT, RelayConfig, RelayError, TlsConfig,
    access::{Guard, Rules},
    certificate::CertificateFiles,
};

/// How long clients may take to let go. Closing a QUIC endpoint waits for three round trips; the rest is instant.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// A relay that runs.
///
/// End it with [`stop`](Self::stop). Dropping it closes its sockets, but clients that are connected may go on being
/// served until their runtime ends, as measured with iroh-relay 1.4.1.
#[derive(Debug)]
pub struct Relay {
    server: Server,
    metrics: Option<MetricsServer>,
    guard: Arc<Guard>,
    files: Option<Arc<CertificateFiles>>,
    needs_ca: bool,
    url: Option<String>,
    http: Option<SocketAddr>,
    _watcher: JoinSet<()>,
}

impl Relay {
    /// Starts a relay on the current runtime. Dropping the future starts nothing.
    pub async fn start(mut config: RelayConfig) -> Result<Self, RelayError> {
        let address = config.address();
        let access = std::mem::take(&mut config.access);
        if matches!(access, Access::LoopbackOnly) && !address.ip().is_loopback() {
            return Err(RelayError::Unprotected { address });
        }
        let name = config.name()?;
        // iroh-relay wants an address for captive-portal checks as soon as there is TLS: one that nobody reaches, then.
        let unused = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let http = if config.tls.is_some() { config.http.unwrap_or(unused) } else { address };
        let mut relay = server::RelayConfig::new(http);
        let guard = Arc::new(Guard::new(Rules::new(access)?));
        relay.access = Arc::<Guard>::clone(&guard);
        relay.limits.client_rx = config.client_rate.map(crate::ClientRate::limit).transpose()?;
        let mut started = ServerConfig::default();
        let mut files = None;
        let mut needs_ca = false;
        if let Some(tls) = &config.tls {
            let (certificate, loaded) = certificate(tls, name.as_ref()).await?;
            needs_ca = match (&tls.certificate, &loaded) {
                (Certificate::Acme(acme), _) => acme.directory != LETS_ENCRYPT,
                (_, loaded) => loaded.as_ref().is_some_and(|files| files.needs_ca()),
            };
            files = loaded;
            relay.tls = Some(server::TlsConfig::new(tls.https, certificate));
            started.quic = tls.quic_port.map(|port| QuicConfig::new(SocketAddr::new(tls.https.ip(), port)));
        }
        started.relay = Some(relay);
        let server = Server::spawn(started).await.map_err(|error| not_started(error, &config, http))?;
        let metrics = match config.metrics {
            Some(address) => Some(serve_metrics(address, &server).await?),
            None => None,
        };
        let mut watcher = JoinSet::new();
        if let Some(files) = &files {
            watcher.spawn(Arc::clone(files).watch());
        }
        let mut relay = Self { server, metrics, guard, files, needs_ca, url: None, http: None, _watcher: watcher };
        relay.http = relay.server.http_addr().filter(|_| config.tls.is_none() || config.http.is_some());
        relay.url = relay.url_of(name.as_ref());
        Ok(relay)
    }

    /// The URL that clients are given; none if the relay listens on all addresses and
    /// [`host`](RelayConfig::host) does not say by which name it is reached.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Where it listens for plain HTTP.
    #[must_use]
    pub const fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where it listens for HTTPS.
    #[must_use]
    pub fn https(&self) -> Option<SocketAddr> {
        self.server.https_addr()
    }

    /// Where it listens for QUIC address discovery (UDP).
    #[must_use]
    pub fn quic(&self) -> Option<SocketAddr> {
        self.server.quic_addr()
    }

    /// Where it serves metrics.
    #[must_use]
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(MetricsServer::local_addr)
    }

    /// Whether clients have to be given the root of its certificate, because it comes from no authority that everybody
    /// knows. As far as that can be said at the start.
    #[must_use]
    pub const fn needs_ca(&self) -> bool {
        self.needs_ca
    }

    /// Decides by this from now on, and says how many connections it ended: those of clients that came in and would not
    /// come in now. A client that is just coming in may escape that until it connects again.
    ///
    /// If the access is wrong, or would open a relay to a network that was not open, the old one stays.
    pub fn set_access(&self, access: Access) -> Result<usize, RelayError> {
        let address = self.https().or(self.http).filter(|address| !address.ip().is_loopback());
        if let (Access::LoopbackOnly, Some(address)) = (&access, address) {
            return Err(RelayError::Unprotected { address });
        }
        let outsiders = self.guard.replace(Rules::new(access)?);
        let Some(service) = self.server.relay_service() else { return Ok(0) };
        let clients = service.clients();
        Ok(outsiders.into_iter().filter(|(peer, connection)| clients.disconnect(*peer, Some(*connection))).count())
    }

    /// Reads the files of the certificate again and says whether it is another one. If they cannot be used, the old one
    /// stays. Dropping the future leaves either.
    pub async fn reload_certificate(&self) -> Result<bool, RelayError> {
        match &self.files {
            Some(files) => files.reload().await,
            None => Ok(false),
        }
    }

    /// Waits until the relay ends by itself, which it does only if something is broken. Cancel safe.
    pub async fn finished(&mut self) -> RelayError {
        let source: Box<dyn Error + Send + Sync> = match self.server.join().await {
            Ok(Ok(())) => "it ended without an error".into(),
            Ok(Err(error)) => Box::new(error),
            Err(error) => Box::new(error),
        };
        RelayError::Server { source }
    }

    /// Closes all connections and then the sockets. Dropping the future drops the relay.
    pub async fn stop(self) {
        let Self { server, metrics, .. } = self;
        let stopping = async {
            if let Some(metrics) = metrics {
                metrics.shutdown().await;
            }
            // It has nothing left to say that would be of use.
            _ = server.shutdown().await;
        };
        _ = timeout(STOP_TIMEOUT, stopping).await;
    }

    fn url_of(&self, name: Option<&ServerName<'static>>) -> Option<String> {
        let (scheme, usual_port, address) = match self.https() {
            Some(address) => ("https", 443, address),
            None => ("http", 80, self.http?),
        };
        let host = match name? {
            ServerName::IpAddress(ip) => match IpAddr::from(*ip) {
                IpAddr::V6(ip) => format!("[{ip}]"),
                IpAddr::V4(ip) => ip.to_string(),
            },
            name => name.to_str().into_owned(),
        };
        let port = if address.port() == usual_port { String::new() } else { format!(":{}", address.port()) };
        Some(format!("{scheme}://{host}{port}"))
    }
}

/// The certificate for iroh-relay, and the files from which it comes.
async fn certificate(
    tls: &TlsConfig,
    name: Option<&ServerName<'static>>,
) -> Result<(CertConfig, Option<Arc<CertificateFiles>>), RelayError> {
    let provider = Arc::new(ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| RelayError::Server { source: Box::new(error) })?
        .with_no_client_auth();
    match &tls.certificate {
        Certificate::Files { chain, key } => {
            let files = CertificateFiles::load(chain.clone(), key.clone(), name.cloned(), provider).await?;
            let files = Arc::new(files);
            let resolver: Arc<CertificateFiles> = Arc::clone(&files);
            let server_config = builder.with_cert_resolver(resolver);
            Ok((CertConfig::Manual { server_config }, Some(files)))
        }
        Certificate::Acme(acme) => {
            let wrong = |field, message: &str| RelayError::Config { field, message: message.to_owned() };
            let Some(name @ ServerName::DnsName(_)) = name else {
                return Err(wrong("host", "a certificate by ACME is for a DNS name: give the one that leads here"));
            };
            if !acme.directory.starts_with("https://") {
                return Err(wrong(
                    "acme-directory",
                    "the directory of an authority has a URL that begins with https://",
                ));
            }
            let contact = match &acme.contact {
                None => Vec::new(),
                Some(contact) if contact.contains('@') && !contact.starts_with("mailto:") => {
                    vec![format!("mailto:{contact}")]
                }
                Some(_) => return Err(wrong("acme-contact", "give an e-mail address, such as me@example.org")),
            };
            let acme_config = server::AcmeConfig::new(acme.directory.clone())
                .domains(vec![name.to_str().into_owned()])
                .contact(contact)
                .cache_path(acme.cache.clone());
            Ok((CertConfig::LetsEncrypt { acme_config, server_config_builder: builder }, None))
        }
    }
}

async fn serve_metrics(address: SocketAddr, server: &Server) -> Result<MetricsServer, RelayError> {
    let mut registry = Registry::default();
    registry.register_all(server.metrics());
    MetricsServer::spawn(address, Arc::new(registry)).await.map_err(|error| RelayError::Bind {
        service: "metrics",
        address,
        kind: error.kind(),
        source: Box::new(error),
    })
}

fn not_started(error: SpawnError, config: &RelayConfig, http: SocketAddr) -> RelayError {
    let (service, address) = match (&error, &config.tls) {
        (SpawnError::BindTcpListener { addr, .. }, Some(_)) => ("HTTPS", *addr),
        (SpawnError::BindTcpListener { addr, .. }, None) => ("HTTP", *addr),
        (SpawnError::BindTlsListener { .. }, _) => ("HTTP", http),
        (SpawnError::QuicSpawn { .. }, Some(TlsConfig { https, quic_port: Some(port), .. })) => {
            ("QUIC", SocketAddr::new(https.ip(), *port))
        }
        _ => return RelayError::Server { source: Box::new(error) },
    };
    match io_error(&error) {
        Some(source) => RelayError::Bind { service, address, kind: source.kind(), source: source.to_string().into() },
        None => RelayError::Server { source: Box::new(error) },
    }
}

/// What the operating system said.
fn io_error<'a>(mut error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    loop {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        error = error.source()?;
    }
}

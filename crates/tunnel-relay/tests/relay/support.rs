//! Endpoints, certificates and the little HTTP that the tests need.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use iroh::{Endpoint, RelayConfig, RelayMode, SecretKey, Watcher, endpoint::presets, tls::CaTlsConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tunnel_relay::{Access, Certificate, Relay, RelayConfig as Config, TlsConfig};

/// What is slower than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

const PROTOCOL: &[u8] = b"relay-test/1";

/// Any port of 127.0.0.1.
pub(crate) const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Waits for what must happen.
pub(crate) fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    // Boxed, because some futures of the endpoint take over 20 KiB.
    let future = Box::pin(future);
    async { timeout(PATIENCE, future).await.expect("nothing happened for 30 s") }
}

/// A relay without TLS.
pub(crate) async fn relay(access: Access) -> Relay {
    let mut config = Config::new();
    config.http = Some(ANY);
    config.access = access;
    start(config).await
}

/// A relay that starts.
pub(crate) async fn start(config: Config) -> Relay {
    soon(Relay::start(config)).await.expect("the relay starts")
}

/// What a client knows.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) key: SecretKey,
    pub(crate) token: Option<String>,
    pub(crate) roots: Vec<CertificateDer<'static>>,
}

impl Client {
    /// A stranger.
    pub(crate) fn new() -> Self {
        Self { key: SecretKey::generate(), token: None, roots: Vec::new() }
    }

    /// One with this token.
    pub(crate) fn with_token(token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..Self::new() }
    }

    /// One that trusts this authority.
    pub(crate) fn trusting(authority: &Authority) -> Self {
        Self { roots: vec![authority.issuer.der().clone()], ..Self::new() }
    }

    /// Its endpoint, which has no way but this relay.
    pub(crate) async fn bind(self, relay: &Relay) -> Endpoint {
        self.builder(relay).clear_ip_transports().bind().await.expect("an endpoint without sockets")
    }

    /// Its endpoint, on loopback.
    pub(crate) async fn bind_with_udp(self, relay: &Relay) -> Endpoint {
        let builder = self.builder(relay).clear_ip_transports().bind_addr(ANY).expect("an address");
        builder.bind().await.expect("loopback can be bound")
    }

    fn builder(self, relay: &Relay) -> iroh::endpoint::Builder {
        let url = relay.url().expect("a relay on loopback has a URL").parse().expect("it is one");
        let quic = relay.quic().map(|address| iroh_relay::RelayQuicConfig::new(address.port()));
        let mut config = RelayConfig::new(url, quic);
        if let Some(token) = self.token {
            config = config.with_auth_token(token);
        }
        Endpoint::builder(presets::Minimal)
            .secret_key(self.key)
            .alpns(vec![PROTOCOL.to_vec()])
            .relay_mode(RelayMode::Custom([config].into_iter().collect()))
            .ca_tls_config(CaTlsConfig::embedded().with_extra_roots(self.roots))
    }
}

/// Sends a word from one to the other, and back.
pub(crate) async fn echo(one: &Endpoint, other: &Endpoint) {
    let answering = async {
        let connection = other.accept().await.expect("the endpoint is open").await.expect("a connection");
        let (mut send, mut receive) = connection.accept_bi().await.expect("a stream");
        let word = receive.read_to_end(100).await.expect("a word");
        send.write_all(&word).await.expect("the stream is open");
        send.finish().expect("the stream is open");
        connection.closed().await;
    };
    let asking = async {
        let connection = one.connect(other.addr(), PROTOCOL).await.expect("a connection");
        let (mut send, mut receive) = connection.open_bi().await.expect("a stream");
        send.write_all(b"word").await.expect("the stream is open");
        send.finish().expect("the stream is open");
        assert_eq!(receive.read_to_end(100).await.expect("the word"), b"word");
        connection.close(0u32.into(), b"");
    };
    soon(async { tokio::join!(answering, asking) }).await;
}

/// Waits until the endpoint is at its relay.
pub(crate) async fn online(endpoint: &Endpoint) {
    soon(endpoint.online()).await;
}

/// Waits until the relay refuses the endpoint, and returns the reason that its operator gets to see.
pub(crate) async fn refusal(endpoint: &Endpoint) -> String {
    let mut status = endpoint.home_relay_status();
    soon(async {
        loop {
            let reason = status.get().iter().find_map(|relay| relay.auth_denied_reason().map(str::to_owned));
            if let Some(reason) = reason {
                return reason;
            }
            status.updated().await.expect("the endpoint is open");
        }
    })
    .await
}

/// An authority that nobody knows.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate") }
    }

    /// A new certificate for this name or address, and its key, as files in the directory.
    pub(crate) fn issue(&self, directory: &TempDir, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let files = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
        fs::write(&files.0, certificate.pem()).expect("the directory is ours");
        fs::write(&files.1, key.serialize_pem()).expect("the directory is ours");
        files
    }

    /// The settings of a relay at 127.0.0.1 with such a certificate.
    pub(crate) fn config(&self, directory: &TempDir) -> Config {
        let (chain, key) = self.issue(directory, "127.0.0.1");
        let mut config = Config::new();
        let mut tls = TlsConfig::new(ANY, Certificate::Files { chain, key });
        tls.quic_port = Some(0);
        config.tls = Some(tls);
        config
    }

    /// Its own certificate.
    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }
}

/// A GET; status line, head and body as they came.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    soon(async {
        let mut stream = TcpStream::connect(address).await.expect("somebody listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    })
    .await
}

/// A metric of the relay; 0 if there is none of this name.
pub(crate) async fn metric(relay: &Relay, name: &str) -> u64 {
    let text = get(relay.metrics().expect("it serves metrics"), "/metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')));
    line.map_or(0, |value| value.trim().parse().expect("a number"))
}

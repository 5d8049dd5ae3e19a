//! Connections to the tunnel server: TCP, and TLS on it.

use std::{io, time::Duration};

use tokio::net::TcpStream;
use tunnel_core::FailureKind;
use tunnel_http::{HttpClient, HttpClientConfig, HttpPeer, WsLimits};

use crate::{LegacyError, TunnelUrl};

/// The settings of a client of the tunnel server.
pub(crate) fn http_config(url: &TunnelUrl, timeouts: Timeouts, ws: WsLimits) -> HttpClientConfig {
    HttpClientConfig {
        peer: HttpPeer {
            name: format!("the tunnel server at {url}"),
            unreachable: FailureKind::Unreachable,
            silent: FailureKind::Timeout,
            broke_off: FailureKind::ConnectionLost,
        },
        connect_timeout: timeouts.connect,
        head_timeout: timeouts.head,
        body_idle_timeout: timeouts.body_idle,
        pool_idle_max: 32,
        // Below the 5 s after which actix closes.
        pool_idle_timeout: Duration::from_secs(4),
        keep_after_bodiless: false,
        header_bytes_max: 128 * 1024,
        ws,
    }
}

/// How long the tunnel server may take.
#[derive(Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) head: Duration,
    pub(crate) body_idle: Duration,
}

/// A client over TCP, with TLS if the address says so.
pub(crate) fn http_client(url: &TunnelUrl, config: HttpClientConfig) -> Result<HttpClient, LegacyError> {
    let (host, port) = (url.host().to_owned(), url.port());
    if url.is_tls() {
        return tls::http_client(host, port, config);
    }
    Ok(HttpClient::new(config, move || tcp(host.clone(), port)))
}

/// Connects, with Nagle's algorithm off: with it a second small write waits 40 ms for the peer's delayed ACK.
async fn tcp(host: String, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(feature = "tls")]
mod tls {
    use std::sync::Arc;

    use rustls_platform_verifier::BuilderVerifierExt;
    use tokio_rustls::{
        TlsConnector,
        rustls::{ClientConfig, crypto::ring, pki_types::ServerName},
    };
    use tunnel_http::{HttpClient, HttpClientConfig};

    use super::tcp;
    use crate::LegacyError;

    pub(super) fn http_client(host: String, port: u16, config: HttpClientConfig) -> Result<HttpClient, LegacyError> {
        let name = ServerName::try_from(host.clone())
            .map_err(|_| LegacyError::config("url", "the host is neither a name nor an IP address"))?;
        let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(|error| LegacyError::Tls(Box::new(error)))?
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(tls));
        Ok(HttpClient::new(config, move || {
            let (host, name, connector) = (host.clone(), name.clone(), connector.clone());
            async move { connector.connect(name, tcp(host, port).await?).await }
        }))
    }
}

#[cfg(not(feature = "tls"))]
mod tls {
    use tunnel_http::{HttpClient, HttpClientConfig};

    use crate::LegacyError;

    pub(super) fn http_client(_: String, _: u16, _: HttpClientConfig) -> Result<HttpClient, LegacyError> {
        Err(LegacyError::config("url", "this program was built without TLS: use http://, or build the feature `tls`"))
    }
}

//! Questions to one relay, or one lookup, each on a connection of its own: for those who look for what is wrong.

use std::{error::Error, io, time::Duration};

use iroh::{
    EndpointId,
    address_lookup::{N0_DNS_ENDPOINT_ORIGIN_PROD, N0_DNS_PKARR_RELAY_PROD},
    dns::{DnsError, DnsResolver},
    tls::{CaTlsConfig, default_provider},
};
use iroh_relay::{
    client::{ClientBuilder, ConnectError, DialError},
    http::RELAY_PROBE_PATH,
    protos::handshake,
};
use reqwest::{StatusCode, header::DATE, redirect::Policy};
use tokio::time::{Instant, timeout};
use url::Url;

use super::config::{IrohConfig, Lookup, Relay, relay_url};
use crate::PeerId;

/// What a relay said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayAnswer {
    /// From the first packet to the answer: with the handshakes of TCP and TLS, and the look-up of its name.
    pub latency: Duration,
    /// What time it is there: the header `Date`, as it came.
    pub date: Option<String>,
}

/// A relay, or a lookup, is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// Local: no such URL can be.
    #[error("{0}")]
    Url(String),
    /// Local or network: its name has no address.
    #[error("its name cannot be resolved ({0})")]
    Name(String),
    /// Network: no connection.
    #[error("it cannot be reached ({0})")]
    Unreachable(String),
    /// Network: nothing comes back.
    #[error("it does not answer within {0:?}")]
    Silent(Duration),
    /// Peer or local: the certificate is not for it, is not of a known authority, or is out of its time.
    #[error("its certificate is not accepted ({0})")]
    Certificate(String),
    /// Peer: something else is there.
    #[error("what answers there is something else ({0})")]
    Other(String),
    /// Peer: it does not let this peer in.
    #[error("it lets this peer not in ({0})")]
    Denied(String),
}

/// Asks a relay whether it is there, over HTTP, as anybody may. Dropping the future breaks the question off.
pub async fn ask_relay(relay: &Relay, config: &IrohConfig, patience: Duration) -> Result<RelayAnswer, CheckError> {
    let mut url: Url = relay_url(&relay.url).map_err(|error| CheckError::Url(error.to_string()))?.into();
    url.set_path(RELAY_PROBE_PATH);
    let client = http_client(config, patience)?;
    let began = Instant::now();
    let response = client.get(url).send().await.map_err(|error| of_http(&error, patience))?;
    if response.status() != StatusCode::OK {
        return Err(CheckError::Other(format!("{} to GET {RELAY_PROBE_PATH}", response.status())));
    }
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
    Ok(RelayAnswer { latency: began.elapsed(), date })
}

/// Connects to a relay as a peer does that wants to be reached through it. Dropping the future leaves it.
///
/// A relay sends what is for a key to the last one who came with it: give a key that nobody else uses at this time.
pub async fn enter_relay(relay: &Relay, config: &IrohConfig, patience: Duration) -> Result<(), CheckError> {
    let url = relay_url(&relay.url).map_err(|error| CheckError::Url(error.to_string()))?;
    let key = iroh::SecretKey::from_bytes(&config.secret_key.to_bytes());
    let mut builder = ClientBuilder::new(url, key, DnsResolver::new()).tls_client_config(tls(config)?);
    if let Some(token) = &relay.token {
        builder = builder.auth_token(token.clone());
    }
    match timeout(patience, Box::pin(builder.connect())).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(of_relay(&error, patience)),
        Err(_) => Err(CheckError::Silent(patience)),
    }
}

/// Asks a lookup for a peer: whether it knows it. That it answers at all is what shows that it works.
///
/// `None` for [`Lookup::Mdns`], where nobody answers for a peer but itself. Dropping the future breaks the question off.
pub async fn ask_lookup(
    lookup: &Lookup,
    peer: PeerId,
    config: &IrohConfig,
    patience: Duration,
) -> Result<Option<bool>, CheckError> {
    let id = EndpointId::from_bytes(&peer.0).map_err(|error| CheckError::Url(error.to_string()))?;
    match lookup {
        Lookup::Mdns => Ok(None),
        Lookup::Pkarr(url) => ask_pkarr(url, id, config, patience).await.map(Some),
        Lookup::Dns(zone) => ask_dns(zone, id, patience).await.map(Some),
        Lookup::N0 => {
            let (pkarr, dns) = tokio::join!(
                ask_pkarr(N0_DNS_PKARR_RELAY_PROD, id, config, patience),
                ask_dns(N0_DNS_ENDPOINT_ORIGIN_PROD, id, patience),
            );
            Ok(Some(pkarr? | dns?))
        }
    }
}

async fn ask_pkarr(url: &str, id: EndpointId, config: &IrohConfig, patience: Duration) -> Result<bool, CheckError> {
    let mut url: Url = url.parse().map_err(|error: url::ParseError| CheckError::Url(error.to_string()))?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(&id.to_z32());
    }
    let response = http_client(config, patience)?.get(url).send().await.map_err(|error| of_http(&error, patience))?;
    match response.status() {
        StatusCode::OK => Ok(true),
        StatusCode::NOT_FOUND => Ok(false),
        status => Err(CheckError::Other(format!("{status} to the question for a peer"))),
    }
}

async fn ask_dns(zone: &str, id: EndpointId, patience: Duration) -> Result<bool, CheckError> {
    let name = format!("_iroh.{}.{}", id.to_z32(), zone.trim_end_matches('.'));
    match DnsResolver::new().lookup_txt(name, patience).await {
        Ok(_) => Ok(true),
        Err(DnsError::NxDomain { .. } | DnsError::NoResponse { .. }) => Ok(false),
        Err(DnsError::Timeout { .. }) => Err(CheckError::Silent(patience)),
        Err(other) => Err(CheckError::Name(format!("{other:#}"))),
    }
}

fn tls(config: &IrohConfig) -> Result<rustls::ClientConfig, CheckError> {
    CaTlsConfig::embedded()
        .with_extra_roots(config.root_certificates.iter().cloned())
        .client_config(default_provider())
        .map_err(|error| CheckError::Certificate(error.to_string()))
}

fn http_client(config: &IrohConfig, patience: Duration) -> Result<reqwest::Client, CheckError> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(config)?)
        .redirect(Policy::none())
        // As Iroh does: what its peers could not use would only mislead.
        .no_proxy()
        .timeout(patience);
    builder.build().map_err(|error| CheckError::Unreachable(causes(&error).pop().unwrap_or_else(|| error.to_string())))
}

fn of_http(error: &reqwest::Error, patience: Duration) -> CheckError {
    if error.is_timeout() {
        return CheckError::Silent(patience);
    }
    let causes = causes(error);
    let innermost = causes.last().cloned().unwrap_or_else(|| error.to_string());
    if causes.iter().any(|cause| cause == "dns error") {
        CheckError::Name(innermost)
    } else if let Some(cause) = causes.iter().find(|cause| is_certificate(cause)) {
        CheckError::Certificate(cause.clone())
    } else if error.is_connect() {
        CheckError::Unreachable(innermost)
    } else {
        CheckError::Other(innermost)
    }
}

fn of_relay(error: &ConnectError, patience: Duration) -> CheckError {
    match error {
        ConnectError::Handshake { source: handshake::Error::ServerDeniedAuth { reason, .. }, .. } => {
            CheckError::Denied(reason.clone())
        }
        ConnectError::Dial { source: DialError::Dns { source, .. }, .. } => CheckError::Name(format!("{source:#}")),
        ConnectError::Dial { source: DialError::Timeout { .. }, .. } => CheckError::Silent(patience),
        ConnectError::Dial { source: DialError::Io { source, .. }, .. } | ConnectError::Tls { source, .. } => {
            of_io(source)
        }
        other => CheckError::Other(format!("{other:#}")),
    }
}

fn of_io(error: &io::Error) -> CheckError {
    let text = error.to_string();
    if is_certificate(&text) { CheckError::Certificate(text) } else { CheckError::Unreachable(text) }
}

/// How rustls begins what it says of the certificate of the other side.
fn is_certificate(text: &str) -> bool {
    text.contains("invalid peer certificate")
}

/// What is behind an error, the innermost last; reqwest's own words are only that a request failed.
fn causes(error: &dyn Error) -> Vec<String> {
    std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;
    use crate::SecretKey;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn config() -> IrohConfig {
        IrohConfig::loopback(SecretKey::generate())
    }

    #[tokio::test]
    async fn nobody_at_the_address_of_a_relay_is_unreachable() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        for relay in [Relay::new(format!("http://{free}")), Relay::new(format!("https://{free}"))] {
            let error = ask_relay(&relay, &config(), PATIENCE).await.unwrap_err();
            assert!(matches!(error, CheckError::Unreachable(_)), "{error}");
            let error = enter_relay(&relay, &config(), PATIENCE).await.unwrap_err();
            assert!(matches!(error, CheckError::Unreachable(_)), "{error}");
        }
    }

    #[tokio::test]
    async fn a_relay_that_says_nothing_is_silent() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Relay::new(format!("http://{}", listener.local_addr().unwrap()));
        let patience = Duration::from_millis(200);
        assert_eq!(ask_relay(&relay, &config(), patience).await, Err(CheckError::Silent(patience)));
        assert_eq!(enter_relay(&relay, &config(), patience).await, Err(CheckError::Silent(patience)));
    }

    #[tokio::test]
    async fn what_is_no_url_is_said_to_be_none() {
        let error = ask_relay(&Relay::new("relay"), &config(), PATIENCE).await.unwrap_err();
        assert!(matches!(&error, CheckError::Url(text) if text.contains("https://")), "{error}");
    }

    #[tokio::test]
    async fn nobody_is_asked_for_a_peer_on_the_lan() {
        let peer = super::super::peer_id(&SecretKey::generate());
        assert_eq!(ask_lookup(&Lookup::Mdns, peer, &config(), PATIENCE).await, Ok(None));
    }
}

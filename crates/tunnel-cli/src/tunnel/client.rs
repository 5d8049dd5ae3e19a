//! The gateway's client of a tunnel server, with a signature that is kept fresh.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::sleep;
use tunnel_core::{Failure, FailureKind, Health, Request, Response, SendError, Transport, WsOpen, WsUpgrade};
use tunnel_edge::AuthServer;
use tunnel_legacy::{AuthClient, LegacyClient, LegacyConfig};
use tunnel_p2p::pairing::is_pairing_request;

use super::not_usable;
use crate::error::CliError;

/// A signature lasts 14 days at the tunnel server.
const RENEW_INTERVAL: Duration = Duration::from_hours(24);
/// A tunnel server that is away comes back; one that refuses the token may be given another database.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// How often the tunnel server is asked whether it is there, so that operators know it before it is needed.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
const PROBE_INTERVAL_AWAY: Duration = Duration::from_secs(5);

/// Requests through the tunnel server. Clones share everything.
///
/// WebSockets and media paths want a signature. If none is configured, but a token and a client id, it is fetched, and
/// fetched again every day.
#[derive(Clone)]
pub(crate) struct TunnelClient {
    config: LegacyConfig,
    current: Arc<Mutex<Arc<LegacyClient>>>,
}

impl TunnelClient {
    /// Connects only when a request comes.
    pub(crate) fn new(config: LegacyConfig) -> Result<Self, CliError> {
        let client = LegacyClient::new(config.clone()).map_err(not_usable)?;
        Ok(Self { config, current: Arc::new(Mutex::new(Arc::new(client))) })
    }

    /// For the gateway's own question, which apps cannot ask in its name.
    pub(crate) fn for_pairing(&self) -> Arc<dyn Transport> {
        Arc::new(ForPairing(self.clone()))
    }

    /// Keeps the signature fresh, and what is known of the tunnel server. Never ends; dropping the future stops it.
    pub(crate) async fn keep_fresh(&self) {
        tokio::join!(self.keep_signed(), self.keep_probed());
    }

    async fn keep_probed(&self) {
        loop {
            let there = self.probe().await.is_ok();
            sleep(if there { PROBE_INTERVAL } else { PROBE_INTERVAL_AWAY }).await;
        }
    }

    async fn keep_signed(&self) {
        let LegacyConfig { signature: None, token: Some(token), client_id: Some(client_id), url, .. } = &self.config
        else {
            return std::future::pending().await;
        };
        let auth = match AuthClient::new(url.clone()) {
            Ok(auth) => auth,
            Err(error) => {
                tracing::error!(%error, "no signature can be fetched");
                return std::future::pending().await;
            }
        };
        loop {
            let renewed = match auth.signature_token(client_id, token).await {
                Ok(signature) => self.sign(signature).await,
                Err(failure) => Err(failure.to_string()),
            };
            match renewed {
                Ok(()) => {
                    tracing::info!("fetched a signature from the tunnel server");
                    sleep(RENEW_INTERVAL).await;
                }
                Err(error) => {
                    tracing::warn!("WebSockets and media cannot take the tunnel server yet: {error}");
                    sleep(RETRY_INTERVAL).await;
                }
            }
        }
    }

    /// Requests under way stay with the client that they began with.
    async fn sign(&self, signature: String) -> Result<(), String> {
        let mut config = self.config.clone();
        config.signature = Some(signature);
        let client = LegacyClient::new(config).map_err(|error| error.to_string())?;
        // So that it knows from the start whether the tunnel server is there.
        let _ = client.probe().await;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(client);
        Ok(())
    }

    fn current(&self) -> Arc<LegacyClient> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Transport for TunnelClient {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        match may_pass(&request) {
            Ok(()) => self.current().send(request).await,
            Err(failure) => Err(SendError::undelivered(failure, request)),
        }
    }

    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        self.current().open_ws(open).await
    }

    fn health(&self) -> Health {
        self.current().health()
    }

    fn can_carry(&self, request: &Request) -> Result<(), Failure> {
        may_pass(request)?;
        self.current().can_carry(request)
    }

    fn can_carry_ws(&self, open: &WsOpen) -> Result<(), Failure> {
        self.current().can_carry_ws(open)
    }

    fn body_bytes_max(&self) -> Option<usize> {
        self.current().body_bytes_max()
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.current().probe().await
    }
}

/// An app, or a web page in a browser, must not have the host let in a key by way of this gateway's token.
fn may_pass(request: &Request) -> Result<(), Failure> {
    if is_pairing_request(&request.head) {
        return Err(Failure::new(FailureKind::Unsupported, "only the gateway itself pairs with its host"));
    }
    Ok(())
}

/// The same way without that rule.
struct ForPairing(TunnelClient);

#[async_trait]
impl Transport for ForPairing {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        self.0.current().send(request).await
    }

    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        self.0.open_ws(open).await
    }

    fn health(&self) -> Health {
        self.0.health()
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.0.probe().await
    }
}

#[async_trait]
impl AuthServer for TunnelClient {
    async fn pass(&self, request: Request) -> Result<Response, SendError> {
        self.current().pass(request).await
    }
}

//! The host's side: answers those who want to pair, and passes everything else on.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use p2p_provider::PeerAddr;
use tokio::{task::spawn_blocking, time::timeout};
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Request, RequestHead, Response, WsOpen, WsUpgrade, convert::to_http,
};

use super::{
    AuthorizeError, AuthorizedPeers,
    message::{Answer, MESSAGE_BYTES_MAX, Question, Refusal, is_pairing_request, peer},
};
use crate::Ticket;

/// A question is a few hundred bytes in one piece.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Handles the requests that come **through the tunnel server**: lets in the keys of those who ask for it at
/// [`PAIRING_PATH`](super::PAIRING_PATH), and passes every other request to the handler behind it.
///
/// The tunnel server has authenticated whoever asks. Requests on another way must not come here: whoever can send one is
/// let in for good, until the key is revoked.
///
/// ```
/// use std::sync::Arc;
///
/// use p2p_provider::{P2PProvider, SecretKey, iroh::{IrohConfig, IrohP2P}};
/// use tunnel_core::Handler;
/// use tunnel_p2p::{Host, HostConfig, TicketSecret, pairing::{AuthorizedPeers, PairingHandler}};
///
/// # async fn start(service: Arc<dyn Handler>, state: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
/// let peers = Arc::new(AuthorizedPeers::open(state.join("peers"))?);
/// let mut config = HostConfig::new(TicketSecret::generate());
/// config.peers = Some(Arc::clone(&peers));
/// let provider = IrohP2P::bind(IrohConfig::new(SecretKey::generate())).await?;
/// let host = Host::start(provider.clone(), Arc::clone(&service), config).await?;
///
/// // This one goes to `tunnel_legacy::LegacyHost`, or whatever else holds the connection to the tunnel server.
/// let through_the_tunnel = PairingHandler::new(service, peers, move || Some(provider.local_addr()));
/// # let _: (Host<IrohP2P>, PairingHandler) = (host, through_the_tunnel);
/// # Ok(())
/// # }
/// ```
pub struct PairingHandler {
    inner: Arc<dyn Handler>,
    peers: Arc<AuthorizedPeers>,
    address: Box<dyn Fn() -> Option<PeerAddr> + Send + Sync>,
    client_id: Option<String>,
}

impl PairingHandler {
    /// Passes what is no question of pairing to `inner`; `address` is where the host can be reached at that
    /// moment; without one nobody is paired.
    pub fn new(
        inner: Arc<dyn Handler>,
        peers: Arc<AuthorizedPeers>,
        address: impl Fn() -> Option<PeerAddr> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, peers, address: Box::new(address), client_id: None }
    }

    /// Refuses those who mean another client id.
    #[must_use]
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    async fn pair(&self, request: Request) -> Response {
        let (method, body) = match request.head {
            RequestHead::Http(parts) => (parts.method, request.body),
            RequestHead::Tunnel(tunnel) => match to_http(*tunnel) {
                Ok((parts, body)) => (parts.method, body),
                Err(failure) => return refused(Refusal::Invalid, failure.message()),
            },
        };
        if method != Method::POST {
            let mut response = refused(Refusal::Invalid, "pairing is asked for by POST");
            response.status = StatusCode::METHOD_NOT_ALLOWED;
            response.headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let question = match timeout(BODY_TIMEOUT, collect(body)).await {
            Ok(Ok(question)) => question,
            Ok(Err(response)) => return response,
            Err(_) => return status(StatusCode::REQUEST_TIMEOUT, "the question did not arrive in time"),
        };
        self.answer(&question).await
    }

    async fn answer(&self, question: &[u8]) -> Response {
        let question: Question<'_> = match serde_json::from_slice(question) {
            Ok(question) => question,
            Err(error) => return refused(Refusal::Invalid, &format!("the question is not understood: {error}")),
        };
        let Some(peer) = peer(&question.peer_id) else {
            return refused(Refusal::Invalid, "peer_id: a peer id is 64 hex digits");
        };
        if let (Some(wanted), Some(ours)) = (&question.client_id, &self.client_id)
            && wanted != ours
        {
            return refused(Refusal::ClientId, "this host serves another client id");
        }
        let client_id = question.client_id.map(std::borrow::Cow::into_owned).or_else(|| self.client_id.clone());
        let name = question.name.unwrap_or_default().into_owned();
        let Some(host) = (self.address)() else {
            return refused(Refusal::Unavailable, "this host is not open to peers at this moment");
        };
        let peers = Arc::clone(&self.peers);
        let paired = spawn_blocking(move || peers.pair(peer, client_id.as_deref(), &name)).await;
        match paired {
            Ok(Ok(())) => {
                tracing::info!(peer = %peer.short(), "paired through the tunnel server");
                let ticket = Ticket { host, secret: None }.to_string();
                response(StatusCode::OK, &Answer::Paired { ticket })
            }
            Ok(Err(error @ AuthorizeError::Revoked { .. })) => {
                tracing::warn!(peer = %peer.short(), "refused to pair: the key is revoked");
                refused(Refusal::Revoked, &format!("{error}; its owner can allow it again"))
            }
            Ok(Err(error @ AuthorizeError::Full { .. })) => {
                tracing::error!(peer = %peer.short(), "refused to pair: {error}");
                refused(Refusal::Full, "the host's list of peers is full; its owner has to remove some")
            }
            Ok(Err(AuthorizeError::File(error))) => {
                tracing::error!(peer = %peer.short(), "cannot pair: {error}");
                refused(Refusal::Unavailable, "the host cannot use its list of peers; its log says why")
            }
            Err(_) => refused(Refusal::Unavailable, "the host is stopping"),
        }
    }
}

#[async_trait]
impl Handler for PairingHandler {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        if is_pairing_request(&request.head) { Ok(self.pair(request).await) } else { self.inner.http(request).await }
    }

    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        self.inner.ws(open).await
    }
}

impl fmt::Debug for PairingHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairingHandler").field("peers", &self.peers.path()).finish_non_exhaustive()
    }
}

/// The body, if it is short.
async fn collect(body: Body) -> Result<Vec<u8>, Response> {
    let mut collected = Vec::new();
    match read(body, MESSAGE_BYTES_MAX, &mut collected).await {
        Ok(()) => Ok(collected),
        Err(failure) if failure.kind() == FailureKind::TooLarge => {
            Err(status(StatusCode::PAYLOAD_TOO_LARGE, failure.message()))
        }
        Err(failure) => Err(refused(Refusal::Invalid, failure.message())),
    }
}

/// Reads a body to its end, unless it is too long.
pub(super) async fn read(body: Body, bytes_max: usize, into: &mut Vec<u8>) -> Result<(), Failure> {
    let mut body = std::pin::pin!(body);
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(piece) = frame?.into_data() else { continue };
        if into.len() + piece.len() > bytes_max {
            return Err(Failure::new(FailureKind::TooLarge, format!("it is over {bytes_max} bytes long")));
        }
        into.extend_from_slice(&piece);
    }
    Ok(())
}

fn refused(refusal: Refusal, message: &str) -> Response {
    response(refusal.status(), &Answer::Refused { pairing_refused: refusal, message: message.to_owned() })
}

fn status(status: StatusCode, message: &str) -> Response {
    Response { status, ..refused(Refusal::Invalid, message) }
}

fn response(status: StatusCode, answer: &Answer) -> Response {
    // Texts only, of which serde_json writes each.
    let body = serde_json::to_vec(answer).unwrap_or_default();
    let mut response = Response::new(status, Body::full(Bytes::from(body)));
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

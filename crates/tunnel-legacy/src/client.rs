//! The client side: requests to a home server by way of the tunnel server's public API.

mod collect;
mod config;
mod head;
mod health;
mod if_range;
mod places;
mod verdict;
mod websocket;

use std::io;

use async_trait::async_trait;
use http::{StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite};
use tunnel_core::{
    Body, Failure, FailureKind, Health, PathKind, Request, RequestHead, Response, SendError, Transport, TransportKind,
    Via, WsOpen, WsUpgrade,
    convert::{PAYLOAD_BYTES_MAX, to_http},
};
use tunnel_http::{HttpClient, HttpError, fields};

pub use config::LegacyConfig;

use self::{
    collect::NotCollected,
    head::{Prepared, Rules},
    health::Standing,
    places::Places,
    verdict::{Credential, Verdict},
};
use crate::{LegacyError, connect};

const VIA: Via = Via { transport: TransportKind::Legacy, path: PathKind::Server, reason: None };

/// Sends requests through a tunnel server.
///
/// What the tunnel would lose of a request is known before it is sent: [`LegacyConfig::losses`] says what may be, and the
/// rest is refused, never altered. What is not said by an answer cannot be known here:
///
/// - whether a request that got none was carried out; only the tunnel server's own refusals (401, 424), a host of ours that
///   says so, and a connection that could not be made are proof that it was not;
/// - whether a body without `content-length` is whole. The published tunnel server may end one that broke off as if it
///   were. One with a length, and one that ends without its end, are told apart.
///
/// Dropping the future of a call, or the body of its response, closes the connection to the tunnel server. The published
/// one tells the home server so when it comes to send more.
pub struct LegacyClient {
    config: LegacyConfig,
    rules: Rules,
    http: HttpClient,
    standing: Standing,
    places: Places,
}

impl LegacyClient {
    /// Checks the configuration; connects only when a request comes. With `https` it reads the system's trusted
    /// certificates, and those in the file that `SSL_CERT_FILE` names.
    pub fn new(config: LegacyConfig) -> Result<Self, LegacyError> {
        config.check()?;
        let http = connect::http_config(&config.url, config.timeouts(), config.ws_limits());
        let http = connect::http_client(&config.url, http)?;
        Ok(Self::with_client(config, http))
    }

    /// As [`new`](Self::new), over whatever byte streams `connect` opens, which then has to encrypt them if need be.
    pub fn with_connector<F, S>(
        config: LegacyConfig,
        connect: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<Self, LegacyError>
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        config.check()?;
        let http = connect::http_config(&config.url, config.timeouts(), config.ws_limits());
        Ok(Self::with_client(config, HttpClient::new(http, connect)))
    }

    fn with_client(config: LegacyConfig, http: HttpClient) -> Self {
        let standing = Standing::new(config.client_id.clone());
        Self { rules: Rules::new(&config), http, standing, places: Places::new(&config), config }
    }

    /// Sends a request to the tunnel server itself, `/auth/*` say, as it is: no configured credential, no limit to the
    /// body, which is streamed.
    ///
    /// Dropping the future breaks it off.
    pub async fn pass(&self, request: Request) -> Result<Response, SendError> {
        let Request { id, head, body } = request;
        let (given, body) = match head {
            RequestHead::Http(parts) => (*parts, body),
            RequestHead::Tunnel(head) => match to_http((*head).clone()) {
                Ok(http) => http,
                Err(failure) => return Err(SendError::undelivered(failure, Request::tunnel(*head))),
            },
        };
        let target = given.uri.path_and_query().and_then(|target| self.config.url.target(target.as_str()));
        let Some(uri) = target else {
            let failure = Failure::new(FailureKind::BadRequest, "the target of the request is not a path");
            return Err(SendError::undelivered(failure, Request::http(id, given, body)));
        };
        let mut parts = given.clone();
        parts.uri = uri;
        parts.extensions.clear();
        fields::strip_hop_by_hop(&mut parts.headers);
        parts.headers.remove(header::TE);
        parts.headers.remove(header::EXPECT);
        parts.headers.insert(header::HOST, self.config.url.authority());
        match self.http.send(parts, body).await {
            Ok(response) => Ok(Response { via: Some(VIA), ..response }),
            Err(error) => Err(self.failed(error, |body| Request::http(id, given, body))),
        }
    }

    /// Brings the body into memory, so that it is known whether the tunnel carries it.
    async fn collected(&self, request: Request) -> Result<Request, SendError> {
        let Request { id, head, body } = request;
        match collect::collect(body, self.config.body_idle_timeout).await {
            Ok(bytes) => Ok(Request { id, head, body: Body::full(bytes) }),
            Err(NotCollected::TooLong(failure, body)) => {
                Err(SendError::undelivered(failure, Request { id, head, body }))
            }
            Err(NotCollected::Lost(failure)) => Err(SendError::consumed(failure)),
        }
    }

    fn failed(&self, error: HttpError, again: impl FnOnce(Body) -> Request) -> SendError {
        let (failure, unsent) = error.into_parts();
        self.standing.failed(&failure);
        match unsent {
            Some((_, body)) => SendError::undelivered(failure, again(body)),
            None => SendError::unknown(failure),
        }
    }

    /// Whose answer it is.
    async fn judge(&self, response: Response, credential: Credential) -> Result<Verdict, Failure> {
        let verdict = verdict::judge(response, &self.config.url, credential).await;
        match &verdict {
            Ok(Verdict::Answer(_)) => {}
            Ok(Verdict::Failed(_) | Verdict::NotExecuted(_)) => self.standing.answered(),
            // Somebody's wrong token says nothing about the others'.
            Ok(Verdict::Refused(failure)) => {
                if failure.kind() != FailureKind::Unauthorized || credential.is_configured() {
                    self.standing.refused(failure);
                } else {
                    self.standing.server_answered();
                }
            }
            Err(failure) => self.standing.failed(failure),
        }
        verdict
    }
}

#[async_trait]
impl Transport for LegacyClient {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        let request = if request.body.is_buffered() {
            request
        } else {
            // What is refused in any case need not be collected.
            match self.rules.check(&request) {
                Ok(()) => self.collected(request).await?,
                Err(failure) => return Err(SendError::undelivered(failure, request)),
            }
        };
        let Prepared { mut parts, body, signed } = match self.rules.prepare(&request) {
            Ok(prepared) => prepared,
            Err(failure) => return Err(SendError::undelivered(failure, request)),
        };
        let place = match self.places.for_request().await {
            Ok(place) => place,
            Err(failure) => return Err(SendError::undelivered(failure, request)),
        };
        let conditional = if_range::take(&mut parts);
        let credential = if signed {
            Credential::Signature { configured: self.config.signature.is_some() }
        } else {
            Credential::Token { configured: self.config.token.is_some() }
        };
        let mut response = match self.http.send(parts, Body::full(body)).await {
            Ok(response) => response,
            Err(error) => return Err(self.failed(error, |_| request)),
        };
        if let Some((condition, whole)) = conditional
            && !if_range::holds(&condition, &response)
        {
            // Ends the transfer of the wrong part.
            drop(response);
            response = match self.http.send(whole, Body::empty()).await {
                Ok(response) => response,
                // The first one was delivered.
                Err(error) => return Err(SendError::unknown(self.failed(error, |_| request).failure().clone())),
            };
        }
        match self.judge(response, credential).await {
            Ok(Verdict::Answer(response)) => {
                self.standing.answered();
                Ok(places::keep(Response { via: Some(VIA), ..response }, place))
            }
            Ok(Verdict::Refused(failure) | Verdict::NotExecuted(failure)) => {
                Err(SendError::undelivered(failure, request))
            }
            Ok(Verdict::Failed(failure)) | Err(failure) => Err(SendError::unknown(failure)),
        }
    }

    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        let parts = self.rules.prepare_ws(&open)?;
        let place = self.places.for_websocket().await?;
        let upgrade = self.http.open_ws(parts).await.map_err(|error| {
            let (failure, _) = error.into_parts();
            self.standing.failed(&failure);
            failure
        })?;
        match upgrade {
            WsUpgrade::Accepted { headers, session, .. } => {
                self.standing.server_answered();
                let session = places::keep_ws(websocket::json_only(session), place);
                Ok(WsUpgrade::Accepted { headers, session, via: Some(VIA) })
            }
            WsUpgrade::Rejected(response) => {
                let credential = Credential::Signature { configured: self.config.signature.is_some() };
                match self.judge(response, credential).await? {
                    Verdict::Answer(response) => {
                        self.standing.server_answered();
                        Ok(WsUpgrade::Rejected(places::keep(Response { via: Some(VIA), ..response }, place)))
                    }
                    Verdict::Refused(failure) | Verdict::Failed(failure) | Verdict::NotExecuted(failure) => {
                        Err(failure)
                    }
                }
            }
        }
    }

    /// What the last exchange, or probe, said.
    fn health(&self) -> Health {
        self.standing.health()
    }

    fn can_carry(&self, request: &Request) -> Result<(), Failure> {
        self.rules.check(request)
    }

    fn can_carry_ws(&self, open: &WsOpen) -> Result<(), Failure> {
        self.rules.prepare_ws(open).map(drop)
    }

    fn body_bytes_max(&self) -> Option<usize> {
        Some(PAYLOAD_BYTES_MAX)
    }

    /// Asks the tunnel server for its health. That proves that it is up, and nothing about the home server: whether that
    /// is connected shows only in the answer to a request.
    async fn probe(&self) -> Result<(), Failure> {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.uri = self
            .config
            .url
            .target("/health")
            .ok_or_else(|| Failure::new(FailureKind::Internal, "the address of the tunnel server is too long"))?;
        parts.headers.insert(header::HOST, self.config.url.authority());
        let response = self.http.send(parts, Body::empty()).await.map_err(|error| {
            let (failure, _) = error.into_parts();
            self.standing.failed(&failure);
            failure
        })?;
        if response.status != StatusCode::OK {
            let (url, status) = (&self.config.url, response.status);
            let message =
                format!("{url} answers {status} to /health: is it a tunnel server, and the right path of it?");
            let failure = Failure::new(FailureKind::Unreachable, message);
            self.standing.failed(&failure);
            return Err(failure);
        }
        self.standing.server_answered();
        Ok(())
    }
}

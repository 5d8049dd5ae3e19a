//! A receiver as a transport.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::header;
use http_body::Body as _;
use tunnel_core::{
    Failure, FailureKind, Health, Request, RequestHead, Response, SendError, Transport, WsOpen, WsUpgrade,
    convert::{LegacyLoss, LossPolicy, PAYLOAD_BYTES_MAX, to_tunnel},
    moosicbox_tunnel::TunnelHttpRequest,
    packet::response_from_packets,
};
use tunnel_p2p::receiver::P2PTunnelReceiver;

use super::{
    collect::{NotCollected, collect},
    websockets::WebSockets,
};
use crate::{backend::facade::REASON, body};

/// The ids of what was born as HTTP. Cases choose small ones for the rest.
const FIRST_ID: u64 = 1 << 32;

pub(super) struct TunnelTransport {
    transport: Arc<dyn Transport>,
    receiver: P2PTunnelReceiver,
    websockets: WebSockets,
    losses: LossPolicy,
    body_idle_timeout: Duration,
    next_id: AtomicU64,
}

impl TunnelTransport {
    pub(super) fn new(transport: Arc<dyn Transport>, body_idle_timeout: Duration) -> Self {
        let (receiver, events) = P2PTunnelReceiver::new(Arc::clone(&transport));
        Self {
            transport,
            websockets: WebSockets::new(receiver.clone(), events),
            receiver,
            losses: LossPolicy::default(),
            body_idle_timeout,
            next_id: AtomicU64::new(FIRST_ID),
        }
    }

    /// The request in the tunnel's form, unless that loses too much.
    fn said(&self, parts: &http::request::Parts, body: Option<&Bytes>) -> Result<TunnelHttpRequest, Failure> {
        let id = self.next_id.fetch_add(1, Relaxed);
        let (said, mut losses) = to_tunnel(parts, body, id);
        // It is not sent as a stream: it is collected first.
        losses.retain(|loss| *loss != LegacyLoss::BodyStreamed);
        self.losses.check(&parts.method, &losses)?;
        Ok(said)
    }

    async fn ask(&self, request: TunnelHttpRequest) -> Result<Response, SendError> {
        let answer = self.receiver.http(request.clone()).await?;
        let via = answer.via;
        let response = response_from_packets(answer.request_id, answer.packets).await.map_err(SendError::unknown)?;
        judged(Response { via, ..response }).await.map_err(|failure| {
            if failure.kind().is_not_executed() {
                SendError::undelivered(failure, Request::tunnel(request))
            } else {
                SendError::unknown(failure)
            }
        })
    }
}

#[async_trait]
impl Transport for TunnelTransport {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        if let Err(failure) = self.can_carry(&request) {
            return Err(SendError::undelivered(failure, request));
        }
        let Request { id, head, body } = request;
        let parts = match head {
            RequestHead::Tunnel(said) => return self.ask(*said).await,
            RequestHead::Http(parts) => *parts,
        };
        let body = match collect(body, self.body_idle_timeout).await {
            Ok(body) => body,
            Err(NotCollected::Lost(error)) => return Err(error),
            Err(NotCollected::TooLong(body)) => {
                let failure = too_long(PAYLOAD_BYTES_MAX + 1);
                return Err(SendError::undelivered(failure, Request::http(id, parts, body)));
            }
        };
        let said = match self.said(&parts, body.as_bytes()) {
            Ok(said) => said,
            Err(failure) => return Err(SendError::undelivered(failure, Request::http(id, parts, body))),
        };
        self.ask(said).await.map_err(|error| {
            let failure = error.failure().clone();
            if error.may_have_been_delivered() {
                SendError::unknown(failure)
            } else {
                SendError::undelivered(failure, Request::http(id, parts, body))
            }
        })
    }

    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        self.can_carry_ws(&open)?;
        let (mut parts, ()) = http::Request::new(()).into_parts();
        (parts.uri, parts.headers) = (open.uri, open.headers);
        let profile = to_tunnel(&parts, Some(&Bytes::new()), 0).0.profile;
        let session = self.websockets.open(profile).await?;
        Ok(WsUpgrade::Accepted { headers: http::HeaderMap::new(), session, via: None })
    }

    fn health(&self) -> Health {
        self.transport.health()
    }

    fn can_carry(&self, request: &Request) -> Result<(), Failure> {
        let RequestHead::Http(parts) = &request.head else { return self.transport.can_carry(request) };
        let least = usize::try_from(request.body.size_hint().lower()).unwrap_or(usize::MAX);
        if least > PAYLOAD_BYTES_MAX {
            return Err(too_long(least));
        }
        self.said(parts, request.body.as_bytes()).map(drop)
    }

    fn can_carry_ws(&self, open: &WsOpen) -> Result<(), Failure> {
        let refuse = |message| Err(Failure::new(FailureKind::Unsupported, message));
        if open.uri.path() != "/ws" {
            return refuse(format!("the tunnel carries no WebSocket but /ws, not {}", open.uri.path()));
        }
        if open.headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
            return refuse("the tunnel carries no WebSocket subprotocols".to_owned());
        }
        Ok(())
    }

    fn body_bytes_max(&self) -> Option<usize> {
        Some(PAYLOAD_BYTES_MAX)
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.transport.probe().await
    }
}

fn too_long(bytes: usize) -> Failure {
    Failure::new(FailureKind::TooLarge, LegacyLoss::BodyTooLong { bytes }.to_string())
}

/// Tells a failure of the host from an answer of its service, as clients of a tunnel server do.
async fn judged(mut response: Response) -> Result<Response, Failure> {
    let name = response.headers.get(REASON).map(http::HeaderValue::as_bytes);
    let Some(kind) = FailureKind::ALL.into_iter().find(|kind| name == Some(kind.name().as_bytes())) else {
        return Ok(response);
    };
    let sentence = body::text(std::mem::take(&mut response.body)).await?;
    Err(Failure::new(kind, sentence.trim_end().to_owned()))
}

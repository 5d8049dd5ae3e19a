//! The service behind a simulated host: does what the plan in a request's target says.

mod part;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{SinkExt, StreamExt, channel::mpsc};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request::Parts};
use tokio::time::sleep;
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Request, RequestHead, Response, TransportKind, WsMessage, WsOpen, WsSession,
    WsUpgrade, convert::to_http,
};

use self::part::{asked_from, part_of};
use crate::{
    body::{Made, Pace, Read, Side, read},
    oracle::{Oracle, Work},
    plan::{Plan, Verb, WsVerb},
};

/// What a panic says that the plan wants.
pub(crate) const PLANNED_PANIC: &str = "a panic by plan";

/// By which transport a request has reached the host: set by a [`Witness`](crate::Witness) in the host.
pub(crate) const CAME_BY: HeaderName = HeaderName::from_static("x-came-by");

/// The header of a response that says which execution of its request has made it, from 1 on.
pub(crate) const EXECUTION: HeaderName = HeaderName::from_static("x-execution");

/// Messages under way in the service's WebSocket.
const WS_MESSAGES_MAX: usize = 4;

/// Does what it is told, and tells the oracle.
pub struct Service {
    oracle: Oracle,
}

impl Service {
    /// A service.
    #[must_use]
    pub fn new(oracle: Oracle) -> Arc<Self> {
        Arc::new(Self { oracle })
    }

    async fn serve(&self, plan: Plan, head: &Parts, body: Body, work: Work) -> Result<Response, Failure> {
        match plan.verb {
            Verb::Hang => return std::future::pending().await,
            Verb::Panic => panic!("{PLANNED_PANIC}"),
            Verb::Echo => {
                let headers = HeaderMap::from_iter([(EXECUTION, HeaderValue::from(work.execution()))]);
                let body = Body::stream(Kept { body, position: 0, work });
                return Ok(Response { headers, ..Response::new(StatusCode::OK, body) });
            }
            Verb::Ignore => drop(body),
            Verb::Serve | Verb::Break => {
                if let Read::Failed(failure) = read(body, &plan, Side::Request, Pace::Fast, &self.oracle).await {
                    return Err(Failure::new(FailureKind::ServiceFailed, format!("the upload broke off: {failure}")));
                }
                pause(plan.gap).await;
            }
        }
        let mut part = part_of(&plan, work.execution(), &head.method, &head.headers);
        part.headers.insert(EXECUTION, HeaderValue::from(work.execution()));
        let body =
            if part.status.is_success() { Made::response(plan, part.bytes, work).into_body() } else { Body::empty() };
        Ok(Response { headers: part.headers, ..Response::new(part.status, body) })
    }
}

/// How a request has come, if it says so.
pub(crate) fn came_by(headers: &HeaderMap) -> Option<TransportKind> {
    let name = headers.get(CAME_BY)?;
    [TransportKind::P2p, TransportKind::Legacy].into_iter().find(|kind| name == kind.name())
}

async fn pause(gap: Duration) {
    if !gap.is_zero() {
        sleep(gap).await;
    }
}

/// The body of an echo, with the work on it.
struct Kept {
    body: Body,
    position: u64,
    work: Work,
}

impl http_body::Body for Kept {
    type Data = bytes::Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Failure>>> {
        let frame = std::task::ready!(std::pin::Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(piece) = frame.data_ref()
        {
            let bytes = piece.len() as u64;
            self.position += bytes;
            self.work.pulled(self.position, bytes);
        }
        std::task::Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[async_trait]
impl Handler for Service {
    async fn http(&self, request: Request) -> Result<Response, Failure> {
        let (head, body) = match request.head {
            RequestHead::Http(parts) => (*parts, request.body),
            RequestHead::Tunnel(tunnel) => to_http(*tunnel)?,
        };
        let path = head.uri.path();
        let Some(plan) = Plan::parse(path) else {
            self.oracle.violate(format!("the service was asked for {path}"));
            return Err(Failure::new(FailureKind::BadRequest, "no plan"));
        };
        let work = self.oracle.work(plan.id, came_by(&head.headers));
        if let Some(byte) = asked_from(&head.headers, plan.down) {
            work.asked_from(byte);
        }
        self.serve(plan, &head, body, work).await
    }

    /// Sends messages back.
    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        let Some((id, verb)) = WsVerb::parse(&open.uri.to_string()) else {
            self.oracle.violate(format!("the service was asked for a WebSocket at {}", open.uri));
            return Err(Failure::new(FailureKind::BadRequest, "no plan"));
        };
        let work = self.oracle.work(id, came_by(&open.headers));
        let echoes = match verb {
            WsVerb::Echo => usize::MAX,
            WsVerb::Cut(messages) => messages as usize,
            WsVerb::Hang => return std::future::pending().await,
        };
        let (sender, receiver) = mpsc::channel::<WsMessage>(WS_MESSAGES_MAX);
        let sink = sender.sink_map_err(|_| Failure::new(FailureKind::ServiceFailed, "the service has gone"));
        let stream = receiver.take(echoes).map(move |message| {
            let _kept = &work;
            Ok(message)
        });
        let session = WsSession { sink: Box::pin(sink), stream: Box::pin(stream) };
        Ok(WsUpgrade::Accepted { headers: HeaderMap::new(), session, via: None })
    }
}

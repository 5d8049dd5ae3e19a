//! The service behind a simulated host: does what the plan in a request's target says.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{SinkExt, StreamExt, channel::mpsc};
use http::{HeaderMap, StatusCode};
use tokio::time::sleep;
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Request, RequestHead, Response, WsMessage, WsOpen, WsSession, WsUpgrade,
};

use crate::{
    body::{Made, Pace, Read, Side, read},
    oracle::{Oracle, Work},
    plan::{Plan, Verb, WsVerb},
};

/// What a panic says that the plan wants.
pub(crate) const PLANNED_PANIC: &str = "a panic by plan";

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

    async fn serve(&self, plan: Plan, body: Body, work: Work) -> Result<Response, Failure> {
        match plan.verb {
            Verb::Hang => return std::future::pending().await,
            Verb::Panic => panic!("{PLANNED_PANIC}"),
            Verb::Echo => {
                let echo = Kept { body, plan, oracle: self.oracle.clone(), _work: work };
                return Ok(Response::new(StatusCode::OK, Body::stream(echo)));
            }
            Verb::Ignore => drop(body),
            Verb::Serve | Verb::Break => {
                if let Read::Failed(failure) = read(body, &plan, Side::Request, Pace::Fast, &self.oracle).await {
                    return Err(Failure::new(FailureKind::ServiceFailed, format!("the upload broke off: {failure}")));
                }
                pause(plan.gap).await;
            }
        }
        let made = Made::response(plan, self.oracle.clone(), work);
        Ok(Response::new(StatusCode::OK, made.into_body()))
    }
}

async fn pause(gap: Duration) {
    if !gap.is_zero() {
        sleep(gap).await;
    }
}

/// The body of an echo, with the work on it.
struct Kept {
    body: Body,
    plan: Plan,
    oracle: Oracle,
    _work: Work,
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
            self.oracle.pulled(self.plan.id, piece.len() as u64);
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
        let path = match &request.head {
            RequestHead::Http(parts) => parts.uri.path().to_owned(),
            RequestHead::Tunnel(tunnel) => format!("/{}", tunnel.path),
        };
        let Some(plan) = Plan::parse(&path) else {
            self.oracle.violate(format!("the service was asked for {path}"));
            return Err(Failure::new(FailureKind::BadRequest, "no plan"));
        };
        let work = self.oracle.work(plan.id);
        self.serve(plan, request.body, work).await
    }

    /// Sends messages back.
    async fn ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        let Some((id, verb)) = WsVerb::parse(open.uri.path()) else {
            self.oracle.violate(format!("the service was asked for a WebSocket at {}", open.uri));
            return Err(Failure::new(FailureKind::BadRequest, "no plan"));
        };
        let work = self.oracle.work(id);
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

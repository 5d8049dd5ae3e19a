//! One stream of a client: an HTTP exchange or a WebSocket.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

use p2p_provider::{P2PConnection, RecvStream, SendStream};
use tokio::{sync::Semaphore, time::timeout};
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Request, Response, WsOpen, WsUpgrade, moosicbox_tunnel::TunnelHttpRequest,
};

use crate::{
    body::{Incoming, IncomingParts, SendBodyError, send_message},
    failure,
    frames::FrameReader,
    session::{Expectation, Session},
    websocket,
    wire::{
        StreamKind, WireError, control,
        frame::FrameType,
        head::{self, BodySize},
    },
};

/// The code with which a request body is stopped that the service does not want: not an error.
const NOT_NEEDED: u64 = 0;

/// What one client may have in flight.
pub(super) struct Places {
    pub(super) requests: Semaphore,
    pub(super) websockets: Semaphore,
}

/// What serving a stream needs.
pub(super) struct Exchange<C: P2PConnection> {
    pub(super) handler: Arc<dyn Handler>,
    pub(super) session: Arc<Session<C>>,
    pub(super) places: Arc<Places>,
    pub(super) request_head_timeout: Duration,
    pub(super) body_idle_timeout: Duration,
}

/// Turns a stream away.
pub(super) fn refuse<C: P2PConnection>(mut send: C::SendStream, mut recv: C::RecvStream, kind: FailureKind) {
    send.reset(kind.code().into());
    recv.stop(kind.code().into());
}

impl<C: P2PConnection> Exchange<C> {
    /// Serves the stream to its end. Dropping the future resets it.
    pub(super) async fn serve(self, mut send: C::SendStream, recv: C::RecvStream, expectation: Expectation<C>) {
        let number = send.id();
        let mut reader = FrameReader::new(recv, self.session.ws_message_bytes_max);
        let first = timeout(self.request_head_timeout, async {
            match reader.stream_kind().await? {
                StreamKind::Probe => reader.end().await.map(|()| None),
                kind => Ok(Some((kind, reader.next_frame().await?))),
            }
        });
        let first = first.await.unwrap_or_else(|_| Err(Failure::new(FailureKind::Timeout, "no request head in time")));
        let (kind, (frame, payload)) = match first {
            Ok(Some(first)) => first,
            Ok(None) => return answer_probe(send).await,
            Err(failure) => return give_up(number, &mut send, &mut reader, &failure),
        };
        match kind {
            StreamKind::Http => self.http(expectation, send, reader, frame, &payload).await,
            StreamKind::WebSocket => self.websocket(number, send, reader, frame, &payload).await,
            StreamKind::Control | StreamKind::Bulk | StreamKind::BulkPart | StreamKind::Credits | StreamKind::Probe => {
                let failure = failure::wire(&WireError::StreamKind(kind as u8));
                give_up(number, &mut send, &mut reader, &failure);
            }
        }
    }

    async fn http(
        self,
        expectation: Expectation<C>,
        send: C::SendStream,
        mut reader: FrameReader<C::RecvStream>,
        frame: FrameType,
        payload: &Bytes,
    ) {
        let number = send.id();
        let Ok(_place) = self.places.requests.try_acquire() else {
            return self.fail(send, &overloaded()).await;
        };
        let request = match frame {
            FrameType::Head => head::parse_request(payload).map(|(parts, size)| {
                let body = self.request_body(expectation, reader, size);
                Request::http(number, parts, body)
            }),
            FrameType::TunnelHead => serde_json::from_slice::<TunnelHttpRequest>(payload)
                .map(Request::tunnel)
                .map_err(|error| WireError::Malformed { frame: frame.name(), message: error.to_string() }),
            other => {
                reader.stop(FailureKind::Protocol.code().into());
                Err(WireError::UnexpectedFrame(other.name()))
            }
        };
        let request = match request {
            Ok(request) => request,
            Err(error) => return self.fail(send, &failure::wire(&error)).await,
        };
        let mut gone = std::pin::pin!(send.stopped());
        let response = tokio::select! {
            biased;
            response = self.handler.http(request) => response,
            _ = &mut gone => return tracing::debug!(stream = number, "the client gave up the request"),
        };
        match response {
            Ok(response) => self.respond(number, send, response).await,
            Err(failure) => self.fail(send, &failure).await,
        }
    }

    async fn websocket(
        self,
        number: u64,
        mut send: C::SendStream,
        mut reader: FrameReader<C::RecvStream>,
        frame: FrameType,
        payload: &Bytes,
    ) {
        let Ok(_place) = self.places.websockets.try_acquire() else {
            return self.fail(send, &overloaded()).await;
        };
        let parts = match frame {
            FrameType::Head => head::parse_request(payload).map(|(parts, _)| parts),
            other => Err(WireError::UnexpectedFrame(other.name())),
        };
        let parts = match parts {
            Ok(parts) => parts,
            Err(error) => return give_up(number, &mut send, &mut reader, &failure::wire(&error)),
        };
        let open = WsOpen { id: number, uri: parts.uri, headers: parts.headers };
        let mut gone = std::pin::pin!(send.stopped());
        let answer = tokio::select! {
            biased;
            answer = self.handler.ws(open) => answer,
            _ = &mut gone => return tracing::debug!(stream = number, "the client gave up the WebSocket"),
        };
        match answer {
            Ok(WsUpgrade::Accepted { headers, session, .. }) => {
                if let Err(failure) = accept_websocket(&mut send, &headers).await {
                    return give_up(number, &mut send, &mut reader, &failure);
                }
                let client = websocket::session(&self.session, send, reader, Box::new(()));
                if let Err(failure) = websocket::bridge(client, session).await {
                    tracing::debug!(stream = number, "a WebSocket broke off: {failure}");
                }
            }
            Ok(WsUpgrade::Rejected(response)) => self.respond(number, send, response).await,
            Err(failure) => self.fail(send, &failure).await,
        }
    }

    fn request_body(&self, expectation: Expectation<C>, reader: FrameReader<C::RecvStream>, size: BodySize) -> Body {
        if size == BodySize::None {
            return Body::empty();
        }
        Body::stream(Incoming::new(IncomingParts {
            credit: self.session.main.receive_credit(reader.id()),
            reader,
            expectation,
            size,
            idle_timeout: self.body_idle_timeout,
            stop_code: NOT_NEEDED,
            guard: Box::new(()),
        }))
    }

    async fn respond(&self, number: u64, send: C::SendStream, response: Response) {
        let mut message = BytesMut::new();
        let size = BodySize::of(&response.body);
        if let Err(error) = head::put_response(&mut message, response.status, &response.headers, size) {
            let message = format!("the response of the local service is not deliverable: {error}");
            return self.fail(send, &Failure::new(FailureKind::ServiceFailed, message)).await;
        }
        match send_message(&self.session, send, message.freeze(), response.body).await {
            Ok(()) => {}
            Err(SendBodyError::Stopped(_)) => tracing::debug!(stream = number, "the client gave up the response"),
            Err(SendBodyError::Source(failure) | SendBodyError::Failed(failure)) => {
                tracing::debug!(stream = number, "a response broke off: {failure}");
            }
        }
    }

    /// Says why there is no response.
    async fn fail(&self, send: C::SendStream, failure: &Failure) {
        let mut message = BytesMut::new();
        control::put_fail(&mut message, failure);
        // If the client is gone, nobody misses it.
        send_message(&self.session, send, message.freeze(), Body::empty()).await.ok();
    }
}

/// Says that this host is there. If the client is gone, nobody misses it.
async fn answer_probe<S: SendStream>(mut send: S) {
    if send.write_chunks(&mut [Bytes::from_static(&[StreamKind::Probe as u8])]).await.is_ok() {
        send.finish();
    }
}

/// Resets a stream that cannot be understood.
fn give_up<S: SendStream, R: RecvStream>(number: u64, send: &mut S, reader: &mut FrameReader<R>, failure: &Failure) {
    tracing::debug!(stream = number, "gave up a stream: {failure}");
    let code = failure.kind().code().into();
    send.reset(code);
    reader.stop(code);
}

async fn accept_websocket<S: SendStream>(send: &mut S, headers: &HeaderMap) -> Result<(), Failure> {
    let mut message = BytesMut::new();
    head::put_response(&mut message, StatusCode::SWITCHING_PROTOCOLS, headers, BodySize::Unknown)
        .map_err(failure::head_too_long)?;
    send.write_chunks(&mut [message.freeze()]).await.map_err(|error| failure::write(&error))
}

fn overloaded() -> Failure {
    Failure::new(FailureKind::Overloaded, "the host has too many requests of this client in flight")
}

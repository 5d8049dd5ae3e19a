//! One request, one WebSocket.

use std::{any::Any, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use p2p_provider::{P2PConnection, SendStream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tunnel_core::{
    Body, Failure, FailureKind, Request, RequestHead, Response, SendError, TransportKind, Via, WsOpen, WsUpgrade,
};

use super::link::Link;
use crate::{
    ClientConfig,
    body::{Incoming, IncomingParts, SendBodyError, send_message},
    failure,
    frames::FrameReader,
    session::Expectation,
    task, websocket,
    wire::{
        StreamKind, WireError, control,
        frame::{DATA_BYTES_MAX, FrameType, put_frame},
        head::{self, BodySize, HeadTooLong},
    },
};

/// A body that is in memory and not larger than this is sent by the requester itself, without a task of its own.
const INLINE_BYTES: usize = 64 << 10;

/// A stream on which a request is about to be sent.
struct Opened<C: P2PConnection> {
    send: C::SendStream,
    reader: FrameReader<C::RecvStream>,
    expectation: Expectation<C>,
    number: u64,
    permit: OwnedSemaphorePermit,
}

pub(super) async fn send<C: P2PConnection>(
    link: &Arc<Link<C>>,
    config: &ClientConfig,
    request: Request,
) -> Result<Response, SendError> {
    let mut message = BytesMut::from(&[StreamKind::Http as u8][..]);
    if let Err(error) = put_request(&mut message, &request) {
        return Err(SendError::undelivered(failure::head_too_long(error), request));
    }
    let Opened { send, mut reader, expectation, number, permit } = match open(link, &link.requests, config).await {
        Ok(opened) => opened,
        Err(failure) => return Err(SendError::undelivered(failure, request)),
    };
    let Request { id, head, body } = request;
    let kept = body.try_clone();
    let in_flight = link.in_flight.token();
    let mut upload = None;

    let answer = timeout(config.head_timeout, async {
        let session = Arc::clone(&link.session);
        let inline = body.as_bytes().is_some_and(|bytes| bytes.len() <= INLINE_BYTES);
        let sending = async move { send_message(&session, send, message.freeze(), body).await };
        if inline {
            // Otherwise the host has said why it stopped, or is about to.
            if let Err(SendBodyError::Failed(failure)) = sending.await {
                return Err(failure);
            }
        } else {
            upload = Some(task::spawn(async move { sending.await.map_err(|error| log_upload(id, &error)) }));
        }
        read_head(&mut reader).await
    });
    let answer = answer.await.unwrap_or_else(|_| {
        Err(Failure::new(
            FailureKind::Timeout,
            format!(
                "the host sent no response within {:?}; it may still be working on the request",
                config.head_timeout
            ),
        ))
    });
    match answer {
        Ok((status, headers, size)) => {
            let guard = Box::new((permit, in_flight, upload));
            let parts = ResponseParts { reader, expectation, number, size, guard };
            Ok(response(link, config, status, headers, parts).await)
        }
        Err(failure) if failure.kind().is_not_executed() => Err(match kept {
            Some(body) => SendError::undelivered(failure, Request { id, head, body }),
            None => SendError::consumed(failure),
        }),
        Err(failure) => Err(SendError::unknown(failure)),
    }
}

pub(super) async fn open_ws<C: P2PConnection>(
    link: &Arc<Link<C>>,
    config: &ClientConfig,
    open_request: WsOpen,
) -> Result<WsUpgrade, Failure> {
    let mut message = BytesMut::from(&[StreamKind::WebSocket as u8][..]);
    head::put_request(&mut message, &Method::GET, &open_request.uri, &open_request.headers, BodySize::None)
        .map_err(failure::head_too_long)?;
    let Opened { mut send, mut reader, expectation, number, permit } = open(link, &link.websockets, config).await?;
    let in_flight = link.in_flight.token();
    let answer = timeout(config.head_timeout, async {
        send.write_chunks(&mut [message.freeze()]).await.map_err(|error| failure::write(&error))?;
        read_head(&mut reader).await
    });
    let (status, headers, size) = answer.await.map_err(|_| {
        Failure::new(
            FailureKind::Timeout,
            format!("the host did not open the WebSocket within {:?}", config.head_timeout),
        )
    })??;
    let guard = Box::new((permit, in_flight));
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let session = websocket::session(&link.session, send, reader, guard);
        return Ok(WsUpgrade::Accepted { headers, session, via: Some(via(link)) });
    }
    send.finish();
    let parts = ResponseParts { reader, expectation, number, size, guard };
    Ok(WsUpgrade::Rejected(response(link, config, status, headers, parts).await))
}

/// Asks the host whether it is there, on a stream of its own: all the way through the network, the connection and the task
/// that accepts streams, but not to the service. It needs no place among the requests.
pub(super) async fn probe<C: P2PConnection>(link: &Link<C>, config: &ClientConfig) -> Result<(), Failure> {
    let asking = async {
        let opened = link.session.main.connection.open_bi().await;
        let (mut send, recv) = opened.map_err(|reason| failure::lost(&reason))?;
        let question = Bytes::from_static(&[StreamKind::Probe as u8]);
        send.write_chunks(&mut [question]).await.map_err(|error| failure::write(&error))?;
        send.finish();
        let mut reader = FrameReader::new(recv, link.session.ws_message_bytes_max);
        match reader.stream_kind().await {
            Ok(StreamKind::Probe) => reader.end().await,
            Ok(other) => Err(failure::wire(&WireError::StreamKind(other as u8))),
            // A host that does not know probes has answered, too.
            Err(failure) if failure.kind() == FailureKind::Protocol => Ok(()),
            Err(failure) => Err(failure),
        }
    };
    timeout(config.connect_timeout, asking).await.unwrap_or_else(|_| {
        Err(Failure::new(
            FailureKind::Timeout,
            format!("the host answered no probe within {:?}", config.connect_timeout),
        ))
    })
}

/// Waits for a place and opens a stream.
async fn open<C: P2PConnection>(
    link: &Link<C>,
    places: &Arc<Semaphore>,
    config: &ClientConfig,
) -> Result<Opened<C>, Failure> {
    let opening = async {
        let permit = Arc::clone(places).acquire_owned().await.map_err(|_| overloaded(config))?;
        let opened = link.session.main.connection.open_bi().await;
        let (send, recv) = opened.map_err(|reason| failure::lost(&reason))?;
        let number = send.id();
        Ok(Opened {
            send,
            reader: FrameReader::new(recv, link.session.ws_message_bytes_max),
            expectation: link.session.expect(number),
            number,
            permit,
        })
    };
    timeout(config.queue_timeout, opening).await.unwrap_or_else(|_| Err(overloaded(config)))
}

fn overloaded(config: &ClientConfig) -> Failure {
    Failure::new(
        FailureKind::Overloaded,
        format!("too many requests to this host are in flight; none ended within {:?}", config.queue_timeout),
    )
}

fn put_request(message: &mut BytesMut, request: &Request) -> Result<(), HeadTooLong> {
    match &request.head {
        RequestHead::Http(parts) => {
            head::put_request(message, &parts.method, &parts.uri, &parts.headers, BodySize::of(&request.body))
        }
        RequestHead::Tunnel(tunnel) => {
            let json = serde_json::to_vec(tunnel).map_err(|_| HeadTooLong { bytes: 0 })?;
            if json.len() > DATA_BYTES_MAX as usize {
                return Err(HeadTooLong { bytes: json.len() });
            }
            put_frame(message, FrameType::TunnelHead, |message| message.extend_from_slice(&json));
            Ok(())
        }
    }
}

async fn read_head<C: p2p_provider::RecvStream>(
    reader: &mut FrameReader<C>,
) -> Result<(StatusCode, HeaderMap, BodySize), Failure> {
    match reader.next_frame().await? {
        (FrameType::Head, payload) => head::parse_response(&payload).map_err(|error| failure::wire(&error)),
        (FrameType::Fail, payload) => Err(control::parse_fail(&payload).unwrap_or_else(|error| failure::wire(&error))),
        (other, _) => Err(failure::wire(&WireError::UnexpectedFrame(other.name()))),
    }
}

struct ResponseParts<C: P2PConnection> {
    reader: FrameReader<C::RecvStream>,
    expectation: Expectation<C>,
    number: u64,
    size: BodySize,
    guard: Box<dyn Any + Send>,
}

async fn response<C: P2PConnection>(
    link: &Link<C>,
    config: &ClientConfig,
    status: StatusCode,
    headers: HeaderMap,
    parts: ResponseParts<C>,
) -> Response {
    let ResponseParts { mut reader, expectation, number, size, guard } = parts;
    let via = Some(via(link));
    let body = if size == BodySize::None {
        reader.look_for_end().await;
        Body::empty()
    } else {
        Body::stream(Incoming::new(IncomingParts {
            reader,
            credit: link.session.main.receive_credit(number),
            expectation,
            size,
            idle_timeout: config.body_idle_timeout,
            stop_code: FailureKind::Aborted.code().into(),
            guard,
        }))
    };
    Response { status, headers, body, via }
}

fn via<C: P2PConnection>(link: &Link<C>) -> Via {
    Via { transport: TransportKind::P2p, path: link.session.path(), reason: None }
}

fn log_upload(id: u64, error: &SendBodyError) {
    tracing::debug!(request = id, "the request body was not sent to its end: {error:?}");
}

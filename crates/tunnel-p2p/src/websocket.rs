//! WebSocket messages on a stream.

use std::{
    any::Any,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures::{Sink, SinkExt, Stream, StreamExt, future::BoxFuture, sink, stream};
use p2p_provider::{P2PConnection, SendStream};
use tokio::time::{Duration, timeout};
use tunnel_core::{Failure, FailureKind, WsClose, WsMessage, WsSession};

use crate::{
    credit::{ReceiveCredit, SendCredit},
    failure,
    frames::FrameReader,
    session::Session,
    wire::{
        WireError,
        decoder::Event,
        frame::{FrameType, put_header},
    },
};

/// How long one side may take to answer the other's close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The stream as a WebSocket. `guard` lives as long as its receiving side.
pub(crate) fn session<C: P2PConnection>(
    session: &Session<C>,
    send: C::SendStream,
    reader: FrameReader<C::RecvStream>,
    guard: Box<dyn Any + Send>,
) -> WsSession {
    let writer = Writer {
        credit: session.main.send_credit(send.id()),
        stopped: Box::pin(send.stopped()),
        stream: send,
        bytes_max: session.ws_message_bytes_max as usize,
    };
    let receiver = Receiver::<C> { credit: session.main.receive_credit(reader.id()), reader, _guard: guard };
    WsSession { sink: sending(writer), stream: receiving(receiver) }
}

/// Passes messages between two ends until both have closed, or one has failed. Dropping the future drops both.
pub(crate) async fn bridge(a: WsSession, b: WsSession) -> Result<(), Failure> {
    let forward = pass(a.stream, b.sink);
    let back = pass(b.stream, a.sink);
    let (mut forward, mut back) = (std::pin::pin!(forward), std::pin::pin!(back));
    let late = |_| Failure::new(FailureKind::Timeout, "the other side did not answer the WebSocket close");
    tokio::select! {
        biased;
        done = &mut forward => { done?; timeout(CLOSE_TIMEOUT, back).await.map_err(late)? }
        done = &mut back => { done?; timeout(CLOSE_TIMEOUT, forward).await.map_err(late)? }
    }
}

async fn pass(
    mut from: Pin<Box<dyn Stream<Item = Result<WsMessage, Failure>> + Send>>,
    mut to: Pin<Box<dyn Sink<WsMessage, Error = Failure> + Send>>,
) -> Result<(), Failure> {
    while let Some(message) = from.next().await {
        let message = message?;
        let last = matches!(message, WsMessage::Close(_));
        to.send(message).await?;
        if last {
            return Ok(());
        }
    }
    Err(Failure::new(FailureKind::ConnectionLost, "the WebSocket ended without a close"))
}

struct Writer<S> {
    stream: S,
    credit: SendCredit,
    stopped: BoxFuture<'static, Option<u64>>,
    bytes_max: usize,
}

fn sending<S: SendStream>(writer: Writer<S>) -> Pin<Box<dyn Sink<WsMessage, Error = Failure> + Send>> {
    Box::pin(Fused(Some(Box::pin(sink::unfold(writer, |mut writer, message| async move {
        let last = matches!(message, WsMessage::Close(_));
        let (kind, payload) = encode(message);
        if payload.len() > writer.bytes_max {
            let message =
                format!("a WebSocket message of {} bytes is over the limit of {}", payload.len(), writer.bytes_max);
            return Err(Failure::new(FailureKind::TooLarge, message));
        }
        let mut header = BytesMut::with_capacity(8);
        put_header(&mut header, kind, payload.len());
        tokio::select! {
            biased;
            () = writer.credit.take() => {}
            code = &mut writer.stopped => return Err(failure::reset(code.unwrap_or_default())),
        }
        let mut chunks = [header.freeze(), payload];
        writer.stream.write_chunks(&mut chunks).await.map_err(|error| failure::write(&error))?;
        if last {
            writer.stream.finish();
        }
        Ok(writer)
    })))))
}

/// A sink that goes on failing after its first error, where `unfold` would panic.
struct Fused(Option<Pin<Box<dyn Sink<WsMessage, Error = Failure> + Send>>>);

impl Fused {
    fn poll(
        &mut self,
        poll: impl FnOnce(Pin<&mut (dyn Sink<WsMessage, Error = Failure> + Send)>) -> Poll<Result<(), Failure>>,
    ) -> Poll<Result<(), Failure>> {
        let Some(sink) = &mut self.0 else {
            return Poll::Ready(Err(Failure::new(FailureKind::Aborted, "the WebSocket failed before")));
        };
        let polled = poll(sink.as_mut());
        if let Poll::Ready(Err(_)) = polled {
            self.0 = None;
        }
        polled
    }
}

impl Sink<WsMessage> for Fused {
    type Error = Failure;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.poll(|sink| sink.poll_ready(cx))
    }

    fn start_send(mut self: Pin<&mut Self>, message: WsMessage) -> Result<(), Failure> {
        match self.poll(|sink| Poll::Ready(sink.start_send(message))) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.poll(|sink| sink.poll_flush(cx))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.0.is_none() {
            return Poll::Ready(Ok(()));
        }
        self.poll(|sink| sink.poll_close(cx))
    }
}

struct Receiver<C: P2PConnection> {
    reader: FrameReader<C::RecvStream>,
    credit: ReceiveCredit,
    _guard: Box<dyn Any + Send>,
}

fn receiving<C: P2PConnection>(
    receiver: Receiver<C>,
) -> Pin<Box<dyn Stream<Item = Result<WsMessage, Failure>> + Send>> {
    Box::pin(stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        let message = receiver.next().await;
        let last = matches!(message, Ok(WsMessage::Close(_)) | Err(_));
        Some((message, (!last).then_some(receiver)))
    }))
}

impl<C: P2PConnection> Receiver<C> {
    async fn next(&mut self) -> Result<WsMessage, Failure> {
        match self.reader.next().await? {
            Some(Event::Frame(kind, payload)) => {
                self.credit.consumed();
                decode(kind, payload).map_err(|error| failure::wire(&error))
            }
            Some(Event::Data { .. }) => Err(failure::wire(&WireError::UnexpectedFrame(FrameType::Data.name()))),
            None => Err(failure::wire(&WireError::Truncated)),
        }
    }
}

fn encode(message: WsMessage) -> (FrameType, Bytes) {
    match message {
        WsMessage::Text(text) => (FrameType::WsText, text),
        WsMessage::Binary(bytes) => (FrameType::WsBinary, bytes),
        WsMessage::Ping(bytes) => (FrameType::WsPing, bytes),
        WsMessage::Pong(bytes) => (FrameType::WsPong, bytes),
        WsMessage::Close(None) => (FrameType::WsClose, Bytes::new()),
        WsMessage::Close(Some(close)) => {
            // 125 bytes is the limit of a control frame (RFC 6455 §5.5), two of which are the code.
            let reason = &close.reason[..close.reason.floor_char_boundary(123)];
            let mut payload = BytesMut::with_capacity(2 + reason.len());
            payload.put_u16(close.code);
            payload.extend_from_slice(reason.as_bytes());
            (FrameType::WsClose, payload.freeze())
        }
    }
}

fn decode(kind: FrameType, payload: Bytes) -> Result<WsMessage, WireError> {
    let malformed = |message: &str| WireError::Malformed { frame: kind.name(), message: message.to_owned() };
    Ok(match kind {
        FrameType::WsText => match std::str::from_utf8(&payload) {
            Ok(_) => WsMessage::Text(payload),
            Err(_) => return Err(malformed("the text is not UTF-8")),
        },
        FrameType::WsBinary => WsMessage::Binary(payload),
        FrameType::WsPing => WsMessage::Ping(payload),
        FrameType::WsPong => WsMessage::Pong(payload),
        FrameType::WsClose if payload.is_empty() => WsMessage::Close(None),
        FrameType::WsClose => {
            let (code, reason) = payload.split_first_chunk().ok_or_else(|| malformed("a code has two bytes"))?;
            let reason = std::str::from_utf8(reason).map_err(|_| malformed("the reason is not UTF-8"))?;
            WsMessage::Close(Some(WsClose { code: u16::from_be_bytes(*code), reason: reason.to_owned() }))
        }
        other => return Err(WireError::UnexpectedFrame(other.name())),
    })
}

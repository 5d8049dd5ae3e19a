//! One hop of a WebSocket: messages of the contract over a byte stream, with pings and a liveness check.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::{Sink, Stream};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message, Utf8Bytes,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tunnel_core::{Failure, FailureKind, WsClose, WsMessage};

/// A peer that answers none of so many pings is broken; the oldest is then forgotten.
const PINGS_OUTSTANDING_MAX: usize = 64;
/// RFC 6455 §5.5: the payload of a control frame; a close reason shares it with the two bytes of the code.
const CONTROL_BYTES_MAX: usize = 125;
/// Allocated per WebSocket, so much less than the library's 128 KiB.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// The limits of one hop.
#[derive(Clone, Copy, Debug)]
pub struct WsLimits {
    /// The largest message, in bytes, that the hop accepts.
    pub message_bytes_max: usize,
    /// A ping goes out after so much silence; zero means never.
    pub ping_interval: Duration,
    /// The hop fails after so much silence in spite of pings; zero means never.
    pub idle_timeout: Duration,
}

/// Who is at the other end, for messages.
#[derive(Clone, Debug)]
pub struct WsPeer {
    /// Its name within a sentence.
    pub name: String,
    /// The kind of failure when it breaks off.
    pub broke_off: FailureKind,
    /// The kind of failure when it falls silent.
    pub silent: FailureKind,
}

/// One hop. As a stream it ends after a close message; an abnormal end is an error item.
///
/// Both halves may be used from different tasks.
pub struct WsSocket<S> {
    inner: WebSocketStream<S>,
    limits: WsLimits,
    peer: WsPeer,
    /// Payloads of the pings that this hop has sent and that are not answered yet: their pongs stay on the hop.
    pings: VecDeque<Bytes>,
    pings_sent: u32,
    /// The task of the sink half: a flush by the stream half must not take its place in the list of who is woken.
    sink_waker: Option<Waker>,
    timer: Option<Pin<Box<Sleep>>>,
    heard_at: Instant,
    /// When the oldest liveness ping went out after which nothing was heard.
    unanswered_since: Option<Instant>,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsSocket<S> {
    /// A hop over a byte stream on which the handshake is done. Does not wait.
    pub async fn new(io: S, role: Role, limits: WsLimits, peer: WsPeer) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(limits.message_bytes_max))
            .max_frame_size(Some(limits.message_bytes_max));
        Self {
            inner: WebSocketStream::from_raw_socket(io, role, Some(config)).await,
            limits,
            peer,
            pings: VecDeque::new(),
            pings_sent: 0,
            sink_waker: None,
            timer: None,
            heard_at: Instant::now(),
            unanswered_since: None,
            ended: false,
        }
    }

    /// What the caller sees of a message; `None` for the answer to one of our pings.
    fn received(&mut self, message: Message) -> Option<WsMessage> {
        self.heard_at = Instant::now();
        self.unanswered_since = None;
        match message {
            Message::Text(text) => Some(WsMessage::Text(text.into())),
            Message::Binary(bytes) => Some(WsMessage::Binary(bytes)),
            Message::Ping(bytes) => Some(WsMessage::Ping(bytes)),
            Message::Pong(bytes) => {
                // A pong may answer several pings at once (RFC 6455 §5.5.3).
                if let Some(answered) = self.pings.iter().position(|ping| *ping == bytes) {
                    self.pings.drain(..=answered);
                    return None;
                }
                Some(WsMessage::Pong(bytes))
            }
            Message::Close(frame) => Some(WsMessage::Close(
                frame.map(|frame| WsClose { code: frame.code.into(), reason: frame.reason.as_str().to_owned() }),
            )),
            Message::Frame(_) => None,
        }
    }

    fn remember_ping(&mut self, payload: Bytes) {
        if self.pings.len() >= PINGS_OUTSTANDING_MAX {
            self.pings.pop_front();
        }
        self.pings.push_back(payload);
    }

    /// Sends from the stream half, as far as the socket takes it now.
    fn send_aside(&mut self, message: Message, cx: &mut Context<'_>) {
        let waker = self.sink_waker.clone().unwrap_or_else(|| cx.waker().clone());
        let cx = &mut Context::from_waker(&waker);
        if matches!(Pin::new(&mut self.inner).poll_ready(cx), Poll::Ready(Ok(()))) {
            let _ = Pin::new(&mut self.inner).start_send(message);
            let _ = Pin::new(&mut self.inner).poll_flush(cx);
        }
    }

    /// Sends what the library has queued by itself: the answer to a close.
    fn flush_aside(&mut self, cx: &mut Context<'_>) {
        let waker = self.sink_waker.clone().unwrap_or_else(|| cx.waker().clone());
        let _ = Pin::new(&mut self.inner).poll_flush(&mut Context::from_waker(&waker));
    }

    /// Pings a silent peer; ready when it has been silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let interval = self.limits.ping_interval;
        if interval.is_zero() {
            return Poll::Pending;
        }
        loop {
            let heard_at = self.heard_at;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(interval)));
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            let silence_allowed = self.limits.idle_timeout.saturating_sub(interval);
            let mut next = now + interval;
            if let Some(since) = self.unanswered_since {
                if !self.limits.idle_timeout.is_zero() {
                    if now >= since + silence_allowed {
                        let message = format!("{} sent nothing for {:?}", self.peer.name, self.limits.idle_timeout);
                        return Poll::Ready(Failure::new(self.peer.silent, message));
                    }
                    next = next.min(since + silence_allowed);
                }
            } else if now < heard_at + interval {
                timer.as_mut().reset(heard_at + interval);
                continue;
            } else {
                self.unanswered_since = Some(now);
                if !self.limits.idle_timeout.is_zero() {
                    next = next.min(now + silence_allowed);
                }
            }
            timer.as_mut().reset(next);
            self.pings_sent = self.pings_sent.wrapping_add(1);
            let payload = Bytes::from(format!("tunnel-{}", self.pings_sent));
            self.remember_ping(payload.clone());
            self.send_aside(Message::Ping(payload), cx);
        }
    }

    fn failed(&self, error: &tungstenite::Error) -> Failure {
        let name = &self.peer.name;
        match error {
            tungstenite::Error::Capacity(_) => Failure::new(
                FailureKind::TooLarge,
                format!("{name} sent a WebSocket message of more than {} bytes", self.limits.message_bytes_max),
            ),
            tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)
            | tungstenite::Error::ConnectionClosed
            | tungstenite::Error::AlreadyClosed
            | tungstenite::Error::Io(_) => {
                Failure::new(self.peer.broke_off, format!("{name} left the WebSocket without closing it"))
            }
            other => Failure::new(self.peer.broke_off, format!("{name} broke the WebSocket protocol: {other}")),
        }
    }

    fn record_sink_task(&mut self, cx: &Context<'_>) {
        if !self.sink_waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.sink_waker = Some(cx.waker().clone());
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WsSocket<S> {
    type Item = Result<WsMessage, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            match Pin::new(&mut this.inner).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    let Some(message) = this.received(message) else { continue };
                    if matches!(message, WsMessage::Close(_)) {
                        this.ended = true;
                        this.flush_aside(cx);
                    }
                    return Poll::Ready(Some(Ok(message)));
                }
                Poll::Ready(Some(Err(error))) => {
                    this.ended = true;
                    if let Some(code) = complaint(&error) {
                        this.send_aside(Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::default() })), cx);
                    }
                    return Poll::Ready(Some(Err(this.failed(&error))));
                }
                Poll::Ready(None) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(this.failed(&tungstenite::Error::ConnectionClosed))));
                }
                Poll::Pending => {
                    let failure = ready!(this.poll_silence(cx));
                    this.ended = true;
                    return Poll::Ready(Some(Err(failure)));
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<WsMessage> for WsSocket<S> {
    type Error = Failure;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.record_sink_task(cx);
        let ready = ready!(Pin::new(&mut self.inner).poll_ready(cx));
        Poll::Ready(ready.map_err(|error| self.failed(&error)))
    }

    fn start_send(mut self: Pin<&mut Self>, message: WsMessage) -> Result<(), Failure> {
        let message = outgoing(message)?;
        if let Message::Ping(payload) = &message {
            let payload = payload.clone();
            self.remember_ping(payload);
        }
        let sent = Pin::new(&mut self.inner).start_send(message);
        sent.map_err(|error| self.failed(&error))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.record_sink_task(cx);
        let flushed = ready!(Pin::new(&mut self.inner).poll_flush(cx));
        Poll::Ready(flushed.map_err(|error| self.failed(&error)))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.record_sink_task(cx);
        let closed = ready!(Pin::new(&mut self.inner).poll_close(cx));
        Poll::Ready(closed.map_err(|error| self.failed(&error)))
    }
}

/// The close code that tells the peer what it did wrong (RFC 6455 §7.4.1); `None` if there is nobody to tell.
fn complaint(error: &tungstenite::Error) -> Option<CloseCode> {
    match error {
        tungstenite::Error::Capacity(_) => Some(CloseCode::Size),
        tungstenite::Error::Utf8(_) => Some(CloseCode::Invalid),
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => None,
        tungstenite::Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}

fn outgoing(message: WsMessage) -> Result<Message, Failure> {
    let control = |bytes: Bytes| {
        if bytes.len() > CONTROL_BYTES_MAX {
            return Err(Failure::new(FailureKind::Protocol, "a WebSocket ping or pong is longer than 125 bytes"));
        }
        Ok(bytes)
    };
    Ok(match message {
        WsMessage::Text(bytes) => Message::Text(
            Utf8Bytes::try_from(bytes)
                .map_err(|_| Failure::new(FailureKind::Protocol, "a WebSocket text message is not UTF-8"))?,
        ),
        WsMessage::Binary(bytes) => Message::Binary(bytes),
        WsMessage::Ping(bytes) => Message::Ping(control(bytes)?),
        WsMessage::Pong(bytes) => Message::Pong(control(bytes)?),
        WsMessage::Close(close) => Message::Close(close.and_then(close_frame)),
    })
}

/// A code that must not be sent (1005 and its like) becomes a close without a code.
fn close_frame(close: WsClose) -> Option<CloseFrame> {
    let code = CloseCode::from(close.code);
    if !code.is_allowed() {
        return None;
    }
    let mut reason = close.reason;
    let end = reason.floor_char_boundary(CONTROL_BYTES_MAX - 2);
    reason.truncate(end);
    Some(CloseFrame { code, reason: reason.into() })
}

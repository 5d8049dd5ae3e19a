//! What every WebSocket of the server does: write what is in its outbox, ping, and end when nothing is heard.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::server::{Defect, Shared, outbox::Outbox};

/// How long one side may take for its part of the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one message may take to be written: 16 MiB need 2.2 Mbit/s.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);
/// RFC 6455 §7.4.1.
const GOING_AWAY: u16 = 1001;
/// What the published server takes in one message, in bytes.
const PUBLISHED_MESSAGE_BYTES_MAX: usize = 65_536;
/// Full packets are 64 KiB.
const READ_BUFFER_BYTES: usize = 64 * 1024;

pub(super) type Reader<S> = SplitStream<WebSocketStream<S>>;
pub(super) type Writer<S> = SplitSink<WebSocketStream<S>, Message>;

/// The two halves of a WebSocket on which the handshake is done.
pub(super) async fn split<S>(shared: &Shared, io: S, message_bytes_max: usize) -> (Writer<S>, Reader<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let message_bytes_max = if shared.config.behaviour.has(Defect::MessagesLimitedTo64KiB) {
        PUBLISHED_MESSAGE_BYTES_MAX
    } else {
        message_bytes_max
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max));
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await.split()
}

/// When something was last heard.
pub(super) struct Heard(Mutex<Instant>);

impl Heard {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    /// Something was heard, or could not be.
    pub(super) fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn at(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a WebSocket ended.
pub(super) enum End {
    /// The peer has closed it.
    Closed,
    /// It broke, or the peer is silent.
    Broken,
    /// It is to be closed.
    Close(CloseFrame),
}

impl End {
    pub(super) fn close(code: u16, reason: &'static str) -> Self {
        Self::Close(CloseFrame { code: CloseCode::from(code), reason: reason.into() })
    }

    /// What a peer that broke the rules is told (RFC 6455 §7.4.1).
    pub(super) fn after(error: &Error) -> Self {
        match error {
            Error::Capacity(_) => Self::close(1009, "the message is too long"),
            Error::Utf8(_) => Self::close(1007, "the text is not UTF-8"),
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Closed,
            _ => Self::Broken,
        }
    }
}

/// Waits until the peer has been silent for too long.
pub(super) async fn silence(shared: &Shared, heard: &Heard) -> End {
    let limit = shared.config.limits.silence_timeout;
    loop {
        // A peer that is heard exactly at the limit is not cut.
        let deadline = heard.at() + limit + Duration::from_millis(1);
        if Instant::now() >= deadline {
            return End::close(GOING_AWAY, "nothing was heard for too long");
        }
        sleep_until(deadline).await;
    }
}

/// Writes what is in the outbox and pings, until that fails.
pub(super) async fn write<S>(shared: &Shared, writer: &mut Writer<S>, outbox: &Outbox) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut pings = interval(shared.config.limits.ping_interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let written = tokio::select! {
            biased;
            _ = pings.tick() => in_time(writer.send(Message::Ping(Bytes::new()))).await,
            next = outbox.next() => write_all(writer, outbox, next).await,
        };
        if written.is_err() {
            return End::Broken;
        }
    }
}

/// Writes all that is ready and flushes once.
async fn write_all<S>(writer: &mut Writer<S>, outbox: &Outbox, next: Utf8Bytes) -> Result<(), Stuck>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut next = Some(next);
    while let Some(text) = next {
        in_time(writer.feed(Message::Text(text))).await?;
        next = outbox.try_next();
    }
    in_time(writer.flush()).await
}

/// The peer is gone, or does not read.
struct Stuck;

async fn in_time(writing: impl Future<Output = Result<(), Error>>) -> Result<(), Stuck> {
    match timeout(WRITE_TIMEOUT, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Stuck),
    }
}

/// The closing handshake.
pub(super) async fn close<S>(end: End, writer: &mut Writer<S>, reader: &mut Reader<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = timeout(CLOSE_TIMEOUT, async {
        match end {
            // The library has the answer ready.
            End::Closed => {
                let _ = writer.close().await;
            }
            End::Broken => {}
            End::Close(frame) => {
                if writer.send(Message::Close(Some(frame))).await.is_ok() {
                    // Reads on to the peer's answer, so that the system does not reset the connection over unread bytes.
                    while let Some(Ok(_)) = reader.next().await {}
                }
            }
        }
    })
    .await;
}

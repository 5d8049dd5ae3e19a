//! The control stream of a connection: signs of life, credits, and the announcement of an end.

use std::{pin::pin, task::Poll, time::Duration};

use bincode::Encode;
use bytes::{Bytes, BytesMut};
use p2p_provider::{P2PConnection, SendStream};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tunnel_core::{Failure, FailureKind};

use crate::{
    config::{PING_INTERVAL, PING_TIMEOUT},
    failure,
    frames::FrameReader,
    session::Channel,
    wire::{
        StreamKind, WireError,
        control::{self, Credit, GoAway, Ping},
        frame::FrameType,
    },
};

/// Both directions of a control stream.
pub(crate) struct Control<C: P2PConnection> {
    send: C::SendStream,
    reader: FrameReader<C::RecvStream>,
}

/// What the peer says on the control stream, besides what [`Control::run`] handles itself.
pub(crate) enum ControlEvent {
    /// A `WELCOME`, still encoded.
    Welcome(Bytes),
    /// A `GOAWAY`, with its reason.
    GoAway(String),
}

impl<C: P2PConnection> Control<C> {
    /// The client's side: opens the stream and sends `HELLO`.
    pub(crate) async fn open(connection: &C, hello: &impl Encode) -> Result<Self, Failure> {
        let (send, recv) = connection.open_bi().await.map_err(|reason| failure::lost(&reason))?;
        // The limit counts for WebSocket messages, of which a control stream has none.
        let mut this = Self { send, reader: FrameReader::new(recv, 0) };
        let mut buffer = BytesMut::from(&[StreamKind::Control as u8][..]);
        control::put(&mut buffer, FrameType::Hello, hello);
        this.write(buffer).await?;
        Ok(this)
    }

    /// The host's side: accepts the first stream, which must be this one, and returns the payload of `HELLO`.
    pub(crate) async fn accept(connection: &C) -> Result<(Self, Bytes), Failure> {
        let (send, recv) = connection.accept_bi().await.map_err(|reason| failure::lost(&reason))?;
        let mut this = Self { send, reader: FrameReader::new(recv, 0) };
        match this.reader.stream_kind().await? {
            StreamKind::Control => {}
            other => return Err(failure::wire(&WireError::StreamKind(other as u8))),
        }
        match this.reader.next_frame().await? {
            (FrameType::Hello, payload) => Ok((this, payload)),
            (other, _) => Err(failure::wire(&WireError::UnexpectedFrame(other.name()))),
        }
    }

    /// Sends one message. Not cancel safe.
    pub(crate) async fn send(&mut self, kind: FrameType, message: &impl Encode) -> Result<(), Failure> {
        let mut buffer = BytesMut::new();
        control::put(&mut buffer, kind, message);
        self.write(buffer).await
    }

    /// Waits for `WELCOME`; returns its payload. Cancel safe.
    pub(crate) async fn welcome(&mut self) -> Result<Bytes, Failure> {
        match self.reader.next_frame().await? {
            (FrameType::Welcome, payload) => Ok(payload),
            (other, _) => Err(failure::wire(&WireError::UnexpectedFrame(other.name()))),
        }
    }

    /// Runs the stream until it or the connection fails. `drain` makes it announce the end once.
    pub(crate) async fn run(
        &mut self,
        channel: &Channel<C>,
        drain: CancellationToken,
        mut on_event: impl FnMut(ControlEvent) + Send,
    ) -> Failure {
        let error = self.drive(channel, drain, &mut on_event).await;
        let error = error.err().unwrap_or_else(|| Failure::new(FailureKind::ConnectionLost, "control stream ended"));
        // The stream fails with the connection; the connection knows better why.
        channel.connection.close_reason().map_or(error, |reason| failure::lost(&reason))
    }

    async fn drive(
        &mut self,
        channel: &Channel<C>,
        drain: CancellationToken,
        on_event: &mut (impl FnMut(ControlEvent) + Send),
    ) -> Result<(), Failure> {
        let mut ticks = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut progress = channel.progress();
        let mut number = 0;
        let mut drained = false;
        loop {
            tokio::select! {
                biased;
                frame = self.reader.next_frame() => {
                    let (kind, payload) = frame?;
                    heard = Instant::now();
                    self.handle(channel, kind, payload, on_event).await?;
                }
                owed = channel.outbox.take() => {
                    let mut buffer = BytesMut::new();
                    for (stream, frames) in owed {
                        control::put(&mut buffer, FrameType::Credit, &Credit { stream, frames });
                    }
                    if !grant_apart(channel, &buffer).await {
                        self.write(buffer).await?;
                    }
                }
                _ = ticks.tick() => {
                    // After a change of paths the control stream may stand still while bodies move: that is life, too.
                    let now = channel.progress();
                    if now != progress {
                        progress = now;
                        heard = Instant::now();
                    }
                    if heard.elapsed() > PING_TIMEOUT {
                        return Err(no_answer(PING_TIMEOUT));
                    }
                    number += 1;
                    self.send(FrameType::Ping, &Ping { number }).await?;
                }
                () = drain.cancelled(), if !drained => {
                    drained = true;
                    self.send(FrameType::GoAway, &GoAway { reason: "shutting down" }).await?;
                }
            }
        }
    }

    async fn handle(
        &mut self,
        channel: &Channel<C>,
        kind: FrameType,
        payload: Bytes,
        on_event: &mut (impl FnMut(ControlEvent) + Send),
    ) -> Result<(), Failure> {
        let malformed = |error: WireError| failure::wire(&error);
        match kind {
            FrameType::Ping => {
                let ping: Ping = control::parse(kind, &payload).map_err(malformed)?;
                self.send(FrameType::Pong, &ping).await
            }
            // Any frame is a sign of life; the number only helps those who read packet captures.
            FrameType::Pong => control::parse::<Ping>(kind, &payload).map(drop).map_err(malformed),
            FrameType::Credit => {
                let credit: Credit = control::parse(kind, &payload).map_err(malformed)?;
                channel.ledger.grant(credit.stream, credit.frames);
                Ok(())
            }
            FrameType::GoAway => {
                let goaway: GoAway<'_> = control::parse(kind, &payload).map_err(malformed)?;
                on_event(ControlEvent::GoAway(goaway.reason.to_owned()));
                Ok(())
            }
            FrameType::Welcome => {
                on_event(ControlEvent::Welcome(payload));
                Ok(())
            }
            other => Err(failure::wire(&WireError::UnexpectedFrame(other.name()))),
        }
    }

    async fn write(&mut self, buffer: BytesMut) -> Result<(), Failure> {
        match timeout(PING_TIMEOUT, self.send.write_chunks(&mut [buffer.freeze()])).await {
            Ok(written) => written.map_err(|error| failure::write(&error)),
            Err(_) => Err(no_answer(PING_TIMEOUT)),
        }
    }
}

/// Grants credits on a stream of their own, if the peer reads that and a stream is free.
///
/// What is on its way when a path dies is repeated late: noq 1.4 waits for three probe timeouts of the dead path, which are
/// up to 10 s after an acknowledgement that came over the next path. On one stream all later credits would wait for that.
async fn grant_apart<C: P2PConnection>(channel: &Channel<C>, frames: &[u8]) -> bool {
    if !channel.credit_streams {
        return false;
    }
    let opened = {
        let mut open = pin!(channel.connection.open_uni());
        futures::poll!(open.as_mut())
    };
    let Poll::Ready(Ok(mut stream)) = opened else { return false };
    let mut message = BytesMut::with_capacity(1 + frames.len());
    message.extend_from_slice(&[StreamKind::Credits as u8]);
    message.extend_from_slice(frames);
    // Whatever comes of it, credits are given once.
    if let Ok(Ok(())) = timeout(PING_TIMEOUT, stream.write_chunks(&mut [message.freeze()])).await {
        stream.finish();
    }
    true
}

fn no_answer(waited: Duration) -> Failure {
    Failure::new(FailureKind::ConnectionLost, format!("the peer gave no sign of life for {waited:?}"))
}

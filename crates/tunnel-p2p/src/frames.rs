//! Frames over one direction of a stream.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use p2p_provider::RecvStream;
use tunnel_core::Failure;

use crate::{
    failure,
    wire::{
        StreamKind, WireError,
        continuation::Continuation,
        decoder::{Decoder, Event},
        frame::FrameType,
    },
};

/// Pieces taken from the transport at once: at 1.4 KB a packet, 44 KB per look.
const PIECES: usize = 32;

/// Reads frames from a stream. It reads ahead at most [`PIECES`] pieces.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    stream: R,
    decoder: Decoder,
}

impl<R: RecvStream> FrameReader<R> {
    pub(crate) fn new(stream: R, ws_message_bytes_max: u32) -> Self {
        Self { stream, decoder: Decoder::new(ws_message_bytes_max) }
    }

    /// The number of the stream below.
    pub(crate) fn id(&self) -> u64 {
        self.stream.id()
    }

    /// Tells the peer to stop sending.
    pub(crate) fn stop(&mut self, code: u64) {
        self.stream.stop(code);
    }

    /// The stream's first byte. Cancel safe.
    pub(crate) async fn stream_kind(&mut self) -> Result<StreamKind, Failure> {
        loop {
            if let Some(kind) = self.decoder.stream_kind().map_err(|error| failure::wire(&error))? {
                return Ok(kind);
            }
            self.fill().await?;
        }
    }

    /// What follows the first byte of a stream of the bulk connection that continues a body. Not cancel safe.
    pub(crate) async fn continuation(&mut self, kind: StreamKind) -> Result<Continuation, Failure> {
        loop {
            if let Some(continuation) = self.decoder.continuation(kind).map_err(|error| failure::wire(&error))? {
                return Ok(continuation);
            }
            self.fill().await?;
        }
    }

    /// The next event; `None` at a clean end between frames. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next).
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, Failure>> {
        loop {
            if let Some(event) = self.decoder.next().map_err(|error| failure::wire(&error))? {
                return Poll::Ready(Ok(Some(event)));
            }
            if !ready!(self.poll_fill(cx))? {
                let end = self.decoder.is_at_boundary();
                return Poll::Ready(if end { Ok(None) } else { Err(failure::wire(&WireError::Truncated)) });
            }
        }
    }

    /// The next frame, which must be a whole one. Cancel safe.
    pub(crate) async fn next_frame(&mut self) -> Result<(FrameType, Bytes), Failure> {
        match self.next().await? {
            Some(Event::Frame(kind, payload)) => Ok((kind, payload)),
            Some(Event::Data { .. }) => Err(failure::wire(&WireError::UnexpectedFrame(FrameType::Data.name()))),
            None => Err(failure::wire(&WireError::Truncated)),
        }
    }

    /// The end of a stream on which nothing may follow. Cancel safe.
    pub(crate) async fn end(&mut self) -> Result<(), Failure> {
        match self.next().await? {
            None => Ok(()),
            Some(Event::Frame(kind, _)) => Err(failure::wire(&WireError::UnexpectedFrame(kind.name()))),
            Some(Event::Data { .. }) => Err(failure::wire(&WireError::UnexpectedFrame(FrameType::Data.name()))),
        }
    }

    /// Looks for the end of the stream, which follows the last frame at once, so that dropping the reader needs not
    /// stop the peer. Nothing is lost if it is not there yet.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) {
        let mut pieces = [Bytes::new()];
        if let Poll::Ready(Ok(Some(count))) = self.stream.poll_read_chunks(cx, &mut pieces) {
            pieces.into_iter().take(count).for_each(|piece| self.decoder.push(piece));
        }
    }

    /// As [`poll_end`](Self::poll_end); does not wait.
    pub(crate) async fn look_for_end(&mut self) {
        std::future::poll_fn(|cx| {
            self.poll_end(cx);
            Poll::Ready(())
        })
        .await;
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        if std::future::poll_fn(|cx| self.poll_fill(cx)).await? {
            Ok(())
        } else {
            Err(failure::wire(&WireError::Truncated))
        }
    }

    /// Takes pieces from the stream; false at its end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Failure>> {
        let mut pieces = [const { Bytes::new() }; PIECES];
        match ready!(self.stream.poll_read_chunks(cx, &mut pieces)) {
            Ok(Some(count)) => {
                pieces.into_iter().take(count).for_each(|piece| self.decoder.push(piece));
                Poll::Ready(Ok(true))
            }
            Ok(None) => Poll::Ready(Ok(false)),
            Err(error) => Poll::Ready(Err(failure::read(&error))),
        }
    }
}

//! The two halves of a QUIC stream.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use iroh::endpoint;

use super::connection::{close_reason, varint};
use crate::{ReadError, RecvStream, SendStream, WriteError};

/// The sending half. Dropping it unfinished resets it: QUIC's own choice, a clean end, would look like a short body.
#[derive(Debug)]
pub struct IrohSendStream {
    stream: endpoint::SendStream,
    ended: bool,
}

impl IrohSendStream {
    pub(super) const fn new(stream: endpoint::SendStream) -> Self {
        Self { stream, ended: false }
    }
}

impl SendStream for IrohSendStream {
    fn id(&self) -> u64 {
        u64::from(self.stream.id())
    }

    async fn write_chunks(&mut self, chunks: &mut [Bytes]) -> Result<(), WriteError> {
        self.stream.write_all_chunks(chunks).await.map_err(|error| match error {
            endpoint::WriteError::Stopped(code) => WriteError::Stopped(code.into_inner()),
            endpoint::WriteError::ConnectionLost(error) => WriteError::ConnectionLost(close_reason(&error)),
            endpoint::WriteError::ClosedStream | endpoint::WriteError::ZeroRttRejected => WriteError::Closed,
        })
    }

    fn finish(&mut self) {
        self.ended = true;
        // An error means that it is finished, reset or stopped already.
        self.stream.finish().ok();
    }

    fn reset(&mut self, code: u64) {
        self.ended = true;
        self.stream.reset(varint(code)).ok();
    }

    fn stopped(&self) -> impl Future<Output = Option<u64>> + Send + 'static {
        let stopped = self.stream.stopped();
        async move { stopped.await.ok().flatten().map(endpoint::VarInt::into_inner) }
    }
}

impl Drop for IrohSendStream {
    fn drop(&mut self) {
        if !self.ended {
            self.stream.reset(varint(0)).ok();
        }
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct IrohRecvStream {
    stream: endpoint::RecvStream,
    /// noq reports a clean end to those who read on after stopping the stream.
    stopped: bool,
}

impl IrohRecvStream {
    pub(super) const fn new(stream: endpoint::RecvStream) -> Self {
        Self { stream, stopped: false }
    }
}

impl RecvStream for IrohRecvStream {
    fn id(&self) -> u64 {
        u64::from(self.stream.id())
    }

    fn poll_read_chunks(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<Option<usize>, ReadError>> {
        if self.stopped {
            return Poll::Ready(Err(ReadError::Closed));
        }
        // The future holds nothing but the borrow and is documented as cancel safe: polling a fresh one is the same.
        pin!(self.stream.read_many_chunks(chunks)).poll(cx).map_err(|error| match error {
            endpoint::ReadError::Reset(code) => ReadError::Reset(code.into_inner()),
            endpoint::ReadError::ConnectionLost(error) => ReadError::ConnectionLost(close_reason(&error)),
            endpoint::ReadError::ClosedStream | endpoint::ReadError::ZeroRttRejected => ReadError::Closed,
        })
    }

    fn stop(&mut self, code: u64) {
        self.stopped = true;
        self.stream.stop(varint(code)).ok();
    }
}

//! The two halves of a stream, as their users hold them.

use std::{
    fmt,
    future::{Future, poll_fn},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::connection::Handle;
use crate::{ReadError, RecvStream, SendStream, WriteError};

/// The sending half.
pub struct SimSendStream {
    connection: Arc<Handle>,
    stream: u64,
    ended: bool,
}

impl SimSendStream {
    pub(super) fn new(connection: &Arc<Handle>, stream: u64) -> Self {
        Self { connection: Arc::clone(connection), stream, ended: false }
    }
}

impl SendStream for SimSendStream {
    fn id(&self) -> u64 {
        self.stream
    }

    async fn write_chunks(&mut self, chunks: &mut [Bytes]) -> Result<(), WriteError> {
        let Handle { shared, side, .. } = &*self.connection;
        poll_fn(|cx| shared.with(|world| world.poll_write(*side, self.stream, cx.waker(), chunks))).await
    }

    fn finish(&mut self) {
        self.ended = true;
        let Handle { shared, side, .. } = &*self.connection;
        shared.with(|world| world.finish(*side, self.stream));
    }

    fn reset(&mut self, code: u64) {
        self.ended = true;
        let Handle { shared, side, .. } = &*self.connection;
        shared.with(|world| world.reset(*side, self.stream, code));
    }

    fn stopped(&self) -> impl Future<Output = Option<u64>> + Send + 'static {
        let (shared, side, stream) = (Arc::clone(&self.connection.shared), self.connection.side, self.stream);
        poll_fn(move |cx| shared.with(|world| world.poll_stopped(side, stream, cx.waker())))
    }
}

impl Drop for SimSendStream {
    fn drop(&mut self) {
        if !self.ended {
            self.reset(0);
        }
        let Handle { shared, side, .. } = &*self.connection;
        shared.with(|world| world.drop_sending(*side, self.stream));
    }
}

impl fmt::Debug for SimSendStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimSendStream({})", self.stream)
    }
}

/// The receiving half.
pub struct SimRecvStream {
    connection: Arc<Handle>,
    stream: u64,
}

impl SimRecvStream {
    pub(super) fn new(connection: &Arc<Handle>, stream: u64) -> Self {
        Self { connection: Arc::clone(connection), stream }
    }
}

impl RecvStream for SimRecvStream {
    fn id(&self) -> u64 {
        self.stream
    }

    fn poll_read_chunks(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<Option<usize>, ReadError>> {
        let Handle { shared, side, .. } = &*self.connection;
        shared.with(|world| world.poll_read(*side, self.stream, cx.waker(), chunks))
    }

    fn stop(&mut self, code: u64) {
        let Handle { shared, side, .. } = &*self.connection;
        shared.with(|world| world.stop(*side, self.stream, code));
    }
}

impl Drop for SimRecvStream {
    fn drop(&mut self) {
        let Handle { shared, side, .. } = &*self.connection;
        shared.with(|world| world.drop_receiving(*side, self.stream));
    }
}

impl fmt::Debug for SimRecvStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimRecvStream({})", self.stream)
    }
}

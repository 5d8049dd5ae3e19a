//! A connection that closes without losing the answer to an upload that was refused early.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// How long the rest of an upload is read and thrown away. Apps that look at the answer stop much sooner.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);
const DISCARD_BYTES: usize = 16 * 1024;

/// Whether the app may still be sending a request body that nobody reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread(Arc<AtomicBool>);

impl Unread {
    pub(super) fn set(&self, unread: bool) {
        self.0.store(unread, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes that arrive at a closed socket make the system reset the connection, and the app then loses what it has not
/// read yet: the answer (RFC 9112 §9.6). So this one shuts down its sending half first and reads on for a while.
pub(super) struct Lingering<S> {
    inner: S,
    unread: Unread,
    shut: bool,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Lingering<S> {
    pub(super) const fn new(inner: S, unread: Unread) -> Self {
        Self { inner, unread, shut: false, deadline: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.shut {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            this.shut = true;
        }
        if !this.unread.get() {
            return Poll::Ready(Ok(()));
        }
        let deadline = this.deadline.get_or_insert_with(|| Box::pin(sleep(LINGER_TIMEOUT)));
        let mut discarded = [0; DISCARD_BYTES];
        loop {
            // Also between two reads: an app that never stops sending keeps the socket readable.
            if deadline.as_mut().poll(cx).is_ready() {
                break;
            }
            let mut buf = ReadBuf::new(&mut discarded);
            match ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                Ok(()) | Err(_) => break,
            }
        }
        this.unread.set(false);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reads_on_until_the_app_has_seen_the_answer() {
        let (app, gateway) = duplex(1024);
        let unread = Unread::default();
        unread.set(true);
        let mut gateway = Lingering::new(gateway, unread);
        let (mut app_reads, mut app_writes) = tokio::io::split(app);
        let app = async {
            app_writes.write_all(&vec![0; 1 << 20]).await.unwrap();
            let mut answer = Vec::new();
            app_reads.read_to_end(&mut answer).await.unwrap();
            app_writes.shutdown().await.unwrap();
            answer
        };
        let gateway = async {
            gateway.write_all(b"413").await.unwrap();
            gateway.shutdown().await.unwrap();
        };
        assert_eq!(tokio::join!(app, gateway).0, b"413");
    }

    #[tokio::test(start_paused = true)]
    async fn does_not_wait_for_ever_nor_where_nothing_is_left() {
        for (left, waits) in [(true, LINGER_TIMEOUT), (false, Duration::ZERO)] {
            let (_app, gateway) = duplex(1024);
            let unread = Unread::default();
            unread.set(left);
            let start = tokio::time::Instant::now();
            Lingering::new(gateway, unread).shutdown().await.unwrap();
            assert_eq!(start.elapsed(), waits);
        }
    }
}

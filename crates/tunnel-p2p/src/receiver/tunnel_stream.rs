//! Upstream's `TunnelStream`, without its traps.

use std::{
    error::Error,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, future::LocalBoxFuture};
use switchy_async::{sync::mpsc, util::CancellationToken};
use tunnel_core::{
    Failure,
    moosicbox_tunnel::{self, TunnelResponse, TunnelStreamError},
};

use super::ResponsePackets;

type Ended = Result<(), Box<dyn Error>>;

/// A response body as upstream's readers know it: `moosicbox_tunnel::TunnelStream` does the work, and is fed packet by
/// packet, as it is read.
///
/// - A body that breaks off is `Err(Aborted)`, never an end that looks like success; [`failure`](Self::failure) says why.
/// - After the last packet it ends, whatever happens to the connection then.
/// - Cancelling the token wakes whoever waits.
/// - The future of `on_end` is awaited.
/// - Nothing piles up: the queue that upstream's stream reads from never has more than one packet.
pub struct TunnelStream<'a> {
    /// `None` after the end.
    packets: Option<ResponsePackets>,
    feed: mpsc::Sender<TunnelResponse>,
    inner: moosicbox_tunnel::TunnelStream<'static, Ready<Ended>>,
    cancelled: LocalBoxFuture<'static, ()>,
    on_end: Option<Box<dyn FnOnce() -> LocalBoxFuture<'a, Ended> + 'a>>,
    /// What is left to do and to say at the end.
    ending: Option<(LocalBoxFuture<'a, Ended>, Option<TunnelStreamError>)>,
    failure: Option<Failure>,
    /// A packet lies in the queue.
    fed: bool,
}

impl<'a> TunnelStream<'a> {
    pub(super) fn new<F, O>(
        request_id: u64,
        packets: ResponsePackets,
        abort_token: CancellationToken,
        on_end: &'a O,
    ) -> Self
    where
        F: Future<Output = Ended> + 'a,
        O: Fn(u64) -> F,
    {
        let (feed, receiver) = mpsc::unbounded();
        let inner = moosicbox_tunnel::TunnelStream::new(request_id, receiver, abort_token.clone(), &nothing);
        Self {
            packets: Some(packets),
            feed,
            inner,
            cancelled: Box::pin(async move { abort_token.cancelled().await }),
            on_end: Some(Box::new(move || Box::pin(on_end(request_id)))),
            ending: None,
            failure: None,
            fed: false,
        }
    }

    /// Why the body broke off, if it did.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    fn end(&mut self, error: Option<TunnelStreamError>) {
        self.packets = None;
        if let Some(on_end) = self.on_end.take() {
            self.ending = Some((on_end(), error));
        }
    }
}

impl Stream for TunnelStream<'_> {
    type Item = Result<Bytes, TunnelStreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some((ending, _)) = &mut this.ending {
                if let Err(error) = std::task::ready!(ending.as_mut().poll(cx)) {
                    tracing::warn!("what was to be done at the end of a response failed: {error}");
                }
                let error = this.ending.take().and_then(|(_, error)| error);
                return Poll::Ready(error.map(Err));
            }
            if this.packets.is_none() {
                return Poll::Ready(None);
            }
            if this.cancelled.as_mut().poll(cx).is_ready() {
                this.end(Some(TunnelStreamError::Aborted));
                continue;
            }
            if !this.fed
                && let Some(packets) = &mut this.packets
            {
                match std::task::ready!(Pin::new(packets).poll_next(cx)) {
                    Some(Ok(packet)) => this.fed = this.feed.send(packet).is_ok(),
                    Some(Err(failure)) => {
                        this.failure = Some(failure);
                        this.end(Some(TunnelStreamError::Aborted));
                        continue;
                    }
                    // The last packet has been read.
                    None => {
                        this.end(None);
                        continue;
                    }
                }
            }
            match std::task::ready!(Pin::new(&mut this.inner).poll_next(cx)) {
                // Packets that say only that they are the first or the last.
                Some(Ok(bytes)) if bytes.is_empty() => this.fed = false,
                Some(Ok(bytes)) => {
                    this.fed = false;
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(Err(error)) => this.end(Some(error)),
                None => this.end(None),
            }
        }
    }
}

/// Upstream's stream drops this future unawaited.
fn nothing(_: u64) -> Ready<Ended> {
    ready(Ok(()))
}

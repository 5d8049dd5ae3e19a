//! WebSockets: decided when they open, then they live and die with their transport.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{Sink, Stream};
use tunnel_core::{Failure, SendError, TransportKind, WsMessage, WsOpen, WsSession, WsUpgrade};

use super::{
    body::{self, via},
    exchange::{Exchange, Route},
    failures,
    record::Record,
    watchdog,
};
use crate::{Reason, health::Machine};

impl Exchange {
    pub(super) async fn open(mut self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        let result = match self.route {
            Route::P2pOnly(reason) => {
                self.ask_ws(TransportKind::P2p, open).await.map(|upgrade| (upgrade, TransportKind::P2p, reason))
            }
            Route::P2pFirst => self.ws_p2p_first(open).await,
            Route::LegacyFirst(reason) => self.ws_legacy_first(open, reason).await,
            Route::None => Err(failures::no_p2p()),
        };
        match result {
            Ok((upgrade, kind, reason)) => Ok(self.upgraded(upgrade, kind, reason)),
            Err(failure) => {
                // Opening a WebSocket is a GET: harmless, whether the service has seen it or not.
                self.record.failed(&SendError::consumed(failure.clone()));
                Err(failure)
            }
        }
    }

    async fn ws_p2p_first(&self, open: WsOpen) -> Result<(WsUpgrade, TransportKind, Reason), Failure> {
        let failure = match self.ask_ws(TransportKind::P2p, open.clone()).await {
            Ok(upgrade) => return Ok((upgrade, TransportKind::P2p, Reason::P2pHealthy)),
            Err(failure) if !failures::may_differ(failure.kind()) => return Err(failure),
            Err(failure) => failure,
        };
        self.shared.legacy_carries_ws(&open).map_err(|refusal| failures::both(&failure, &refusal))?;
        self.shared.counters.fallbacks.one();
        match self.ask_ws(TransportKind::Legacy, open).await {
            Ok(upgrade) => Ok((upgrade, TransportKind::Legacy, Reason::P2pFailed)),
            Err(legacy) => Err(failures::both(&failure, &legacy)),
        }
    }

    async fn ws_legacy_first(
        &self,
        open: WsOpen,
        reason: Reason,
    ) -> Result<(WsUpgrade, TransportKind, Reason), Failure> {
        let down = self.down();
        let (legacy, last) = match self.shared.legacy_carries_ws(&open) {
            Ok(()) => match self.ask_ws(TransportKind::Legacy, open.clone()).await {
                Ok(upgrade) => return Ok((upgrade, TransportKind::Legacy, reason)),
                Err(failure) if !failures::may_differ(failure.kind()) => return Err(failure),
                Err(failure) => (failure, Reason::LegacyFailed),
            },
            Err(refusal) => (refusal, Reason::NotCarried),
        };
        let Some(p2p) = down else { return Err(legacy) };
        if !self.p2p_may_work() {
            return Err(failures::both(&p2p, &legacy));
        }
        if last == Reason::LegacyFailed {
            self.shared.counters.fallbacks.one();
        }
        match self.ask_ws(TransportKind::P2p, open).await {
            Ok(upgrade) => Ok((upgrade, TransportKind::P2p, last)),
            Err(p2p) => Err(failures::both(&p2p, &legacy)),
        }
    }

    async fn ask_ws(&self, kind: TransportKind, open: WsOpen) -> Result<WsUpgrade, Failure> {
        let Some(transport) = self.shared.transport(kind) else { return Err(failures::no_p2p()) };
        self.shared.counters.attempts.of(kind).one();
        if kind != TransportKind::P2p {
            return transport.open_ws(open).await;
        }
        let epoch = self.shared.look(Machine::epoch);
        let result = tokio::select! {
            biased;
            result = transport.open_ws(open) => result,
            failure = watchdog::dead(&self.shared, &self.active.config, epoch, None) => Err(failure),
        };
        match &result {
            Ok(_) => self.shared.tell(|machine, now| machine.succeeded(now, epoch)),
            Err(failure) => self.shared.p2p_failed(epoch, failure),
        }
        result
    }

    fn upgraded(mut self, upgrade: WsUpgrade, kind: TransportKind, reason: Reason) -> WsUpgrade {
        match upgrade {
            WsUpgrade::Accepted { headers, session, via: before } => {
                self.record.answered(kind, reason, 101);
                let epoch = self.shared.look(Machine::epoch);
                let WsSession { sink, stream } = session;
                let counted = CountedSink { sink, shared: self.shared.clone(), kind };
                let stream = Watched { stream, record: self.record, kind, epoch };
                let session = WsSession { sink: Box::pin(counted), stream: Box::pin(stream) };
                WsUpgrade::Accepted { headers, session, via: Some(via(before, kind, reason)) }
            }
            WsUpgrade::Rejected(response) => WsUpgrade::Rejected(body::deliver(self, response, kind, reason, None)),
        }
    }
}

/// The messages to the host, counted.
struct CountedSink {
    sink: Pin<Box<dyn Sink<WsMessage, Error = Failure> + Send>>,
    shared: std::sync::Arc<super::shared::Shared>,
    kind: TransportKind,
}

impl Sink<WsMessage> for CountedSink {
    type Error = Failure;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.get_mut().sink.as_mut().poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: WsMessage) -> Result<(), Failure> {
        let this = self.get_mut();
        this.shared.counters.bytes_sent.of(this.kind).add(message.len() as u64);
        this.sink.as_mut().start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.get_mut().sink.as_mut().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.get_mut().sink.as_mut().poll_close(cx)
    }
}

/// The messages from the host. Their end is the end of the WebSocket.
struct Watched {
    stream: Pin<Box<dyn Stream<Item = Result<WsMessage, Failure>> + Send>>,
    record: Record,
    kind: TransportKind,
    epoch: u64,
}

impl Stream for Watched {
    type Item = Result<WsMessage, Failure>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let item = ready!(this.stream.as_mut().poll_next(cx));
        match &item {
            Some(Ok(message)) => {
                let shared = this.record.shared();
                shared.counters.bytes_received.of(this.kind).add(message.len() as u64);
                if matches!(message, WsMessage::Close(_)) {
                    this.record.completed();
                }
            }
            Some(Err(failure)) => {
                if this.kind == TransportKind::P2p {
                    this.record.shared().p2p_failed(this.epoch, failure);
                }
                this.record.cut(this.kind, failure);
            }
            None => this.record.completed(),
        }
        Poll::Ready(item)
    }
}

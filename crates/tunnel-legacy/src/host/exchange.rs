//! One request: from the handler, packet by packet, into the queue of the connection.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt, StreamExt};
use http::header;
use tokio::{sync::mpsc, task::yield_now};
use tunnel_core::{
    Failure, FailureKind, Handler, Request, WsMessage,
    moosicbox_tunnel::TunnelHttpRequest,
    packet::{Packets, TunnelResponse},
};

use super::{encode::Encoder, refusal, window::Window};
use crate::message::ToServer;

/// What answering a request needs.
pub(super) struct Exchange {
    pub(super) request_id: u64,
    pub(super) out: mpsc::Sender<WsMessage>,
    pub(super) encoder: Encoder,
    /// With the additions.
    pub(super) window: Option<Arc<Window>>,
}

/// How the packets of a response ended.
enum Ended {
    /// With the last one.
    Whole,
    /// The connection is gone.
    Cut,
    /// The response broke off.
    Broken { failure: Failure, packets: u32, has_length: bool },
}

impl Exchange {
    /// Asks the handler and passes its response on. Dropping the future drops the handler's future, or its body.
    pub(super) async fn answer(mut self, handler: Arc<dyn Handler>, request: Box<TunnelHttpRequest>) {
        let request = Request::tunnel(*request);
        let response = AssertUnwindSafe(handler.http(request)).catch_unwind().await.unwrap_or_else(|_| Err(panicked()));
        match response {
            Ok(response) => match self.pass_on(response).await {
                Ended::Whole | Ended::Cut => {}
                Ended::Broken { failure, packets: 0, .. } => self.refuse(&begun(failure)).await,
                Ended::Broken { failure, packets, has_length } => self.break_off(&failure, packets, has_length).await,
            },
            Err(failure) => self.refuse(&failure).await,
        }
    }

    /// Answers instead of the handler.
    pub(super) async fn refuse(mut self, failure: &Failure) {
        tracing::debug!(request = self.request_id, "a request got no response: {failure}");
        self.pass_on(refusal::response(failure)).await;
    }

    async fn pass_on(&mut self, response: tunnel_core::Response) -> Ended {
        let has_length = response.headers.contains_key(header::CONTENT_LENGTH);
        let broken = |failure, packets| Ended::Broken { failure, packets, has_length };
        let mut packets = match Packets::new(self.request_id, response) {
            Ok(packets) => packets,
            // Not the client's fault, which the kind would say.
            Err(failure) => return broken(Failure::new(FailureKind::ServiceFailed, failure.to_string()), 0),
        };
        let mut passed = 0;
        loop {
            let next = AssertUnwindSafe(packets.next()).catch_unwind().await;
            let packet = match next.unwrap_or_else(|_| Some(Err(panicked()))) {
                Some(Ok(packet)) => packet,
                Some(Err(failure)) => return broken(failure, passed),
                None => return Ended::Whole,
            };
            let (id, last) = (packet.packet_id, packet.last);
            match self.send(packet).await {
                Ok(true) => passed = id,
                Ok(false) => return Ended::Cut,
                Err(failure) => return broken(Failure::new(FailureKind::ServiceFailed, failure.to_string()), passed),
            }
            if !last {
                // The queue may have room for more, which is for others.
                yield_now().await;
            }
        }
    }

    /// Whether the connection is still there.
    async fn send(&mut self, packet: TunnelResponse) -> Result<bool, Failure> {
        for message in self.encoder.encode(packet)? {
            if let Some(window) = &self.window {
                window.take().await;
            }
            if self.out.send(message).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends a response so that it does not look whole.
    async fn break_off(mut self, failure: &Failure, packets: u32, has_length: bool) {
        tracing::debug!(request = self.request_id, "a response broke off: {failure}");
        if self.window.is_some() {
            let reset = ToServer::Reset { request_id: self.request_id, failure: failure.clone() };
            self.out.send(WsMessage::Text(reset.to_text().into())).await.ok();
        } else if has_length {
            // Too short for the length that the client knows: the tunnel server cuts the connection.
            for message in self.encoder.end(self.request_id, packets).unwrap_or_default() {
                self.out.send(message).await.ok();
            }
        }
        // Without a length any end would look like the end: there is none.
    }
}

/// The failure of a response whose head was there: nobody may take its request for one that was not executed.
fn begun(failure: Failure) -> Failure {
    if failure.kind().is_not_executed() {
        return Failure::new(FailureKind::Aborted, failure.message().to_owned());
    }
    failure
}

fn panicked() -> Failure {
    Failure::new(FailureKind::Internal, "the host failed while it answered: its log says more")
}

//! The requests that the server works on.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::task::{AbortHandle, JoinSet};
use tunnel_core::{
    Body, Failure, FailureKind, Handler, Request, Response,
    moosicbox_tunnel::TunnelHttpRequest,
    packet::{Packets, encode},
};
use tunnel_p2p::sender::P2PTunnelSender;

use crate::backend::facade::REASON;

/// Dropping it gives all of them up. They are as many as the sender takes.
pub(super) struct Requests {
    sender: P2PTunnelSender,
    handler: Arc<dyn Handler>,
    /// Each returns its serial number.
    tasks: JoinSet<u64>,
    /// By their ids, with their serial numbers: a client may use an id again.
    running: BTreeMap<u64, (u64, AbortHandle)>,
    begun: u64,
}

impl Requests {
    pub(super) fn new(sender: P2PTunnelSender, handler: Arc<dyn Handler>) -> Self {
        Self { sender, handler, tasks: JoinSet::new(), running: BTreeMap::new(), begun: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn begin(&mut self, request: TunnelHttpRequest) {
        let id = request.request_id;
        self.begun += 1;
        let serial = self.begun;
        let answering = answer(self.sender.clone(), Arc::clone(&self.handler), request);
        let task = self.tasks.spawn(answering.map(move |()| serial));
        self.running.insert(id, (serial, task));
    }

    /// Nobody waits for the response any more.
    pub(super) fn abort(&mut self, id: u64) {
        if let Some((_, task)) = self.running.remove(&id) {
            task.abort();
        }
    }

    /// Waits until one has ended; for ever if there is none. Cancel safe.
    pub(super) async fn one_ended(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(ended)) => self.running.retain(|_, (serial, _)| *serial != ended),
            // It was aborted. Panics of the handler are caught before they come here.
            Some(Err(_)) => {}
            None => std::future::pending().await,
        }
    }
}

/// Asks the handler and sends its response, packet by packet. Dropping the future drops the handler's future, or its body.
async fn answer(sender: P2PTunnelSender, handler: Arc<dyn Handler>, request: TunnelHttpRequest) {
    let id = request.request_id;
    let asking = AssertUnwindSafe(handler.http(Request::tunnel(request))).catch_unwind();
    let failure = match asking.await.unwrap_or_else(|_| Err(panicked())) {
        Ok(response) => match send(&sender, id, response).await {
            Ok(()) => return,
            Err(Broken { failure, packets: 0 }) => begun(failure),
            Err(Broken { .. }) => return sender.abort_request(id),
        },
        Err(failure) => failure,
    };
    // If nobody wants it any more, nobody is told.
    send(&sender, id, refusal(&failure)).await.ok();
}

/// A response that broke off after so many packets.
struct Broken {
    failure: Failure,
    packets: u32,
}

async fn send(sender: &P2PTunnelSender, id: u64, response: Response) -> Result<(), Broken> {
    let broken = |failure, packets| Broken { failure, packets };
    let internal = |message: String, packets| broken(Failure::new(FailureKind::ServiceFailed, message), packets);
    let mut packets = Packets::new(id, response).map_err(|failure| internal(failure.to_string(), 0))?;
    let mut sent = 0;
    loop {
        let next = AssertUnwindSafe(packets.next()).catch_unwind().await;
        let Some(packet) = next.unwrap_or_else(|_| Some(Err(panicked()))) else { return Ok(()) };
        let packet = packet.map_err(|failure| broken(failure, sent))?;
        let bytes = encode(&packet).map_err(|error| internal(error.to_string(), sent))?;
        if sender.send_bytes_paced(id, packet.packet_id, bytes).await.is_err() {
            // The client has left: the body is dropped, and with it the service's work.
            return Ok(());
        }
        sent = packet.packet_id;
    }
}

/// The failure as a response, as hosts behind a tunnel server make it: the status of its kind, the sentence, and the kind
/// by name.
fn refusal(failure: &Failure) -> Response {
    let body = format!("{failure}\n");
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (HeaderName::from_static(REASON), HeaderValue::from_static(failure.kind().name())),
    ]);
    Response { headers, ..Response::new(failure.kind().status(), Body::full(body)) }
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

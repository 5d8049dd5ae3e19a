//! A response, in packets.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tunnel_core::{
    Failure, FailureKind, Response, Via,
    moosicbox_tunnel::TunnelResponse,
    packet::{Packets, single_valued},
};

use super::{Requests, tunnel_stream::TunnelStream};

/// The response to a tunnel request.
#[derive(Debug)]
pub struct TunnelHttpResponse {
    /// The id of the request.
    pub request_id: u64,
    /// The status.
    pub status: u16,
    /// The headers, one value for each name, as packets carry them.
    pub headers: BTreeMap<String, String>,
    /// How the response travelled.
    pub via: Option<Via>,
    /// All packets, the first with status and headers.
    pub packets: ResponsePackets,
}

impl TunnelHttpResponse {
    pub(super) fn new(request_id: u64, response: Response, in_flight: InFlight) -> Result<Self, Failure> {
        let (status, via) = (response.status.as_u16(), response.via);
        let headers = single_valued(&response.headers);
        let packets = Packets::new(request_id, response)?;
        let aborted = Box::pin(in_flight.token.clone().cancelled_owned());
        let packets = ResponsePackets { packets: Some(packets), aborted, _in_flight: in_flight };
        Ok(Self { request_id, status, headers, via, packets })
    }

    /// The body as upstream's stream has it: `Bytes`, or upstream's errors. `on_end` is called when it has ended, well or
    /// not, and its future is awaited; upstream's own drops it.
    pub fn into_stream<'a, F, O>(
        self,
        abort_token: switchy_async::util::CancellationToken,
        on_end: &'a O,
    ) -> TunnelStream<'a>
    where
        F: Future<Output = Result<(), Box<dyn std::error::Error>>> + 'a,
        O: Fn(u64) -> F,
    {
        TunnelStream::new(self.request_id, self.packets, abort_token, on_end)
    }
}

/// The packets of a response, in order and bounded by their reader. Dropping them before the end aborts the request.
///
/// After the packet that says `last` there is nothing more; a failure is the last item, too.
pub struct ResponsePackets {
    /// `None` after the end.
    packets: Option<Packets>,
    aborted: Pin<Box<WaitForCancellationFutureOwned>>,
    _in_flight: InFlight,
}

impl Stream for ResponsePackets {
    type Item = Result<TunnelResponse, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(packets) = &mut this.packets else { return Poll::Ready(None) };
        let item = if this.aborted.as_mut().poll(cx).is_ready() {
            Some(Err(aborted()))
        } else {
            std::task::ready!(Pin::new(packets).poll_next(cx))
        };
        if !item.as_ref().is_some_and(Result::is_ok) {
            this.packets = None;
        }
        Poll::Ready(item)
    }
}

impl std::fmt::Debug for ResponsePackets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponsePackets").finish_non_exhaustive()
    }
}

pub(super) fn aborted() -> Failure {
    Failure::new(FailureKind::Aborted, "the request was aborted")
}

/// A request's place among those in flight.
pub(super) struct InFlight {
    requests: Arc<Requests>,
    id: u64,
    token: CancellationToken,
}

impl InFlight {
    /// `None` if the id is taken.
    pub(super) fn begin(requests: &Arc<Requests>, id: u64) -> Option<Self> {
        let token = CancellationToken::new();
        match requests.lock().entry(id) {
            Entry::Vacant(entry) => drop(entry.insert(token.clone())),
            Entry::Occupied(_) => return None,
        }
        Some(Self { requests: Arc::clone(requests), id, token })
    }

    pub(super) async fn aborted(&self) {
        self.token.cancelled().await;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.requests.lock().remove(&self.id);
    }
}

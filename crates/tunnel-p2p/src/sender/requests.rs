//! The requests that wait for an answer of the loop.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::stream;
use http::request::Parts;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tunnel_core::{
    Body, Failure, FailureKind, Response,
    moosicbox_tunnel::{TunnelHttpRequest, TunnelResponse},
    packet::response_from_packets,
};

use super::{
    ids::Ids,
    message::{TunnelMessage, abort_text},
};

/// Packets of one response that its client has not taken yet, beside the limit of their bytes: empty ones are bounded, too.
const QUEUE_PACKETS_MAX: usize = 4096;
/// The bytes of such packets.
pub(super) const QUEUE_BYTES_MAX: usize = 16 << 20;

/// By the id that the loop sees.
#[derive(Default)]
pub(super) struct Requests(Mutex<BTreeMap<u64, Entry>>);

struct Entry {
    asked: Option<Asked>,
    answer: AnswerState,
    /// Cancelled when the answer is to end: by the client, or by the loop.
    cut: CancellationToken,
    budget: Arc<Semaphore>,
}

/// What the loop was asked, and what it could not be told of it.
pub(super) struct Asked {
    /// The request as it was said.
    pub(super) said: TunnelHttpRequest,
    /// The request as it was born, if that was HTTP.
    pub(super) born: Option<(Parts, Body)>,
}

enum AnswerState {
    Waiting(oneshot::Sender<Answer>),
    Packets(mpsc::Sender<Held>),
    /// A response whose body the service streams.
    Streaming,
}

enum Answer {
    Response(Result<Response, Failure>),
    Packets(mpsc::Receiver<Held>),
}

/// A packet, and its share of the memory for such packets.
struct Held {
    packet: TunnelResponse,
    _share: OwnedSemaphorePermit,
}

impl Requests {
    pub(super) fn insert(
        self: &Arc<Self>,
        wanted: Option<u64>,
        ids: &Ids,
        asked: impl FnOnce(u64) -> Asked,
        abort_slot: mpsc::OwnedPermit<TunnelMessage>,
    ) -> Waiting {
        let (sender, receiver) = oneshot::channel();
        let cut = CancellationToken::new();
        let mut entries = self.lock();
        let id = ids.free(wanted, |id| entries.contains_key(&id));
        let entry = Entry {
            asked: Some(asked(id)),
            answer: AnswerState::Waiting(sender),
            cut: cut.clone(),
            budget: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
        };
        entries.insert(id, entry);
        drop(entries);
        let guard = Guard { requests: Arc::clone(self), id, cut, abort_slot: None };
        Waiting { guard, abort_slot: Some(abort_slot), receiver }
    }

    /// Takes the right to answer with a response, and what was asked. `None` if nobody waits for one.
    pub(super) fn claim(&self, id: u64) -> Option<(Option<Asked>, Claim)> {
        let mut entries = self.lock();
        let entry = entries.get_mut(&id)?;
        if !matches!(entry.answer, AnswerState::Waiting(_)) {
            return None;
        }
        let AnswerState::Waiting(sender) = std::mem::replace(&mut entry.answer, AnswerState::Streaming) else {
            return None;
        };
        Some((entry.asked.take(), Claim { sender, cut: entry.cut.clone() }))
    }

    /// Passes a packet on. `Err` says why it cannot be; after an overflow the client sees a cut.
    pub(super) fn push(&self, packet: TunnelResponse) -> Result<(), Rejected> {
        let mut entries = self.lock();
        let id = packet.request_id;
        let entry = entries.get_mut(&id).ok_or(Rejected::Unknown)?;
        let Some(held) = hold(&entry.budget, packet) else {
            Self::break_off(entry);
            return Err(Rejected::Slow);
        };
        match Self::packets(entry) {
            Some(sender) => match sender.try_send(held) {
                Ok(()) => Ok(()),
                Err(mpsc::error::TrySendError::Closed(_)) => Err(Rejected::Unknown),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    Self::break_off(entry);
                    Err(Rejected::Slow)
                }
            },
            None => Err(Rejected::Answered),
        }
    }

    /// As [`push`](Self::push), but waits for a slow reader. Cancel safe: the packet is passed on or not at all.
    pub(super) async fn push_paced(&self, packet: TunnelResponse) -> Result<(), Rejected> {
        let (sender, budget) = {
            let mut entries = self.lock();
            let entry = entries.get_mut(&packet.request_id).ok_or(Rejected::Unknown)?;
            let budget = Arc::clone(&entry.budget);
            (Self::packets(entry).cloned().ok_or(Rejected::Answered)?, budget)
        };
        let share = tokio::select! {
            biased;
            () = sender.closed() => return Err(Rejected::Unknown),
            share = budget.acquire_many_owned(weight(&packet)) => share.map_err(|_| Rejected::Unknown)?,
        };
        sender.send(Held { packet, _share: share }).await.map_err(|_| Rejected::Unknown)
    }

    /// Ends the answer of a request, whoever gives it.
    pub(super) fn abort(&self, id: u64) {
        if let Some(entry) = self.lock().get_mut(&id) {
            Self::break_off(entry);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn packets(entry: &mut Entry) -> Option<&mpsc::Sender<Held>> {
        if let AnswerState::Waiting(_) = entry.answer {
            let (sender, receiver) = mpsc::channel(QUEUE_PACKETS_MAX);
            let waiting = std::mem::replace(&mut entry.answer, AnswerState::Packets(sender));
            if let AnswerState::Waiting(answer) = waiting {
                // Nobody there any more: the entry goes in a moment.
                answer.send(Answer::Packets(receiver)).ok();
            }
        }
        match &entry.answer {
            AnswerState::Packets(sender) => Some(sender),
            AnswerState::Waiting(_) | AnswerState::Streaming => None,
        }
    }

    fn break_off(entry: &mut Entry) {
        entry.cut.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a packet was not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    /// No such request, or its client has left.
    Unknown,
    /// The service answers it.
    Answered,
    /// Its reader is too slow.
    Slow,
}

impl Rejected {
    pub(super) fn explain(self, id: u64) -> String {
        match self {
            Self::Unknown => format!("no request {id} waits for an answer: its client has left, or it is answered"),
            Self::Answered => format!("the request {id} is answered by tunnel_request"),
            Self::Slow => format!(
                "the client of request {id} reads too slowly: {QUEUE_BYTES_MAX} bytes wait, and its response is cut; \
                 send_bytes_paced waits instead"
            ),
        }
    }
}

fn weight(packet: &TunnelResponse) -> u32 {
    // A packet larger than all the room waits until it is alone.
    u32::try_from(packet.bytes.len().min(QUEUE_BYTES_MAX)).unwrap_or(u32::MAX)
}

fn hold(budget: &Arc<Semaphore>, packet: TunnelResponse) -> Option<Held> {
    let share = Arc::clone(budget).try_acquire_many_owned(weight(&packet)).ok()?;
    Some(Held { packet, _share: share })
}

/// A request whose answer is awaited. Dropping it tells the loop, once it has been told of the request.
pub(super) struct Waiting {
    guard: Guard,
    abort_slot: Option<mpsc::OwnedPermit<TunnelMessage>>,
    receiver: oneshot::Receiver<Answer>,
}

impl Waiting {
    pub(super) const fn id(&self) -> u64 {
        self.guard.id
    }

    /// The loop knows of the request from here on.
    pub(super) fn told(&mut self) {
        self.guard.abort_slot = self.abort_slot.take();
    }

    /// Waits for the head of the response.
    pub(super) async fn answer(self) -> Result<Response, Failure> {
        let Self { mut guard, receiver, .. } = self;
        let cut = guard.cut.clone();
        let answering = async {
            match receiver.await {
                Ok(Answer::Response(response)) => response,
                Ok(Answer::Packets(packets)) => {
                    let packets = stream::unfold(packets, |mut packets| async move {
                        let held = packets.recv().await?;
                        Some((Ok(held.packet), packets))
                    });
                    response_from_packets(guard.id, packets).await
                }
                Err(_) => {
                    Err(Failure::new(FailureKind::Internal, "the server's message loop dropped the request unanswered"))
                }
            }
        };
        let answered = tokio::select! {
            biased;
            answered = answering => answered,
            () = cut.cancelled() => Err(aborted()),
        };
        match answered {
            Ok(mut response) => {
                response.body = Body::stream(Guarded {
                    body: response.body,
                    cut: Box::pin(cut.cancelled_owned()),
                    ended: false,
                    guard: Some(guard),
                });
                Ok(response)
            }
            Err(failure) => {
                // It was the loop that ended it.
                guard.abort_slot = None;
                Err(failure)
            }
        }
    }
}

fn aborted() -> Failure {
    Failure::new(FailureKind::Aborted, "the server's message loop gave the request up")
}

/// A request's place. Dropping it takes the request off the list, and tells the loop if that still works on it.
struct Guard {
    requests: Arc<Requests>,
    id: u64,
    cut: CancellationToken,
    abort_slot: Option<mpsc::OwnedPermit<TunnelMessage>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.requests.lock().remove(&self.id);
        self.cut.cancel();
        if let Some(slot) = self.abort_slot.take() {
            slot.send(TunnelMessage::Text(abort_text(self.id)));
        }
    }
}

/// A response body that ends the request with itself.
struct Guarded {
    body: Body,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
    guard: Option<Guard>,
}

impl Guarded {
    /// The loop has nothing more to do for it.
    fn end(&mut self) {
        self.ended = true;
        if let Some(mut guard) = self.guard.take() {
            guard.abort_slot = None;
        }
    }
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
            Poll::Ready(end) => {
                self.end();
                Poll::Ready(end)
            }
            Poll::Pending if self.cut.as_mut().poll(cx).is_ready() => {
                self.end();
                self.body = Body::empty();
                Poll::Ready(Some(Err(aborted())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Read to its end, though nobody asked whether there is more.
        if self.body.is_end_stream() {
            self.end();
        }
    }
}

/// The right to answer a request.
pub(super) struct Claim {
    sender: oneshot::Sender<Answer>,
    cut: CancellationToken,
}

impl Claim {
    /// Resolves when the answer is not wanted any more. Cancel safe.
    pub(super) async fn unwanted(&self) {
        self.cut.cancelled().await;
    }

    /// Answers, and waits until the client has the whole response, or has left. Dropping the future cuts the response.
    pub(super) async fn answer(self, response: Result<Response, Failure>) {
        let (done, finished) = oneshot::channel::<()>();
        let cutting = CutOnDrop(Some(self.cut.clone()));
        let response = response.map(|mut response| {
            response.body = Body::stream(Watched { body: response.body, _done: done });
            response
        });
        if self.sender.send(Answer::Response(response)).is_ok() {
            // Resolves when the body is dropped.
            finished.await.ok();
        }
        cutting.disarm();
    }
}

struct CutOnDrop(Option<CancellationToken>);

impl CutOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some(cut) = &self.0 {
            cut.cancel();
        }
    }
}

/// A body whose end can be awaited.
struct Watched {
    body: Body,
    _done: oneshot::Sender<()>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

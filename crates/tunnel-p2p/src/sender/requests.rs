//! The requests that wait for an answer of the loop.

mod claim;
mod guarded;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::stream;
use http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tunnel_core::{
    Body, Failure, FailureKind, Response,
    moosicbox_tunnel::{TunnelHttpRequest, TunnelResponse},
    packet::response_from_packets,
};

pub(super) use self::claim::Claim;

use self::guarded::Guarded;

use super::{
    ids::{Ids, Retired},
    message::abort_text,
    queue::{Told, User},
};

/// Packets of one response that its client has not taken yet, beside the limit of their bytes: empty ones are bounded, too.
const QUEUE_PACKETS_MAX: usize = 4096;
/// The bytes of such packets.
pub(super) const QUEUE_BYTES_MAX: usize = 16 << 20;

/// Packets that a sender who waits may have waiting. Not more than on the way through a tunnel server: a reader that stands
/// still is to stop the service, not to fill the memory.
const PACED_PACKETS_MAX: usize = 32;

#[derive(Default)]
pub(super) struct Requests(Mutex<State>);

#[derive(Default)]
struct State {
    /// By the id that the loop sees.
    entries: BTreeMap<u64, Entry>,
    /// Those that ended before the loop had said its last word.
    retired: Retired,
}

struct Entry {
    /// Until somebody answers.
    asked: Option<Asked>,
    answer: AnswerState,
    /// Cancelled when the answer is to end: by the client, or by the loop.
    cut: CancellationToken,
    budget: Arc<Semaphore>,
    pace: Arc<Semaphore>,
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
    _turn: Option<OwnedSemaphorePermit>,
}

impl Requests {
    /// A new request: the loop will see the wanted id if nobody has it.
    pub(super) fn insert(
        self: &Arc<Self>,
        wanted: Option<u64>,
        ids: &Ids,
        asked: impl FnOnce(u64) -> Asked,
        place: OwnedSemaphorePermit,
    ) -> Waiting {
        let (sender, receiver) = oneshot::channel();
        let cut = CancellationToken::new();
        let mut state = self.lock();
        let id = ids.free(wanted, |id| state.entries.contains_key(&id) || state.retired.contains(id));
        let entry = Entry {
            asked: Some(asked(id)),
            answer: AnswerState::Waiting(sender),
            cut: cut.clone(),
            budget: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            pace: Arc::new(Semaphore::new(PACED_PACKETS_MAX)),
        };
        state.entries.insert(id, entry);
        drop(state);
        let guard = Guard { requests: Arc::clone(self), id, cut, told: None, done: false, _place: place };
        Waiting { guard, receiver }
    }

    /// Takes the right to answer with a response, and what was asked. `None` if nobody waits for one.
    pub(super) fn claim(&self, id: u64) -> Option<(Option<Asked>, Claim)> {
        let mut state = self.lock();
        let entry = state.entries.get_mut(&id)?;
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
        let mut state = self.lock();
        let entry = state.open(packet.request_id)?;
        let Some(held) = hold(&entry.budget, packet) else {
            entry.cut.cancel();
            return Err(Rejected::Slow);
        };
        match Self::packets(entry)?.try_send(held) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Rejected::Unknown),
            Err(mpsc::error::TrySendError::Full(_)) => {
                entry.cut.cancel();
                Err(Rejected::Slow)
            }
        }
    }

    /// As [`push`](Self::push), but waits for a slow reader. Cancel safe: the packet is passed on or not at all.
    pub(super) async fn push_paced(&self, packet: TunnelResponse) -> Result<(), Rejected> {
        let (sender, budget, pace, cut) = {
            let mut state = self.lock();
            let entry = state.open(packet.request_id)?;
            let (budget, pace) = (Arc::clone(&entry.budget), Arc::clone(&entry.pace));
            (Self::packets(entry)?.clone(), budget, pace, entry.cut.clone())
        };
        let weight = weight(&packet);
        let passing = async {
            let turn = pace.acquire_owned().await.ok()?;
            let share = budget.acquire_many_owned(weight).await.ok()?;
            let room = sender.reserve().await.ok()?;
            Some((room, Held { packet, _share: share, _turn: Some(turn) }))
        };
        tokio::select! {
            biased;
            () = cut.cancelled() => Err(Rejected::Unknown),
            () = sender.closed() => Err(Rejected::Unknown),
            passed = passing => {
                let (room, held) = passed.ok_or(Rejected::Unknown)?;
                room.send(held);
                Ok(())
            }
        }
    }

    /// Ends the answer of a request, whoever gives it.
    pub(super) fn abort(&self, id: u64) {
        if let Some(entry) = self.lock().entries.get(&id) {
            entry.cut.cancel();
        }
    }

    /// The way of packets, which begins with the first of them.
    fn packets(entry: &mut Entry) -> Result<&mpsc::Sender<Held>, Rejected> {
        if let AnswerState::Waiting(_) = entry.answer {
            let (sender, receiver) = mpsc::channel(QUEUE_PACKETS_MAX);
            let waiting = std::mem::replace(&mut entry.answer, AnswerState::Packets(sender));
            entry.asked = None;
            if let AnswerState::Waiting(answer) = waiting {
                // Nobody there any more: the entry goes in a moment.
                answer.send(Answer::Packets(receiver)).ok();
            }
        }
        match &entry.answer {
            AnswerState::Packets(sender) => Ok(sender),
            AnswerState::Waiting(_) | AnswerState::Streaming => Err(Rejected::Answered),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The request, if its answer has not been ended.
    fn open(&mut self, id: u64) -> Result<&mut Entry, Rejected> {
        self.entries.get_mut(&id).filter(|entry| !entry.cut.is_cancelled()).ok_or(Rejected::Unknown)
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
    Some(Held { packet, _share: share, _turn: None })
}

/// A request whose answer is awaited. Dropping it tells the loop, once it has been told of the request.
pub(super) struct Waiting {
    guard: Guard,
    receiver: oneshot::Receiver<Answer>,
}

impl Waiting {
    pub(super) const fn id(&self) -> u64 {
        self.guard.id
    }

    /// The loop knows of the request from here on, or will.
    pub(super) fn told(&mut self, told: Told, user: User) {
        self.guard.told = Some((told, user));
    }

    /// Waits for the head of the response.
    pub(super) async fn answer(self) -> Result<Response, Failure> {
        let Self { mut guard, receiver } = self;
        let cut = guard.cut.clone();
        let unseen = guard.told.as_mut().map(|(told, _)| told.unseen());
        let unseen = async {
            match unseen {
                Some(unseen) => unseen.await,
                None => std::future::pending().await,
            }
        };
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
            failure = unseen => return Err(failure),
        };
        match answered {
            Ok(mut response) => {
                response.body = Body::stream(Guarded::new(response.body, guard));
                Ok(response)
            }
            Err(failure) => {
                // It was the loop that ended it.
                guard.finished(false);
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
    /// Until the loop has nothing more to do.
    told: Option<(Told, User)>,
    /// Off the list: the id may be somebody else's.
    done: bool,
    _place: OwnedSemaphorePermit,
}

impl Guard {
    /// The loop has nothing more to do. If it has not said its last word, it may still speak of the request by its id.
    fn finished(&mut self, whole: bool) {
        self.told = None;
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let mut state = self.requests.lock();
        let gone = state.entries.remove(&self.id);
        if !whole {
            state.retired.insert(self.id);
        }
        drop((state, gone));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.cut.cancel();
        // The loop hears of the end before anybody else can have the id.
        let seen = self.told.take().is_some_and(|(told, _user)| told.take_back(|| abort_text(self.id)));
        self.finished(!seen);
    }
}

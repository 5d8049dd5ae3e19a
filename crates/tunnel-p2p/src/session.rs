//! What the connections between one client and one host share.

mod arrived;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use p2p_provider::{P2PConnection, RecvStream};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};
use tunnel_core::{Failure, FailureKind, PathDetails, PathKind};

use self::arrived::Arrived;
use crate::{
    config::SPREAD_STREAMS_MAX,
    credit::{Ledger, Outbox, ReceiveCredit, SendCredit},
    failure,
    frames::FrameReader,
    path_clock::{self, PathClock},
    wire::{
        CREDIT_STREAMS, SPREAD_BODIES, StreamKind,
        control::{self, Credit},
        frame::FrameType,
    },
};

/// A body's continuation must arrive this soon after its announcement: one round trip, and loss.
const MOVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bodies that a peer may announce or continue at once: above all limits of streams together.
const ARRIVALS_MAX: usize = 4096;

/// One connection and the credits of its streams.
#[derive(Debug)]
pub(crate) struct Channel<C> {
    pub(crate) connection: C,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) outbox: Arc<Outbox>,
    /// Places for the second and further streams of bodies; none if the peer does not read spread bodies.
    pub(crate) spread: Arc<Semaphore>,
    /// Whether the peer reads credits on streams of their own.
    pub(crate) credit_streams: bool,
}

impl<C: P2PConnection> Channel<C> {
    /// A main connection. No body is spread there.
    pub(crate) fn main(connection: C) -> Arc<Self> {
        Self::new(connection, 0, false)
    }

    /// A bulk connection to a peer with these capabilities.
    pub(crate) fn bulk(connection: C, capabilities: u64) -> Arc<Self> {
        let can = |what| capabilities & what != 0;
        Self::new(connection, if can(SPREAD_BODIES) { SPREAD_STREAMS_MAX } else { 0 }, can(CREDIT_STREAMS))
    }

    fn new(connection: C, spread: usize, credit_streams: bool) -> Arc<Self> {
        let spread = Arc::new(Semaphore::new(spread));
        Arc::new(Self { connection, ledger: Arc::default(), outbox: Arc::default(), spread, credit_streams })
    }

    /// Grows while bodies and WebSockets move on this connection.
    pub(crate) fn progress(&self) -> u64 {
        self.ledger.sent().wrapping_add(self.outbox.consumed())
    }

    pub(crate) fn send_credit(&self, stream: u64) -> SendCredit {
        SendCredit::new(Arc::clone(&self.ledger), stream)
    }

    pub(crate) fn receive_credit(&self, stream: u64) -> ReceiveCredit {
        ReceiveCredit::new(Arc::clone(&self.outbox), stream)
    }
}

/// The main connection, the bulk connection once there is one, and the bodies that move between them.
pub(crate) struct Session<C: P2PConnection> {
    pub(crate) main: Arc<Channel<C>>,
    pub(crate) ws_message_bytes_max: u32,
    path: PathClock,
    bulk: Mutex<Option<Arc<Channel<C>>>>,
    arrivals: Mutex<Arrivals<C>>,
}

/// The bodies that may move, by the stream of their exchange.
struct Arrivals<C: P2PConnection> {
    slots: BTreeMap<u64, Slot<C>>,
    /// Streams from here on are not known yet: the bulk connection may be faster than the main one.
    unknown_from: u64,
}

/// A body that may continue on the bulk connection.
struct Slot<C: P2PConnection> {
    /// The streams that have arrived, maybe before their announcement.
    arrived: Arrived<Part<C>>,
    /// The reader that waits for them.
    awaited: Option<oneshot::Sender<Result<Vec<Part<C>>, Failure>>>,
}

impl<C: P2PConnection> Default for Slot<C> {
    fn default() -> Self {
        Self { arrived: Arrived::default(), awaited: None }
    }
}

impl<C: P2PConnection> Slot<C> {
    /// All streams of the body, or why it has failed; `None` while some are missing.
    fn take(&mut self) -> Option<Result<Vec<Part<C>>, Failure>> {
        Some(self.arrived.take()?.map_err(|error| failure::wire(&error)))
    }
}

/// A stream from which a body is read.
pub(crate) struct Part<C: P2PConnection> {
    pub(crate) reader: FrameReader<C::RecvStream>,
    pub(crate) credit: ReceiveCredit,
}

impl<C: P2PConnection> Session<C> {
    pub(crate) fn new(main: Arc<Channel<C>>, ws_message_bytes_max: u32) -> Arc<Self> {
        Arc::new(Self {
            path: PathClock::new(main.connection.path()),
            main,
            ws_message_bytes_max,
            bulk: Mutex::new(None),
            arrivals: Mutex::new(Arrivals { slots: BTreeMap::new(), unknown_from: 0 }),
        })
    }

    /// The bulk connection, if there is one that is open.
    pub(crate) fn bulk(&self) -> Option<Arc<Channel<C>>> {
        let bulk = self.bulk.lock().unwrap_or_else(PoisonError::into_inner);
        bulk.as_ref().filter(|bulk| bulk.connection.close_reason().is_none()).cloned()
    }

    /// Sets the bulk connection; an older one is closed.
    pub(crate) fn set_bulk(&self, channel: Arc<Channel<C>>) {
        let old = self.bulk.lock().unwrap_or_else(PoisonError::into_inner).replace(channel);
        if let Some(old) = old {
            old.connection.close(FailureKind::Aborted.code().into(), "replaced by a newer bulk connection");
        }
    }

    pub(crate) fn path(&self) -> PathKind {
        path_clock::kind(self.main.connection.path_kind())
    }

    /// The path, with all that is known of it.
    pub(crate) fn path_details(&self) -> PathDetails {
        self.path.details(self.main.connection.rtt())
    }

    /// Keeps [`path_details`](Self::path_details) up to date until the main connection is closed.
    pub(crate) async fn follow_path(&self, changed: impl Fn()) {
        self.path.follow(&self.main.connection, changed).await;
    }

    /// Closes both connections.
    pub(crate) fn close(&self, kind: FailureKind, reason: &str) {
        let code = u64::from(kind.code());
        self.main.connection.close(code, reason);
        if let Some(bulk) = self.bulk.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bulk.connection.close(code, reason);
        }
    }

    /// Announces that the body which arrives on this stream may move. The guard takes that back.
    pub(crate) fn expect(self: &Arc<Self>, stream: u64) -> Expectation<C> {
        let mut arrivals = self.arrivals();
        arrivals.unknown_from = arrivals.unknown_from.max(stream.saturating_add(1));
        arrivals.slots.entry(stream).or_default();
        drop(arrivals);
        Expectation { session: Arc::clone(self), stream }
    }

    /// Accepts the bodies that the peer moves to the bulk connection, and credits, until it closes.
    pub(crate) async fn accept_bulk(self: Arc<Self>, channel: Arc<Channel<C>>) {
        let mut arriving = tokio::task::JoinSet::new();
        while let Ok(stream) = channel.connection.accept_uni().await {
            while arriving.try_join_next().is_some() {}
            let (session, channel) = (Arc::clone(&self), Arc::clone(&channel));
            arriving.spawn(async move { session.arrive(stream, &channel).await });
        }
    }

    async fn arrive(&self, stream: C::RecvStream, channel: &Channel<C>) {
        let credit = channel.receive_credit(stream.id());
        let mut reader = FrameReader::new(stream, self.ws_message_bytes_max);
        let preface = async {
            match reader.stream_kind().await? {
                StreamKind::Credits => Ok(None),
                kind => reader.continuation(kind).await.map(Some),
            }
        };
        let place = match timeout(MOVE_TIMEOUT, preface).await {
            Ok(Ok(Some(place))) => place,
            Ok(Ok(None)) => return granted(&mut reader, channel).await,
            Ok(Err(error)) => return tracing::debug!("dropped a bulk stream: {error}"),
            Err(_) => return tracing::debug!("dropped a bulk stream: no preface within {MOVE_TIMEOUT:?}"),
        };
        let mut arrivals = self.arrivals();
        // Of an exchange that is still on its way.
        let early = place.exchange >= arrivals.unknown_from && arrivals.slots.len() < ARRIVALS_MAX;
        let exchange = place.exchange;
        if !early && !arrivals.slots.contains_key(&exchange) {
            // The exchange is over, or has its body: dropping the stream stops it.
            return;
        }
        let slot = arrivals.slots.entry(exchange).or_default();
        slot.arrived.add(place, Part { reader, credit });
        if slot.awaited.is_some()
            && let Some(parts) = slot.take()
            && let Some(awaited) = arrivals.slots.remove(&exchange).and_then(|slot| slot.awaited)
        {
            awaited.send(parts).ok();
        }
    }

    fn arrivals(&self) -> MutexGuard<'_, Arrivals<C>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the credits of a stream of their own.
async fn granted<C: P2PConnection>(reader: &mut FrameReader<C::RecvStream>, channel: &Channel<C>) {
    let reading = async {
        while let Ok((FrameType::Credit, payload)) = reader.next_frame().await {
            let Ok(credit) = control::parse::<Credit>(FrameType::Credit, &payload) else { break };
            channel.ledger.grant(credit.stream, credit.frames);
        }
    };
    timeout(MOVE_TIMEOUT, reading).await.ok();
}

/// The right to a body's continuation.
pub(crate) struct Expectation<C: P2PConnection> {
    session: Arc<Session<C>>,
    stream: u64,
}

impl<C: P2PConnection> Expectation<C> {
    /// Waits for the continuation, all streams of it. Not cancel safe: a continuation that arrives meanwhile is lost.
    pub(crate) async fn arrival(self) -> Result<Vec<Part<C>>, Failure> {
        let receiver = {
            let mut arrivals = self.session.arrivals();
            let slot = arrivals.slots.entry(self.stream).or_default();
            if let Some(parts) = slot.take() {
                return parts;
            }
            let (sender, receiver) = oneshot::channel();
            slot.awaited = Some(sender);
            receiver
        };
        match timeout(MOVE_TIMEOUT, receiver).await {
            Ok(Ok(parts)) => parts,
            Ok(Err(_)) | Err(_) => {
                Err(Failure::new(FailureKind::Protocol, "the peer announced the rest of a body but did not send it"))
            }
        }
    }
}

impl<C: P2PConnection> Drop for Expectation<C> {
    fn drop(&mut self) {
        self.session.arrivals().slots.remove(&self.stream);
    }
}

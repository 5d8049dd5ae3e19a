//! What must hold, and the bookkeeping that tells whether it does.

mod limits;
mod record;
mod routers;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use p2p_provider::{
    CloseReason,
    simulator::{Conditions, Event},
};
use tokio::time::Instant;
use tunnel_core::{TransportKind, Via};
use tunnel_p2p::body_streams;

pub use self::{
    limits::{
        ABORT_LIMIT, EDGES_BYTES_MAX, LEGACY_ABORT_LIMIT, REQUEST_LIMIT, RESUME_LIMIT, WINDOW_BYTES, queue_bytes_max,
    },
    routers::{Sight, Watch},
};
use self::{
    limits::{DIALS_MAX, VIOLATIONS_MAX},
    record::{Execution, Record},
    routers::Routers,
};

/// How a request ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Whole and right.
    Complete,
    /// The client gave it up.
    Aborted,
    /// With an error; the service may have seen it.
    Failed,
    /// With an error that says that the service has not seen it.
    Undelivered,
}

/// Collects what happens, and compares it with what must. Clones share it.
#[derive(Clone, Default)]
pub struct Oracle(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next_id: u64,
    requests: BTreeMap<u64, Record>,
    /// Those that have not ended, or on which the service works.
    active: BTreeSet<u64>,
    violations: Vec<String>,
    /// What may be under way beyond [`queue_bytes_max`].
    edges_bytes_max: u64,
    /// The longest round trip that there may have been: over the more streams bodies may be spread.
    round_trip: Duration,
    /// Streams that were reset, by node: nothing more may arrive on them.
    reset: BTreeSet<(String, u64, u64)>,
    /// When each node dialled last, oldest first: at most [`DIALS_MAX`] times.
    dials: BTreeMap<String, VecDeque<Duration>>,
    /// Faults that are in force, apart from links that have merely changed.
    faults: usize,
    routers: Routers,
    counts: BTreeMap<&'static str, u64>,
}

/// The ends of all requests of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whole and right.
    pub complete: u64,
    /// Given up by the client.
    pub aborted: u64,
    /// Ended with an error.
    pub failed: u64,
    /// Ended with one that says that the service has not seen the request.
    pub undelivered: u64,
    /// Answered by p2p first.
    pub by_p2p: u64,
    /// Answered through a tunnel server first.
    pub by_legacy: u64,
    /// Complete, and executed more than once.
    pub repeated: u64,
    /// Executed, by p2p.
    pub executed_by_p2p: u64,
    /// Executed, through a tunnel server.
    pub executed_by_legacy: u64,
    /// Bytes of response bodies that clients have.
    pub received_bytes: u64,
}

impl Oracle {
    /// A new request, which may be executed at most so often; returns its id.
    #[must_use]
    pub fn begin(&self, executions_max: u32) -> u64 {
        let mut state = self.lock();
        state.next_id += 1;
        let id = state.next_id;
        state.requests.insert(id, Record::new(executions_max));
        state.active.insert(id);
        id
    }

    /// A request has ended for its client.
    pub fn end(&self, id: u64, ending: Ending) {
        let mut state = self.lock();
        let Some(record) = state.requests.get_mut(&id) else { return state.violate(format!("unknown request {id}")) };
        let started = record.executions.len();
        if record.ended.replace((ending, Instant::now())).is_some() {
            state.violate(format!("request {id} ended twice"));
        }
        if ending == Ending::Undelivered && started > 0 {
            state.violate(format!("request {id} was reported as not delivered, but the service has seen it"));
        }
    }

    /// The service has begun to work on a request that came by this transport, if that is known; it works until the
    /// guard is dropped.
    #[must_use]
    pub fn work(&self, id: u64, by: Option<TransportKind>) -> Work {
        let mut state = self.lock();
        let mut execution = 0;
        match state.requests.get_mut(&id) {
            None => state.violate(format!("the service has seen a request {id} that nobody sent")),
            Some(record) => {
                record.executions.push(Execution::new(by));
                let (started, allowed, ended) = (record.executions.len(), record.executions_max, record.ended);
                execution = u32::try_from(started).unwrap_or(u32::MAX);
                if execution > allowed {
                    state.violate(format!("request {id} was executed {started} times"));
                }
                state.active.insert(id);
                if let Some((Ending::Undelivered, _)) = ended {
                    state.violate(format!("request {id} was reported as not delivered and executed afterwards"));
                }
            }
        }
        Work { oracle: self.clone(), id, execution }
    }

    /// The client has the head of the response that the n-th execution made, and was told how it came.
    pub fn answered(&self, id: u64, execution: u32, via: Option<Via>) {
        let mut state = self.lock();
        let Some(record) = state.requests.get_mut(&id) else { return };
        let Some(made) = record.execution(execution) else {
            return state.violate(format!("request {id} was answered by an execution {execution} that never was"));
        };
        let (came, said) = (made.by, via.map(|via| via.transport));
        record.answered_by = Some(execution);
        if came.is_some() && came != said {
            state.violate(format!("request {id} came by {came:?}, but is said to have come by {said:?}"));
        }
    }

    /// Watches the router on the node of this name, as long as its process runs.
    #[must_use]
    pub fn watch(&self, name: &str, look: impl Fn() -> Sight + Send + 'static) -> Watch {
        self.lock().routers.watch(name, Box::new(look))
    }

    /// The process of a router has ended.
    pub fn forget(&self, watch: Watch) {
        self.lock().routers.forget(watch);
    }

    /// A router has sent a request over the tunnel server, because it takes p2p for down.
    pub fn shunned_p2p(&self, id: u64, watch: Watch) {
        let mut state = self.lock();
        let Some(record) = state.requests.get(&id) else { return };
        if state.routers.must_use_p2p(watch, record.began) {
            state.violate(format!("request {id} did not use p2p, which has worked long enough"));
        }
    }

    /// Which execution of a request has made the head of its response, from 1 on.
    #[must_use]
    pub fn answered_by(&self, id: u64) -> Option<u32> {
        self.lock().requests.get(&id)?.answered_by
    }

    /// Up to which byte the client has got the body of a response.
    #[must_use]
    pub fn position(&self, id: u64) -> u64 {
        self.lock().requests.get(&id).map_or(0, |record| record.consumed)
    }

    /// The longest that the client has waited for more of the body of a response.
    #[must_use]
    pub fn longest_pause(&self, id: u64) -> Duration {
        self.lock().requests.get(&id).map(|record| record.longest_pause).unwrap_or_default()
    }

    /// How often the service has seen a request, and how it came.
    #[must_use]
    pub fn executions(&self, id: u64) -> Vec<Option<TransportKind>> {
        self.lock()
            .requests
            .get(&id)
            .map(|record| record.executions.iter().map(|one| one.by).collect())
            .unwrap_or_default()
    }

    /// The executions of a request that were asked for another part of the response body than the client wants, which begins
    /// at this byte: they continue a response that broke off.
    #[must_use]
    pub fn continuations(&self, id: u64, wanted_from: u64) -> Vec<u32> {
        let own = (wanted_from > 0).then_some(wanted_from);
        let state = self.lock();
        let executions = state.requests.get(&id).map(|record| record.executions.as_slice()).unwrap_or_default();
        (1..).zip(executions).filter(|(_, one)| one.asked_from != own).map(|(number, _)| number).collect()
    }

    /// How a request has ended, if it has.
    #[must_use]
    pub fn ending(&self, id: u64) -> Option<Ending> {
        self.lock().requests.get(&id)?.ended.map(|(ending, _)| ending)
    }

    /// Counts something that a scenario is about.
    pub fn count(&self, what: &'static str) {
        *self.lock().counts.entry(what).or_default() += 1;
    }

    /// What scenarios have counted.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.lock().counts.clone()
    }

    /// From now on bodies also go through HTTP edges, which hold some of them.
    pub fn expect_edges(&self) {
        self.lock().edges_bytes_max = EDGES_BYTES_MAX;
    }

    /// From now on links may be like this, and their packets may take a relay.
    pub fn expect_conditions(&self, conditions: Conditions) {
        self.lock().expect_round_trip(conditions.latency * 4 + conditions.jitter);
    }

    /// The client has so many more bytes of the body of a response, up to this one. Returns how long the last of them were
    /// under way; zero while there are more behind them.
    #[expect(clippy::must_use_candidate, reason = "few want to know")]
    pub fn consumed(&self, id: u64, position: u64, bytes: u64) -> Duration {
        let mut state = self.lock();
        let Some(record) = state.requests.get_mut(&id) else { return Duration::ZERO };
        record.progress(position, bytes);
        let furthest = record.executions.iter().max_by_key(|execution| execution.position);
        furthest
            .filter(|furthest| furthest.position == position)
            .map_or(Duration::ZERO, |furthest| furthest.moved_at.elapsed())
    }

    /// Something that must not be.
    pub fn violate(&self, what: impl Into<String>) {
        self.lock().violate(what.into());
    }

    /// Looks at one event of the network.
    pub fn see(&self, now: Duration, node: &str, event: &Event<'_>) {
        match event {
            Event::FaultBegan(name) if is_fault(name) => self.lock().faults += 1,
            Event::FaultBegan(_) => self.lock().expect_round_trip(Duration::MAX),
            Event::FaultEnded(name) if is_fault(name) => self.lock().faults -= 1,
            Event::Closed { reason: CloseReason::Transport(message), .. } if message.contains("gaps") => {
                self.violate(format!("too many unread pieces at {node}: {message}"));
            }
            Event::Closed { .. } => self.lock().routers.lost_connection(node),
            Event::Dialled { .. } => self.lock().dialled(now, node),
            Event::Delivered { connection, stream, unread_bytes, .. } => {
                let mut state = self.lock();
                if *unread_bytes > WINDOW_BYTES {
                    state.violate(format!("{unread_bytes} bytes wait on stream {stream} at {node}"));
                }
                if state.reset.contains(&(node.to_owned(), *connection, *stream)) {
                    state.violate(format!("bytes were delivered to {node} on stream {stream} after its reset"));
                }
            }
            Event::Reset { connection, stream, .. } => {
                self.lock().reset.insert((node.to_owned(), *connection, *stream));
            }
            _ => {}
        }
    }

    /// When each node dialled last.
    #[must_use]
    pub fn last_dials(&self) -> BTreeMap<String, Duration> {
        let state = self.lock();
        state.dials.iter().filter_map(|(node, dials)| Some((node.clone(), *dials.back()?))).collect()
    }

    /// Looks for what has taken too long.
    pub fn audit(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        let mut late = Vec::new();
        let State { requests, active, .. } = &mut *state;
        active.retain(|id| requests.get(id).is_some_and(|record| record.ended.is_none() || record.is_working()));
        for id in active.iter() {
            let Some(record) = requests.get_mut(id) else { continue };
            let what = match record.ended {
                None if now - record.began > REQUEST_LIMIT => {
                    format!("request {id} has not ended after {REQUEST_LIMIT:?}")
                }
                Some((ending, at)) if record.works_too_long(now - at) => {
                    format!("the service still works on request {id}, {:?} after its end ({ending:?})", now - at)
                }
                _ => continue,
            };
            if !std::mem::replace(&mut record.reported, true) {
                late.push(what);
            }
        }
        let network_is_well = state.faults == 0;
        late.extend(state.routers.look(network_is_well));
        for what in late {
            state.violate(what);
        }
    }

    /// At the end of a run, with nothing left to do: what is still open is too much.
    pub fn close(&self) {
        let mut state = self.lock();
        let open: Vec<String> = state
            .requests
            .iter()
            .filter_map(|(id, record)| match record {
                Record { ended: None, .. } => Some(format!("request {id} has no end")),
                record if record.is_working() => Some(format!("the service works on request {id} for ever")),
                _ => None,
            })
            .collect();
        for what in open {
            state.violate(what);
        }
    }

    /// What did not hold, in order; empty if all did.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// How the requests have ended.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for record in self.lock().requests.values() {
            match record.ended {
                Some((Ending::Complete, _)) => tally.complete += 1,
                Some((Ending::Aborted, _)) => tally.aborted += 1,
                Some((Ending::Failed | Ending::Undelivered, _)) => tally.failed += 1,
                None => {}
            }
            tally.undelivered += u64::from(matches!(record.ended, Some((Ending::Undelivered, _))));
            match record.answered_by.and_then(|number| record.execution(number)?.by) {
                Some(TransportKind::P2p) => tally.by_p2p += 1,
                Some(_) => tally.by_legacy += 1,
                None => {}
            }
            let complete = matches!(record.ended, Some((Ending::Complete, _)));
            for execution in &record.executions {
                match execution.by {
                    Some(TransportKind::P2p) => tally.executed_by_p2p += 1,
                    Some(_) => tally.executed_by_legacy += 1,
                    None => {}
                }
            }
            tally.received_bytes += record.received;
            tally.repeated += u64::from(complete && record.executions.len() > 1);
        }
        tally
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn dialled(&mut self, now: Duration, node: &str) {
        let dials = self.dials.entry(node.to_owned()).or_default();
        dials.push_back(now);
        if dials.len() > DIALS_MAX {
            let oldest = dials.pop_front().unwrap_or_default();
            if now.saturating_sub(oldest) < Duration::from_secs(1) {
                self.violate(format!("{node} has dialled more than {DIALS_MAX} times within a second"));
            }
        }
    }

    fn expect_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = self.round_trip.max(round_trip);
    }

    fn violate(&mut self, what: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(what);
        }
    }
}

/// Whether something does not pass, rather than pass in another way.
fn is_fault(name: &str) -> bool {
    name != "links changed"
}

/// The service's work on one request.
pub struct Work {
    oracle: Oracle,
    id: u64,
    execution: u32,
}

impl Work {
    /// Which execution of the request this is, from 1 on.
    #[must_use]
    pub const fn execution(&self) -> u32 {
        self.execution
    }

    /// The request asks for the response body from this byte on.
    pub fn asked_from(&self, byte: u64) {
        if let Some(record) = self.oracle.lock().requests.get_mut(&self.id) {
            record.ask_from(self.execution, byte);
        }
    }

    /// So many bytes, up to this one of the body, were taken from the service.
    pub fn pulled(&self, position: u64, bytes: u64) {
        let mut state = self.oracle.lock();
        let queue = queue_bytes_max(body_streams(state.round_trip, None) as u64);
        let bound = queue + state.edges_bytes_max + bytes;
        let Some(record) = state.requests.get_mut(&self.id) else { return };
        let waiting = record.pulled(self.execution, position, bytes);
        if waiting > bound {
            state.violate(format!("{waiting} bytes of request {} wait for its reader", self.id));
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(record) = self.oracle.lock().requests.get_mut(&self.id) {
            record.stop(self.execution);
        }
    }
}

//! The WebSocket clients: who they are to the loop, and how messages find them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tunnel_core::{Failure, FailureKind, moosicbox_tunnel::TunnelWsResponse};

use super::{
    ids::{Ids, Retired},
    ws_session::Session,
};

/// Clients that may speak through one session.
const CLIENTS_PER_SESSION_MAX: usize = 1024;
/// Messages of a client to which a reply by number still finds its way.
const REPLIES_MAX: usize = 1024;

/// The WebSocket clients, by the number that the loop sees.
pub(super) struct WebSockets {
    ids: Arc<Ids>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    clients: BTreeMap<u64, Client>,
    /// By the number that the loop sees.
    questions: BTreeMap<u64, Question>,
    /// Clients who have left, of which the loop does not hear: there is no word for it.
    gone: Retired,
    /// Questions that nobody waits for any more.
    settled: Retired,
}

struct Client {
    session: Arc<Session>,
    /// Its number on its session.
    own_id: u64,
    /// Its questions, the oldest first.
    asked: VecDeque<u64>,
}

struct Question {
    client: u64,
    /// Its number on its session.
    own_id: u64,
}

impl WebSockets {
    pub(super) fn new(ids: Arc<Ids>) -> Self {
        Self { ids, state: Mutex::default() }
    }

    /// The number by which the loop knows a client of a session; a new one if it has none yet. `None` is the only client
    /// of a session.
    pub(super) fn client(&self, session: &Arc<Session>, own_id: Option<u64>) -> Result<u64, Failure> {
        let state = &mut *self.lock();
        let mut of_session = session.clients();
        let key = own_id.unwrap_or_default();
        if let Some(id) = of_session.get(&key) {
            return Ok(*id);
        }
        if of_session.len() >= CLIENTS_PER_SESSION_MAX {
            return Err(Failure::new(
                FailureKind::Overloaded,
                format!("more than {CLIENTS_PER_SESSION_MAX} WebSocket clients speak through one connection"),
            ));
        }
        let id = self.ids.free(own_id, |id| state.clients.contains_key(&id) || state.gone.contains(id));
        let client = Client { session: Arc::clone(session), own_id: own_id.unwrap_or(id), asked: VecDeque::new() };
        state.clients.insert(id, client);
        of_session.insert(key, id);
        Ok(id)
    }

    /// The number by which the loop knows a question of a client. 0 stays 0: it asks for no reply.
    pub(super) fn question(&self, client: u64, own_id: Option<u64>) -> u64 {
        if own_id == Some(0) {
            return 0;
        }
        let state = &mut *self.lock();
        let id = self.ids.free(own_id, |id| state.questions.contains_key(&id) || state.settled.contains(id));
        let Some(asking) = state.clients.get_mut(&client) else { return id };
        asking.asked.push_back(id);
        if asking.asked.len() > REPLIES_MAX
            && let Some(oldest) = asking.asked.pop_front()
        {
            state.questions.remove(&oldest);
            state.settled.insert(oldest);
        }
        state.questions.insert(id, Question { client, own_id: own_id.unwrap_or(id) });
        id
    }

    /// Sends what the server says: to who asked if it has a number, else to the listed clients, else to all but the
    /// excluded ones. Unknown numbers are ignored, as the tunnel server ignores them.
    pub(super) fn respond(&self, response: &TunnelWsResponse) {
        let state = &mut *self.lock();
        let body = &response.body;
        if response.request_id != 0 {
            let question = state.questions.get(&response.request_id);
            if let Some((question, client)) =
                question.and_then(|asked| Some((asked, state.clients.get(&asked.client)?)))
            {
                client.session.say(client.own_id, question.own_id, body);
            } else {
                tracing::debug!(request = response.request_id, "nobody has asked this on a WebSocket");
            }
            return;
        }
        if let Some(listed) = &response.to_connection_ids {
            for id in listed {
                if let Some(client) = state.clients.get(id) {
                    client.session.say(client.own_id, 0, body);
                } else {
                    tracing::debug!(conn = id, "there is no such WebSocket client");
                }
            }
            return;
        }
        let excluded: BTreeSet<u64> = response.exclude_connection_ids.iter().flatten().copied().collect();
        for (_, client) in state.clients.iter().filter(|(id, _)| !excluded.contains(id)) {
            client.session.say(client.own_id, 0, body);
        }
    }

    /// Pings all sessions.
    pub(super) fn ping(&self) {
        for session in self.sessions() {
            session.ping();
        }
    }

    /// Says good-bye to all of them.
    pub(super) fn close(&self) {
        for session in self.sessions() {
            session.go_away();
        }
    }

    /// Takes a client of a session off the list.
    pub(super) fn remove(&self, session: &Session, own_id: u64) {
        let state = &mut *self.lock();
        let id = session.clients().remove(&own_id);
        state.remove(id);
    }

    /// Takes all clients of a session off the list.
    pub(super) fn remove_all(&self, session: &Session) {
        let state = &mut *self.lock();
        let ids = std::mem::take(&mut *session.clients());
        for id in ids.into_values() {
            state.remove(Some(id));
        }
    }

    fn sessions(&self) -> Vec<Arc<Session>> {
        let mut sessions: Vec<Arc<Session>> = Vec::new();
        for client in self.lock().clients.values() {
            if !sessions.iter().any(|session| Arc::ptr_eq(session, &client.session)) {
                sessions.push(Arc::clone(&client.session));
            }
        }
        sessions
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, id: Option<u64>) {
        let Some((id, client)) = id.and_then(|id| self.clients.remove_entry(&id)) else { return };
        self.gone.insert(id);
        for question in client.asked {
            self.questions.remove(&question);
            self.settled.insert(question);
        }
    }
}

//! WebSocket clients, to the host and back.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures::{Sink, SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Uri, header::SEC_WEBSOCKET_PROTOCOL};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tunnel_core::{
    Failure, FailureKind, Transport, WsMessage, WsOpen, WsSession, WsUpgrade,
    convert::PROFILE_QUERY_KEY,
    moosicbox_tunnel::{TunnelRequest, TunnelWsRequest, TunnelWsResponse},
};

use crate::{
    task,
    ws_protocol::{Note, WS_PATH, WS_PROTOCOL, is_offered},
};

/// What the host says that nobody has read yet.
const EVENTS_MAX: usize = 256;
/// Sessions at once, to a host that wants one for each client.
const SESSIONS_MAX: usize = 1024;
/// Clients that speak through one session. The host takes as many.
const CLIENTS_PER_SESSION_MAX: usize = 1024;
/// How long the host may take for one message.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// What a host says to WebSocket clients.
#[derive(Debug)]
#[non_exhaustive]
pub enum WsEvent {
    /// A message for the client that asked (by `request_id`), or for those in the lists.
    Response(TunnelWsResponse),
    /// The way to the host is lost for these clients. To be closed with 1012 (RFC 6455 registry), so that they come again;
    /// a message of theirs opens a new way.
    Lost(Vec<u64>),
}

pub(super) struct WebSockets {
    transport: Arc<dyn Transport>,
    events: mpsc::Sender<WsEvent>,
    state: std::sync::Mutex<State>,
    /// Held by who opens the session of all, so that there is one.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// One for all, if the host understands that; else one for each client.
    sessions: BTreeMap<Key, Open>,
    /// Those whose clients are still to be told that they are lost.
    ending: Vec<AbortOnDropHandle<()>>,
    /// Whether the host wants one for each client, as it said last.
    each: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    All,
    One(u64),
}

/// A session, and what reads it.
struct Open {
    session: Arc<Session>,
    reading: AbortOnDropHandle<()>,
}

struct Session {
    /// Whoever waits for it, waits for no other session.
    sink: tokio::sync::Mutex<Pin<Box<dyn Sink<WsMessage, Error = Failure> + Send>>>,
    clients: Arc<Clients>,
    /// Cancelled when it takes no more messages.
    lost: CancellationToken,
}

/// The clients of a session; `None` once they have lost it.
type Clients = std::sync::Mutex<Option<BTreeSet<u64>>>;

impl WebSockets {
    pub(super) fn new(transport: Arc<dyn Transport>) -> (Self, mpsc::Receiver<WsEvent>) {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        (
            Self { transport, events, state: std::sync::Mutex::default(), opening: tokio::sync::Mutex::default() },
            receiver,
        )
    }

    pub(super) async fn open(&self, conn_id: u64, profile: Option<&str>) -> Result<(), Failure> {
        let (key, session) = self.session(conn_id, profile).await?;
        if key == Key::All {
            self.say(key, &session, to_text(&Note::WsOpened { conn_id })).await?;
        }
        Ok(())
    }

    pub(super) async fn send(&self, request: TunnelWsRequest) -> Result<(), Failure> {
        let (key, session) = self.session(request.conn_id, request.profile.as_deref()).await?;
        let text = match key {
            Key::All => to_text(&TunnelRequest::Ws(request)),
            Key::One(_) => request.body.to_string(),
        };
        self.say(key, &session, text).await
    }

    pub(super) async fn close(&self, conn_id: u64) {
        let all = {
            let sessions = &mut lock(&self.state).sessions;
            sessions.remove(&Key::One(conn_id));
            sessions.get(&Key::All).map(|open| Arc::clone(&open.session))
        };
        if let Some(session) = all
            && lock(&session.clients).as_mut().is_some_and(|clients| clients.remove(&conn_id))
        {
            self.say(Key::All, &session, to_text(&Note::WsClosed { conn_id })).await.ok();
        }
    }

    /// The session for a client, which is opened if need be.
    async fn session(&self, conn_id: u64, profile: Option<&str>) -> Result<(Key, Arc<Session>), Failure> {
        if let Some(found) = self.find(conn_id)? {
            return Ok(found);
        }
        // Of those who want the same session one opens it. Where each has its own, nobody waits for another's handshake.
        let each = lock(&self.state).each;
        let _opening = if each { None } else { Some(self.opening.lock().await) };
        if let Some(found) = self.find(conn_id)? {
            return Ok(found);
        }
        let (headers, session) = self.upgrade(conn_id, profile).await?;
        let each = !is_offered(&headers);
        let key = if each { Key::One(conn_id) } else { Key::All };
        let clients = Arc::new(Clients::new(Some(BTreeSet::from([conn_id]))));
        let lost = CancellationToken::new();
        let reading = read(key, session.stream, self.events.clone(), Arc::clone(&clients), lost.clone());
        let session = Arc::new(Session { sink: tokio::sync::Mutex::new(session.sink), clients, lost });
        let mut state = lock(&self.state);
        state.each = each;
        // A second one in its place would leave those on the first without a word.
        if let Some(there) = state.sessions.get(&key)
            && there.session.takes(conn_id)?
        {
            return Ok((key, Arc::clone(&there.session)));
        }
        let open = Open { session: Arc::clone(&session), reading: task::spawn(reading) };
        if let Some(before) = state.sessions.insert(key, open) {
            state.ending.push(before.reading);
        }
        Ok((key, session))
    }

    /// The session that a client has already, or may share.
    fn find(&self, conn_id: u64) -> Result<Option<(Key, Arc<Session>)>, Failure> {
        let mut state = lock(&self.state);
        state.sessions.retain(|_, open| !open.reading.is_finished());
        state.ending.retain(|reading| !reading.is_finished());
        for key in [Key::All, Key::One(conn_id)] {
            if let Some(open) = state.sessions.get(&key)
                && open.session.takes(conn_id)?
            {
                return Ok(Some((key, Arc::clone(&open.session))));
            }
        }
        if state.sessions.len() + state.ending.len() >= SESSIONS_MAX {
            return Err(too_many(SESSIONS_MAX));
        }
        Ok(None)
    }

    /// Says something, after those who were there before.
    async fn say(&self, key: Key, session: &Arc<Session>, text: String) -> Result<(), Failure> {
        let gone = || Failure::new(FailureKind::ConnectionLost, "the way to the host is lost");
        let mut sink = tokio::select! {
            biased;
            () = session.lost.cancelled() => return Err(gone()),
            sink = session.sink.lock() => sink,
        };
        let said = timeout(SEND_TIMEOUT, sink.send(WsMessage::Text(text.into()))).await.unwrap_or_else(|_| {
            Err(Failure::new(FailureKind::Timeout, format!("the host took no message for {SEND_TIMEOUT:?}")))
        });
        if said.is_err() {
            self.lose(key, session);
        }
        said
    }

    /// Gives a session up. What reads it tells its clients.
    fn lose(&self, key: Key, session: &Arc<Session>) {
        session.lost.cancel();
        let state = &mut *lock(&self.state);
        if state.sessions.get(&key).is_some_and(|open| Arc::ptr_eq(&open.session, session))
            && let Some(open) = state.sessions.remove(&key)
        {
            state.ending.push(open.reading);
        }
    }

    async fn upgrade(&self, conn_id: u64, profile: Option<&str>) -> Result<(HeaderMap, WsSession), Failure> {
        let uri = match profile {
            None => Uri::from_static(WS_PATH),
            Some(profile) => {
                let profile = utf8_percent_encode(profile, NON_ALPHANUMERIC);
                format!("{WS_PATH}?{PROFILE_QUERY_KEY}={profile}")
                    .parse()
                    .map_err(|_| Failure::new(FailureKind::BadRequest, "the profile is too long for a URL"))?
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(WS_PROTOCOL));
        match self.transport.open_ws(WsOpen { id: conn_id, uri, headers }).await? {
            WsUpgrade::Accepted { headers, session, .. } => Ok((headers, session)),
            WsUpgrade::Rejected(response) => Err(Failure::new(
                FailureKind::ServiceFailed,
                format!("the service refused the WebSocket with status {}", response.status),
            )),
        }
    }
}

impl Session {
    /// Whether a client may speak through it: not if it is lost. The error says that there are too many.
    fn takes(&self, conn_id: u64) -> Result<bool, Failure> {
        let mut clients = lock(&self.clients);
        let Some(clients) = &mut *clients else { return Ok(false) };
        if clients.len() >= CLIENTS_PER_SESSION_MAX && !clients.contains(&conn_id) {
            return Err(too_many(CLIENTS_PER_SESSION_MAX));
        }
        clients.insert(conn_id);
        Ok(true)
    }
}

fn too_many(most: usize) -> Failure {
    let message = format!("more than {most} WebSocket clients at once; close_ws those that have left");
    Failure::new(FailureKind::Overloaded, message)
}

/// Passes on what the host says, until the session ends. Then all its clients have lost it.
async fn read(
    key: Key,
    mut stream: Pin<Box<dyn futures::Stream<Item = Result<WsMessage, Failure>> + Send>>,
    events: mpsc::Sender<WsEvent>,
    clients: Arc<Clients>,
    lost: CancellationToken,
) {
    loop {
        let message = tokio::select! {
            biased;
            () = lost.cancelled() => break,
            message = stream.next() => message,
        };
        let Some(message) = message else { break };
        let text = match message {
            Ok(WsMessage::Text(text)) => text,
            Ok(WsMessage::Ping(_) | WsMessage::Pong(_)) => continue,
            Ok(WsMessage::Binary(_)) => {
                tracing::warn!("a binary WebSocket message of the service has no form in the tunnel and was dropped");
                continue;
            }
            Ok(WsMessage::Close(_)) | Err(_) => break,
        };
        let Some(response) = response(key, &text) else {
            tracing::warn!("a WebSocket message of the service has no form in the tunnel and was dropped");
            continue;
        };
        if events.send(WsEvent::Response(response)).await.is_err() {
            return;
        }
    }
    // From here on a message of theirs opens a new one.
    let lost: Vec<u64> = lock(&clients).take().into_iter().flatten().collect();
    if !lost.is_empty() {
        events.send(WsEvent::Lost(lost)).await.ok();
    }
}

fn response(key: Key, text: &[u8]) -> Option<TunnelWsResponse> {
    match key {
        Key::All => serde_json::from_slice(text).ok(),
        Key::One(conn_id) => {
            let body: Value = serde_json::from_slice(text).ok()?;
            let to_connection_ids = Some(vec![conn_id]);
            Some(TunnelWsResponse { request_id: 0, body, exclude_connection_ids: None, to_connection_ids })
        }
    }
}

/// These types always become JSON: they have neither maps with keys that are not text nor writers that fail.
fn to_text(message: &impl serde::Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

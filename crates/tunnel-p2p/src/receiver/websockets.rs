//! WebSocket clients, to the host and back.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use futures::{Sink, SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Uri, header::SEC_WEBSOCKET_PROTOCOL};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::{
    sync::{Mutex, mpsc},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;
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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// One for all, if the host understands that, under [`ALL`]; else one for each client.
    sessions: BTreeMap<Key, Session>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    All,
    One(u64),
}

struct Session {
    sink: Pin<Box<dyn Sink<WsMessage, Error = Failure> + Send>>,
    clients: Arc<std::sync::Mutex<Vec<u64>>>,
    reading: AbortOnDropHandle<()>,
}

impl WebSockets {
    pub(super) fn new(transport: Arc<dyn Transport>) -> (Self, mpsc::Receiver<WsEvent>) {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        (Self { transport, events, state: Mutex::default() }, receiver)
    }

    pub(super) async fn open(&self, conn_id: u64, profile: Option<&str>) -> Result<(), Failure> {
        let state = &mut *self.state.lock().await;
        let key = self.session(state, conn_id, profile).await?;
        if key == Key::All {
            state.say(key, to_text(&Note::WsOpened { conn_id })).await?;
        }
        Ok(())
    }

    pub(super) async fn send(&self, request: TunnelWsRequest) -> Result<(), Failure> {
        let state = &mut *self.state.lock().await;
        let key = self.session(state, request.conn_id, request.profile.as_deref()).await?;
        let text = match key {
            Key::All => to_text(&TunnelRequest::Ws(request)),
            Key::One(_) => request.body.to_string(),
        };
        state.say(key, text).await
    }

    pub(super) async fn close(&self, conn_id: u64) {
        let state = &mut *self.state.lock().await;
        state.sessions.remove(&Key::One(conn_id));
        if let Some(session) = state.sessions.get(&Key::All) {
            lock(&session.clients).retain(|id| *id != conn_id);
            state.say(Key::All, to_text(&Note::WsClosed { conn_id })).await.ok();
        }
    }

    /// The session for a client, which is opened if need be.
    async fn session(&self, state: &mut State, conn_id: u64, profile: Option<&str>) -> Result<Key, Failure> {
        state.sessions.retain(|_, session| !session.reading.is_finished());
        for key in [Key::All, Key::One(conn_id)] {
            if let Some(session) = state.sessions.get(&key) {
                let mut clients = lock(&session.clients);
                if !clients.contains(&conn_id) {
                    clients.push(conn_id);
                }
                return Ok(key);
            }
        }
        if state.sessions.len() >= SESSIONS_MAX {
            return Err(Failure::new(
                FailureKind::Overloaded,
                format!("more than {SESSIONS_MAX} WebSocket clients at once; close_ws those that have left"),
            ));
        }
        let (headers, session) = self.upgrade(conn_id, profile).await?;
        let key = if is_offered(&headers) { Key::All } else { Key::One(conn_id) };
        let clients = Arc::new(std::sync::Mutex::new(vec![conn_id]));
        let reading = read(key, session.stream, self.events.clone(), Arc::clone(&clients));
        state.sessions.insert(key, Session { sink: session.sink, clients, reading: task::spawn(reading) });
        Ok(key)
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

impl State {
    async fn say(&mut self, key: Key, text: String) -> Result<(), Failure> {
        let Some(session) = self.sessions.get_mut(&key) else { return Ok(()) };
        let sent = timeout(SEND_TIMEOUT, session.sink.send(WsMessage::Text(text.into()))).await;
        let sent = sent.unwrap_or_else(|_| {
            Err(Failure::new(FailureKind::Timeout, format!("the host took no message for {SEND_TIMEOUT:?}")))
        });
        if sent.is_err() {
            self.sessions.remove(&key);
        }
        sent
    }
}

/// Passes on what the host says, until the session ends. Then all its clients have lost it.
async fn read(
    key: Key,
    mut stream: Pin<Box<dyn futures::Stream<Item = Result<WsMessage, Failure>> + Send>>,
    events: mpsc::Sender<WsEvent>,
    clients: Arc<std::sync::Mutex<Vec<u64>>>,
) {
    while let Some(message) = stream.next().await {
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
    let lost = std::mem::take(&mut *lock(&clients));
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

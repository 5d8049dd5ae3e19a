//! One WebSocket from the other side: of one client, or of a receiver that speaks for many.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{StreamExt, sink, stream};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tunnel_core::{
    Failure, WsClose, WsMessage, WsSession,
    moosicbox_tunnel::{TunnelRequest, TunnelWsRequest, TunnelWsResponse},
};

use super::{
    message::{self, ws_text},
    queue::{Budget, User},
    websockets::WebSockets,
};
use crate::ws_protocol::Note;

/// Messages of the server that the other side has not taken yet.
const OUT_MESSAGES_MAX: usize = 1024;
/// Their bytes.
const OUT_BYTES_MAX: usize = 16 << 20;

/// The bytes of one WebSocket's messages that the loop has not taken; the next one waits, and with it the other side.
const IN_BYTES_MAX: usize = 256 << 10;

/// RFC 6455 §7.4.1, and 1013 of its registry.
const GOING_AWAY: u16 = 1001;
const UNSUPPORTED_DATA: u16 = 1003;
const TRY_AGAIN_LATER: u16 = 1013;

pub(super) struct Session {
    /// Whether its messages are `TunnelWsRequest`s, of many clients, rather than bodies, of one.
    many: bool,
    profile: Option<String>,
    /// Its clients: their numbers on it, and those that the loop sees.
    clients: Mutex<BTreeMap<u64, u64>>,
    /// Gone once the session is to end.
    out: Mutex<Option<mpsc::Sender<Queued>>>,
    budget: Arc<Semaphore>,
    /// How it is to end.
    end: Mutex<Option<WsClose>>,
}

/// A message to the other side, and its share of the memory for such messages.
struct Queued {
    message: WsMessage,
    _share: Option<OwnedSemaphorePermit>,
}

/// Takes a session's clients off the list when both of its halves have gone.
struct Place {
    websockets: Arc<WebSockets>,
    session: Arc<Session>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.websockets.remove_all(&self.session);
    }
}

/// A new session, whose messages go to the loop.
pub(super) fn open(websockets: Arc<WebSockets>, many: bool, profile: Option<String>, user: User) -> WsSession {
    let (out, queue) = mpsc::channel(OUT_MESSAGES_MAX);
    let session = Arc::new(Session {
        many,
        profile,
        clients: Mutex::default(),
        out: Mutex::new(Some(out)),
        budget: Arc::new(Semaphore::new(OUT_BYTES_MAX)),
        end: Mutex::new(None),
    });
    if !many {
        // It is there for broadcasts before it has said anything.
        websockets.client(&session, None).ok();
    }
    let place = Arc::new(Place { websockets, session });
    let receiving = Arc::clone(&place);
    let saying = (place, user, Budget::new(IN_BYTES_MAX));
    let sink = sink::unfold(saying, |(place, user, budget), message| async move {
        place.take(message, &user, &budget).await?;
        Ok((place, user, budget))
    });
    let stream = stream::unfold((Some(queue), receiving), |(queue, place)| async move {
        let mut queue = queue?;
        if let Some(queued) = queue.recv().await {
            return Some((Ok(queued.message), (Some(queue), place)));
        }
        let close = lock(&place.session.end).take();
        Some((Ok(WsMessage::Close(close)), (None, place)))
    });
    WsSession { sink: Box::pin(sink), stream: stream.boxed() }
}

impl Place {
    /// Takes a message of the other side. Waits as long as the loop is busy.
    async fn take(&self, message: WsMessage, user: &User, budget: &Budget) -> Result<(), Failure> {
        let text = match message {
            WsMessage::Text(text) => text,
            WsMessage::Binary(_) => {
                self.session.refuse("the tunnel carries no binary WebSocket messages");
                return Ok(());
            }
            WsMessage::Ping(_) | WsMessage::Pong(_) => return Ok(()),
            WsMessage::Close(close) => {
                self.websockets.remove_all(&self.session);
                self.session.finish(close);
                return Ok(());
            }
        };
        if let Some(request) = self.read(&text)? {
            user.say(ws_text(request), budget).await?;
        }
        Ok(())
    }

    /// What the loop is to be told, if anything.
    fn read(&self, text: &Bytes) -> Result<Option<TunnelWsRequest>, Failure> {
        let (websockets, session) = (&self.websockets, &self.session);
        if !session.many {
            let Ok(body) = serde_json::from_slice::<Value>(text) else {
                session.refuse("the tunnel carries only JSON on WebSockets");
                return Ok(None);
            };
            let conn_id = websockets.client(session, None)?;
            let request_id = websockets.question(conn_id, None);
            let profile = session.profile.clone();
            return Ok(Some(TunnelWsRequest { conn_id, request_id, body, connection_id: None, profile }));
        }
        // One client too many is not served; it is no reason to end the WebSocket of all others.
        let known = |own_id| {
            let client = websockets.client(session, Some(own_id));
            client.inspect_err(|failure| tracing::warn!(conn = own_id, "a WebSocket client is ignored: {failure}")).ok()
        };
        if let Ok(TunnelRequest::Ws(mut request)) = serde_json::from_slice(text) {
            let Some(conn_id) = known(request.conn_id) else { return Ok(None) };
            request.conn_id = conn_id;
            request.request_id = websockets.question(conn_id, Some(request.request_id));
            return Ok(Some(request));
        }
        match serde_json::from_slice(text) {
            Ok(Note::WsOpened { conn_id }) => drop(known(conn_id)),
            Ok(Note::WsClosed { conn_id }) => websockets.remove(session, conn_id),
            Err(_) => session.refuse("the text is neither a TunnelRequest::Ws nor WS_OPENED nor WS_CLOSED"),
        }
        Ok(None)
    }
}

impl Session {
    /// Its clients. To be locked after the list of all.
    pub(super) fn clients(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        lock(&self.clients)
    }

    /// Says something to one of its clients, as the answer to a question of that number or of its own accord (0).
    pub(super) fn say(&self, own_id: u64, question: u64, body: &Value) {
        let text = if self.many {
            let to_connection_ids = (question == 0).then(|| vec![own_id]);
            message::to_string(&TunnelWsResponse {
                request_id: question,
                body: body.clone(),
                exclude_connection_ids: None,
                to_connection_ids,
            })
        } else {
            body.to_string()
        };
        self.push(WsMessage::Text(text.into()));
    }

    pub(super) fn ping(&self) {
        self.push(WsMessage::Ping(Bytes::new()));
    }

    pub(super) fn go_away(&self) {
        self.finish(Some(WsClose { code: GOING_AWAY, reason: "the server is stopping".to_owned() }));
    }

    fn refuse(&self, reason: &str) {
        self.finish(Some(WsClose { code: UNSUPPORTED_DATA, reason: reason.to_owned() }));
    }

    /// Ends it behind what is already queued.
    fn finish(&self, close: Option<WsClose>) {
        if lock(&self.out).take().is_some() {
            *lock(&self.end) = close;
        }
    }

    fn push(&self, message: WsMessage) {
        let weight = u32::try_from(message.len().min(OUT_BYTES_MAX)).unwrap_or(u32::MAX);
        let share = Arc::clone(&self.budget).try_acquire_many_owned(weight).ok();
        let fits = share.is_some();
        let queued = match &*lock(&self.out) {
            Some(out) => fits && out.try_send(Queued { message, _share: share }).is_ok(),
            // It is ending.
            None => true,
        };
        if !queued {
            tracing::warn!("a WebSocket client reads too slowly and is cut");
            self.finish(Some(WsClose { code: TRY_AGAIN_LATER, reason: "the client reads too slowly".to_owned() }));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The WebSocket clients of a tunnel server, and whom each message is for.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use futures::{StreamExt, sink, stream};
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{
    Failure, FailureKind, WsMessage, WsSession,
    moosicbox_tunnel::{TunnelWsRequest, TunnelWsResponse},
};
use tunnel_p2p::receiver::{P2PTunnelReceiver, WsEvent};

use super::sink::Failing;
use crate::backend::{lock, spawn};

/// Messages that one client has not read yet; one that reads more slowly is cut.
const QUEUE_MESSAGES_MAX: usize = 1024;
/// Messages to which a reply by number still finds its way.
const QUESTIONS_MAX: usize = 1024;

/// Clones share the clients.
#[derive(Clone)]
pub(super) struct WebSockets {
    receiver: P2PTunnelReceiver,
    routes: Arc<Routes>,
    _events: Arc<AbortOnDropHandle<()>>,
}

#[derive(Default)]
struct Routes {
    clients: Mutex<BTreeMap<u64, Route>>,
    /// Whose message had which number, the oldest first.
    questions: Mutex<VecDeque<(u64, u64)>>,
    numbers: AtomicU64,
    /// Says good-bye for those that have gone.
    leaving: Mutex<JoinSet<()>>,
}

/// The way to a client.
struct Route {
    queue: mpsc::Sender<Item>,
    /// The place of the last word.
    last: mpsc::OwnedPermit<Item>,
}

type Item = Result<WsMessage, Failure>;

impl WebSockets {
    pub(super) fn new(receiver: P2PTunnelReceiver, events: mpsc::Receiver<WsEvent>) -> Self {
        let routes = Arc::<Routes>::default();
        let passing = pass_on(Arc::clone(&routes), events);
        Self { receiver, routes, _events: Arc::new(spawn(passing)) }
    }

    /// A new client.
    pub(super) async fn open(&self, profile: Option<String>) -> Result<WsSession, Failure> {
        let conn_id = self.routes.number();
        let (queue, items) = mpsc::channel(QUEUE_MESSAGES_MAX);
        let last = queue.clone().try_reserve_owned().expect("the queue is empty");
        lock(&self.routes.clients).insert(conn_id, Route { queue, last });
        let client = Arc::new(Client { conn_id, profile, websockets: self.clone() });
        self.receiver.open_ws(conn_id, client.profile.as_deref()).await?;
        let reading = Arc::clone(&client);
        let sink = sink::unfold(client, |client, message| async move {
            let said = client.say(message).await;
            if let Err(failure) = &said {
                client.routes().end(client.conn_id, Err(failure.clone()));
            }
            said.map(|()| client)
        });
        let stream = stream::unfold((Some(items), reading), |(items, reading)| async move {
            let mut items = items?;
            let without = || Err(Failure::new(FailureKind::ConnectionLost, "the WebSocket ended without a close"));
            let item = items.recv().await.unwrap_or_else(without);
            let goes_on = matches!(&item, Ok(message) if !matches!(message, WsMessage::Close(_)));
            Some((item, (goes_on.then_some(items), reading)))
        });
        Ok(WsSession { sink: Box::pin(Failing::new(sink)), stream: stream.boxed() })
    }
}

/// A client, until both halves of its session have gone.
struct Client {
    conn_id: u64,
    profile: Option<String>,
    websockets: WebSockets,
}

impl Client {
    fn routes(&self) -> &Routes {
        &self.websockets.routes
    }

    async fn say(&self, message: WsMessage) -> Result<(), Failure> {
        let unsupported = |message| Err(Failure::new(FailureKind::Unsupported, message));
        let text = match message {
            WsMessage::Text(text) => text,
            WsMessage::Binary(_) => return unsupported("the tunnel carries no binary WebSocket messages"),
            WsMessage::Ping(_) | WsMessage::Pong(_) => return Ok(()),
            WsMessage::Close(close) => {
                self.routes().end(self.conn_id, Ok(WsMessage::Close(close)));
                self.websockets.receiver.close_ws(self.conn_id).await;
                return Ok(());
            }
        };
        let Ok(body) = serde_json::from_slice::<Value>(&text) else {
            return unsupported("the tunnel carries only JSON on WebSockets");
        };
        let (conn_id, profile) = (self.conn_id, self.profile.clone());
        let request_id = self.routes().question(conn_id);
        let request = TunnelWsRequest { conn_id, request_id, body, connection_id: None, profile };
        self.websockets.receiver.ws(request).await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        lock(&self.routes().clients).remove(&self.conn_id);
        let (receiver, conn_id) = (self.websockets.receiver.clone(), self.conn_id);
        let mut leaving = lock(&self.routes().leaving);
        while leaving.try_join_next().is_some() {}
        leaving.spawn(async move { receiver.close_ws(conn_id).await });
    }
}

impl Routes {
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed) + 1
    }

    /// The number of a question of this client.
    fn question(&self, conn_id: u64) -> u64 {
        let number = self.number();
        let mut questions = lock(&self.questions);
        if questions.len() >= QUESTIONS_MAX {
            questions.pop_front();
        }
        questions.push_back((number, conn_id));
        number
    }

    /// Whose question had this number.
    fn asker(&self, request_id: u64) -> Option<u64> {
        let questions = lock(&self.questions);
        questions.iter().find(|(number, _)| *number == request_id).map(|(_, conn_id)| *conn_id)
    }

    /// Passes on what the host says, to those whom it is for.
    fn respond(&self, response: &TunnelWsResponse) {
        let asker = self.asker(response.request_id);
        let listed = |id: &u64| match (&response.to_connection_ids, &response.exclude_connection_ids) {
            _ if response.request_id != 0 => Some(*id) == asker,
            (Some(to), _) => to.contains(id),
            (None, Some(exclude)) => !exclude.contains(id),
            (None, None) => true,
        };
        let text = response.body.to_string();
        let mut slow = Vec::new();
        for (id, route) in lock(&self.clients).iter().filter(|(id, _)| listed(id)) {
            if route.queue.try_send(Ok(WsMessage::Text(text.clone().into()))).is_err() {
                slow.push(*id);
            }
        }
        for id in slow {
            self.end(id, Err(Failure::new(FailureKind::Overloaded, "the client reads too slowly")));
        }
    }

    fn end(&self, conn_id: u64, item: Item) {
        let route = lock(&self.clients).remove(&conn_id);
        if let Some(route) = route {
            route.last.send(item);
        }
    }
}

async fn pass_on(routes: Arc<Routes>, mut events: mpsc::Receiver<WsEvent>) {
    while let Some(event) = events.recv().await {
        match event {
            WsEvent::Response(response) => routes.respond(&response),
            WsEvent::Lost(clients) => {
                for id in clients {
                    let lost = Failure::new(FailureKind::ConnectionLost, "the way to the host is lost");
                    routes.end(id, Err(lost));
                }
            }
            other => panic!("{other:?} is not known"),
        }
    }
}

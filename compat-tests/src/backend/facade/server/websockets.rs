//! The WebSocket clients, each with a WebSocket of its own to the service.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinSet};
use tunnel_core::{Handler, moosicbox_tunnel::TunnelWsRequest};
use tunnel_p2p::sender::P2PTunnelSenderHandle;

use super::session::Session;

/// Messages of one client that the service has not taken yet.
const QUEUE_MESSAGES_MAX: usize = 256;

/// Dropping it cuts all of them.
pub(super) struct WebSockets {
    handle: P2PTunnelSenderHandle,
    handler: Arc<dyn Handler>,
    max_websockets: usize,
    tasks: JoinSet<()>,
    open: BTreeMap<u64, Open>,
    /// Counts messages, to know who has been silent for longest.
    clock: u64,
}

/// An open WebSocket. Dropping the queue closes it.
struct Open {
    queue: mpsc::Sender<Bytes>,
    spoke_at: u64,
}

impl WebSockets {
    pub(super) fn new(handle: P2PTunnelSenderHandle, handler: Arc<dyn Handler>, max_websockets: usize) -> Self {
        Self { handle, handler, max_websockets, tasks: JoinSet::new(), open: BTreeMap::new(), clock: 0 }
    }

    /// A client has said something; the first time, its WebSocket is opened.
    pub(super) fn message(&mut self, request: TunnelWsRequest) {
        let conn_id = request.conn_id;
        let text = Bytes::from(request.body.to_string());
        self.clock += 1;
        let spoke_at = self.clock;
        let text = match self.open.get_mut(&conn_id) {
            None => text,
            Some(open) => {
                open.spoke_at = spoke_at;
                match open.queue.try_send(text) {
                    Ok(()) => return,
                    // It has ended; this message opens the next one.
                    Err(mpsc::error::TrySendError::Closed(text)) => text,
                    // The service is too slow for the client, which is cut.
                    Err(mpsc::error::TrySendError::Full(_)) => return drop(self.open.remove(&conn_id)),
                }
            }
        };
        self.open.remove(&conn_id);
        self.make_room();
        let (queue, receiver) = mpsc::channel(QUEUE_MESSAGES_MAX);
        // There is room for one.
        queue.try_send(text).ok();
        let session = Session { conn_id, profile: request.profile, queue: receiver, handle: self.handle.clone() };
        self.tasks.spawn(session.run(Arc::clone(&self.handler)));
        self.open.insert(conn_id, Open { queue, spoke_at });
    }

    /// Waits until one has ended; for ever if there is none. Cancel safe.
    pub(super) async fn one_ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
        self.open.retain(|_, open| !open.queue.is_closed());
    }

    /// Makes room for one more. Nobody says when a client has left, so the most silent one has to go.
    fn make_room(&mut self) {
        while self.open.len() >= self.max_websockets {
            let Some((&silent, _)) = self.open.iter().min_by_key(|(_, open)| open.spoke_at) else { return };
            self.open.remove(&silent);
        }
    }
}

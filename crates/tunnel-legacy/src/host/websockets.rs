//! The WebSocket clients of one connection, each with a WebSocket of its own to the service.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
};
use tunnel_core::{WsMessage, moosicbox_tunnel::TunnelWsRequest};

use super::{Shared, session::Session};

/// Messages of one client that the service has not taken yet.
const QUEUE_MESSAGES_MAX: usize = 64;
/// The bytes of all such messages, of all clients.
const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Dropping it cuts all of them.
pub(super) struct WebSockets {
    shared: Arc<Shared>,
    out: mpsc::Sender<WsMessage>,
    extended: bool,
    tasks: JoinSet<()>,
    open: BTreeMap<u64, Open>,
    budget: Arc<Semaphore>,
    /// Counts messages, to know who has been silent for longest.
    clock: u64,
}

/// An open WebSocket. Dropping the queue closes it.
struct Open {
    queue: mpsc::Sender<Queued>,
    spoke_at: u64,
}

/// A message for the service, and its share of the memory for such messages.
pub(super) struct Queued {
    pub(super) text: Bytes,
    pub(super) _share: OwnedSemaphorePermit,
}

impl WebSockets {
    pub(super) fn new(shared: Arc<Shared>, out: mpsc::Sender<WsMessage>, extended: bool) -> Self {
        let budget = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        Self { shared, out, extended, tasks: JoinSet::new(), open: BTreeMap::new(), budget, clock: 0 }
    }

    /// A client has said something; the first time, its WebSocket is opened.
    pub(super) fn message(&mut self, request: TunnelWsRequest) {
        let conn_id = request.conn_id;
        let text = Bytes::from(request.body.to_string());
        let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let Ok(share) = Arc::clone(&self.budget).try_acquire_many_owned(bytes) else {
            tracing::warn!(
                conn = conn_id,
                "the service takes the messages of WebSocket clients too slowly: one is cut"
            );
            return self.close(conn_id);
        };
        self.clock += 1;
        let spoke_at = self.clock;
        let queued = Queued { text, _share: share };
        let queued = match self.open.get_mut(&conn_id) {
            None => queued,
            Some(open) => {
                open.spoke_at = spoke_at;
                match open.queue.try_send(queued) {
                    Ok(()) => return,
                    // It has ended; this message opens the next one.
                    Err(mpsc::error::TrySendError::Closed(queued)) => queued,
                    Err(mpsc::error::TrySendError::Full(_)) => {
                        tracing::warn!(conn = conn_id, "the service is too slow for a WebSocket client, which is cut");
                        return self.close(conn_id);
                    }
                }
            }
        };
        self.make_room(conn_id);
        let (queue, receiver) = mpsc::channel(QUEUE_MESSAGES_MAX);
        // There is room for one.
        queue.try_send(queued).ok();
        let session = Session {
            conn_id,
            profile: request.profile,
            queue: receiver,
            out: self.out.clone(),
            extended: self.extended,
            idle_timeout: self.shared.config.websocket_idle_timeout,
        };
        self.tasks.spawn(session.run(Arc::clone(&self.shared.handler)));
        self.open.insert(conn_id, Open { queue, spoke_at });
    }

    /// A client has left.
    pub(super) fn close(&mut self, conn_id: u64) {
        self.open.remove(&conn_id);
    }

    /// Waits until one has ended; for ever if there is none. Cancel safe.
    pub(super) async fn one_ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
        self.open.retain(|_, open| !open.queue.is_closed());
    }

    /// Makes room for one more.
    fn make_room(&mut self, conn_id: u64) {
        self.open.remove(&conn_id);
        while self.open.len() >= self.shared.config.max_websockets {
            let Some((&silent, _)) = self.open.iter().min_by_key(|(_, open)| open.spoke_at) else { return };
            tracing::info!(conn = silent, "there are too many WebSocket clients: the most silent one is dropped");
            self.open.remove(&silent);
        }
    }
}

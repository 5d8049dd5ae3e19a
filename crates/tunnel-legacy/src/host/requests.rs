//! The requests in flight on one connection.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};
use tunnel_core::{Failure, FailureKind, WsMessage, moosicbox_tunnel::TunnelHttpRequest};

use super::{Shared, encode::Encoder, exchange::Exchange, window::Window};

/// Dropping it aborts all of them.
pub(super) struct Requests {
    shared: Arc<Shared>,
    out: mpsc::Sender<WsMessage>,
    extended: bool,
    /// Each returns its request and its serial number.
    tasks: JoinSet<(u64, u64)>,
    running: BTreeMap<u64, Running>,
    /// The texts of the running requests.
    text_bytes: usize,
    serial: u64,
}

struct Running {
    serial: u64,
    abort: AbortHandle,
    window: Option<Arc<Window>>,
    text_bytes: usize,
}

impl Requests {
    pub(super) fn new(shared: Arc<Shared>, out: mpsc::Sender<WsMessage>, extended: bool) -> Self {
        Self { shared, out, extended, tasks: JoinSet::new(), running: BTreeMap::new(), text_bytes: 0, serial: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether there is room for another one, if only to refuse it: refusals are in flight, too, until the tunnel server
    /// takes them. They need no permission of its, so room comes as long as it reads.
    pub(super) fn has_room(&self) -> bool {
        self.running.len() < self.shared.config.max_requests.saturating_mul(2)
    }

    /// Begins to answer a request whose text was so long.
    pub(super) fn begin(&mut self, request: Box<TunnelHttpRequest>, base64: bool, text_bytes: usize) {
        let config = &self.shared.config;
        let request_id = request.request_id;
        if self.running.contains_key(&request_id) {
            return tracing::warn!(request = request_id, "the tunnel server gave one number to two requests at once");
        }
        let refusal = if self.shared.drain.is_cancelled() {
            Some(Failure::new(FailureKind::Refused, "the host is shutting down"))
        } else if self.running.len() >= config.max_requests {
            Some(Failure::new(FailureKind::Overloaded, "the host has too many requests in flight"))
        } else if self.text_bytes.saturating_add(text_bytes) > config.request_bytes_max {
            Some(Failure::new(FailureKind::Overloaded, "the requests in flight take too much memory of the host"))
        } else {
            None
        };
        let window = self.extended.then(|| Arc::new(Window::new()));
        let exchange =
            Exchange { request_id, out: self.out.clone(), encoder: Encoder::new(base64), window: window.clone() };
        let handler = Arc::clone(&self.shared.handler);
        self.serial += 1;
        let serial = self.serial;
        let text_bytes = if refusal.is_some() { 0 } else { text_bytes };
        let abort = self.tasks.spawn(async move {
            match refusal {
                Some(failure) => exchange.refuse(&failure).await,
                None => exchange.answer(handler, request).await,
            }
            (request_id, serial)
        });
        self.text_bytes += text_bytes;
        self.running.insert(request_id, Running { serial, abort, window, text_bytes });
    }

    /// Nobody waits for the response any more.
    pub(super) fn abort(&mut self, request_id: u64) {
        if let Some(running) = self.running.remove(&request_id) {
            running.abort.abort();
            self.text_bytes -= running.text_bytes;
        }
    }

    /// So many more packets of the response may be sent.
    pub(super) fn open_window(&self, request_id: u64, packets: u32) {
        if let Some(window) = self.running.get(&request_id).and_then(|running| running.window.as_ref()) {
            window.open(packets);
        }
    }

    /// Waits until one has ended; for ever if there is none. Cancel safe.
    pub(super) async fn one_ended(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok((request_id, serial))) => {
                if self.running.get(&request_id).is_some_and(|running| running.serial == serial) {
                    self.abort(request_id);
                }
            }
            // It was aborted: the entry is gone already. Panics of the handler are caught before they come here.
            Some(Err(_)) => {}
            None => std::future::pending().await,
        }
    }
}

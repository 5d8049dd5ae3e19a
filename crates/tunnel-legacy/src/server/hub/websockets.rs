//! WebSockets of apps.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tunnel_core::moosicbox_tunnel::{TunnelWsRequest, TunnelWsResponse};

use super::{Host, Hub};
use crate::{
    message::ToHost,
    server::{
        Defect,
        outbox::{Outbox, Refused},
    },
};

/// A host may answer so many messages of one app, the newest; answers to older ones are dropped.
const ASKED_MAX: usize = 1024;
/// RFC 6455 §7.4.1 and its registry: try again later.
const TOO_SLOW: u16 = 1013;

/// The WebSocket of an app.
pub(in crate::server) struct App {
    pub(in crate::server) conn_id: u64,
    pub(in crate::server) client_id: String,
    profile: Option<String>,
    pub(in crate::server) outbox: Outbox,
    /// The request ids of its messages.
    asked: Mutex<VecDeque<u64>>,
}

impl Hub {
    /// An app has connected; `None` if its host has as many as it may have.
    pub(in crate::server) fn app_joins(
        &self,
        conn_id: u64,
        client_id: String,
        profile: Option<String>,
    ) -> Option<Arc<App>> {
        let outbox = Outbox::new(self.queue_bytes_max());
        let app = Arc::new(App { conn_id, client_id, profile, outbox, asked: Mutex::default() });
        let mut state = self.lock();
        let siblings = state.apps.values().filter(|other| other.client_id == app.client_id).count();
        if siblings >= self.limits.ws_per_client_max {
            return None;
        }
        state.apps.insert(conn_id, Arc::clone(&app));
        drop(state);
        self.statistics.ws_client_came();
        Some(app)
    }

    /// The WebSocket of an app is gone; a host that knows the additions is told.
    pub(in crate::server) fn app_leaves(&self, app: &App) {
        let mut state = self.lock();
        state.apps.remove(&app.conn_id);
        for request_id in app.asked.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            state.asked.remove(&request_id);
        }
        let host = state.hosts.get(&app.client_id).cloned();
        drop(state);
        self.statistics.ws_client_left();
        if let Some(host) = host.filter(|host| host.flow) {
            host.outbox.push_control(ToHost::WsClosed { conn_id: app.conn_id }.to_text());
        }
    }

    /// Passes a message of an app on to its host, waiting for room; without a host it is lost. Dropping the future leaves
    /// the message out.
    pub(in crate::server) async fn ask(&self, app: &App, request_id: u64, body: Value) {
        let Some(host) = self.host(&app.client_id) else {
            tracing::debug!(client_id = %app.client_id, "a WebSocket message found no host");
            return;
        };
        self.remember(app, request_id);
        let (conn_id, profile) = (app.conn_id, app.profile.clone());
        let request = TunnelWsRequest { conn_id, request_id, body, connection_id: None, profile };
        host.outbox.push_when_room(ToHost::Ws(request).to_text().into()).await;
    }

    /// The host may answer this message of the app.
    fn remember(&self, app: &App, request_id: u64) {
        let mut state = self.lock();
        state.asked.insert(request_id, app.conn_id);
        let mut asked = app.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push_back(request_id);
        if asked.len() > ASKED_MAX
            && let Some(oldest) = asked.pop_front()
        {
            state.asked.remove(&oldest);
        }
    }

    /// Passes a message of a host on to those it is for: who asked, those listed, or all but those listed.
    pub(in crate::server) fn tell_apps(&self, host: &Host, response: TunnelWsResponse) {
        let TunnelWsResponse { request_id, body, exclude_connection_ids, to_connection_ids } = response;
        let others = self.behaviour.has(Defect::BroadcastsCrossTenants);
        let state = self.lock();
        let mine = |app: &&Arc<App>| others || app.client_id == host.client_id;
        let apps: Vec<Arc<App>> = if request_id != 0 {
            let app = state.asked.get(&request_id).and_then(|conn_id| state.apps.get(conn_id));
            app.filter(mine).cloned().into_iter().collect()
        } else if let Some(to) = to_connection_ids {
            to.iter().filter_map(|conn_id| state.apps.get(conn_id)).filter(mine).cloned().collect()
        } else {
            let excluded = exclude_connection_ids.unwrap_or_default();
            state.apps.values().filter(mine).filter(|app| !excluded.contains(&app.conn_id)).cloned().collect()
        };
        drop(state);
        if apps.is_empty() {
            tracing::debug!(request_id, "a WebSocket message of a host is for nobody");
            return;
        }
        let text = Utf8Bytes::from(body.to_string());
        for app in apps {
            if app.outbox.push(text.clone()) == Err(Refused::Full) {
                app.outbox.close(TOO_SLOW, "messages are not being read fast enough");
            }
        }
    }
}

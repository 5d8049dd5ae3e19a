//! A service that passes messages between its WebSockets, as a MoosicBox server does.
//!
//! Every WebSocket is a connection with a number: the first one is 1. What a connection sends is a
//! [`TunnelWsResponse`] as JSON, with an additional `close`, which says who gets it:
//!
//! - the connections in `to_connection_ids`, if there is such a list;
//! - everyone but those in `exclude_connection_ids`, if there is such a list;
//! - else the asker, if there is a request id other than 0;
//! - else everyone.
//!
//! They get the same JSON. With `close` they get a close instead.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{SinkExt, StreamExt, channel::mpsc, sink, stream};
use tunnel_core::{Failure, FailureKind, WsClose, WsMessage, WsSession, WsUpgrade, moosicbox_tunnel::TunnelWsResponse};

use crate::service::{Service, accept};

/// Messages that may wait for one connection.
const WAITING_MAX: usize = 1024;

/// The service, and what it knows.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    opened: u64,
    connections: BTreeMap<u64, mpsc::Sender<WsMessage>>,
}

impl Hub {
    /// The service, to be put behind a host.
    pub fn service(&self) -> Service {
        let hub = self.clone();
        Service::ws(move |_| {
            let upgrade = hub.open();
            async { Ok(upgrade) }
        })
    }

    /// The numbers of the connections that are open.
    pub fn connections(&self) -> Vec<u64> {
        self.lock().connections.keys().copied().collect()
    }

    fn open(&self) -> WsUpgrade {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let number = {
            let mut state = self.lock();
            state.opened += 1;
            let number = state.opened;
            state.connections.insert(number, sender);
            number
        };
        let seat = Seat { hub: self.clone(), number };
        let sink = sink::unfold(seat, |seat, message| async move {
            seat.receive(message);
            Ok::<_, Failure>(seat)
        });
        let greeting = stream::iter([WsMessage::Text(Bytes::from(number.to_string()))]);
        accept(WsSession {
            sink: Box::pin(sink.sink_map_err(|_| Failure::new(FailureKind::ServiceFailed, "gone"))),
            stream: Box::pin(greeting.chain(receiver).map(Ok)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in the hub; dropping it takes it out.
struct Seat {
    hub: Hub,
    number: u64,
}

impl Seat {
    fn receive(&self, message: WsMessage) {
        let mut state = self.hub.lock();
        let text = match message {
            WsMessage::Text(text) => text,
            WsMessage::Close(close) => {
                if let Some(mut sender) = state.connections.remove(&self.number) {
                    sender.try_send(WsMessage::Close(close)).ok();
                }
                return;
            }
            _ => return,
        };
        let command: serde_json::Value = serde_json::from_slice(&text).expect("cases send JSON");
        let closes = command.get("close").is_some();
        let response: TunnelWsResponse = serde_json::from_value(command).expect("cases send responses");
        let everyone = state.connections.keys().copied();
        let receivers: Vec<u64> = match (&response.to_connection_ids, &response.exclude_connection_ids) {
            (Some(to), _) => everyone.filter(|number| to.contains(number)).collect(),
            (None, Some(exclude)) => everyone.filter(|number| !exclude.contains(number)).collect(),
            (None, None) if response.request_id != 0 => vec![self.number],
            (None, None) => everyone.collect(),
        };
        for number in receivers {
            if closes {
                let close = WsClose { code: 4000, reason: "closed by the hub".to_owned() };
                if let Some(mut sender) = state.connections.remove(&number) {
                    sender.try_send(WsMessage::Close(Some(close))).expect("the queue is large enough");
                }
            } else if let Some(sender) = state.connections.get_mut(&number) {
                sender.try_send(WsMessage::Text(text.clone())).expect("the queue is large enough");
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.lock().connections.remove(&self.number);
    }
}

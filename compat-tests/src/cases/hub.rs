//! A service that passes messages between WebSockets of several clients: who gets what, and who does not.

use std::sync::Arc;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tunnel_core::{Transport, WsClose, WsMessage, WsSession};

use crate::{
    backend::{Backend, ClientSettings, HostSettings, RunningClient},
    hub::Hub,
    pair::{accepted, connected, handshake},
    patience::{soon, until},
};

/// A hub with WebSockets of two clients.
struct Room<B: Backend> {
    hub: Hub,
    _host: B::Host,
    clients: Vec<B::Client>,
    sockets: Vec<Socket>,
}

/// A WebSocket, and its number at the hub.
struct Socket {
    number: u64,
    session: WsSession,
}

impl<B: Backend> Room<B> {
    /// Opens `count` WebSockets, of the first and the second client in turns. The first one has the number 1.
    async fn with(backend: &B, count: usize) -> Self {
        let hub = Hub::default();
        let host = backend.host(Arc::new(hub.service()), HostSettings::default()).await;
        let mut clients = Vec::new();
        for _ in 0..2 {
            clients.push(connected(backend, &host, ClientSettings::default()).await);
        }
        let mut sockets = Vec::new();
        for index in 0..count {
            sockets.push(Socket::open(clients[index % 2].transport()).await);
        }
        let numbers: Vec<_> = sockets.iter().map(|socket| socket.number).collect();
        assert_eq!(numbers, (1..=count as u64).collect::<Vec<_>>());
        Self { hub, _host: host, clients, sockets }
    }

    /// What the hub is told by a socket, by index.
    async fn tell(&mut self, index: usize, command: Value) {
        self.sockets[index].tell(&command).await;
    }

    /// Everyone gets exactly these messages, by index, and then the last one, which the first socket sends to all.
    async fn everyone_got(&mut self, expected: &[&[&Value]]) {
        let last = json!({"request_id": 0, "body": "last"});
        self.tell(0, last.clone()).await;
        for (socket, expected) in self.sockets.iter_mut().zip(expected) {
            for value in expected.iter().copied().chain([&last]) {
                assert_eq!(socket.next().await, *value, "at connection {}", socket.number);
            }
        }
    }
}

impl Socket {
    async fn open(transport: Arc<dyn Transport>) -> Self {
        let (_, session) = accepted(soon("the upgrade", transport.open_ws(handshake("/ws"))).await);
        // The tunnel server tells its host of a WebSocket by the first message.
        let hello = json!({"request_id": 0, "body": null, "to_connection_ids": []});
        let mut socket = Self { number: 0, session };
        socket.tell(&hello).await;
        socket.number = socket.next().await.as_u64().expect("the hub greets with a number");
        socket
    }

    async fn tell(&mut self, command: &Value) {
        let message = WsMessage::Text(Bytes::from(command.to_string()));
        soon("sending", self.session.sink.send(message)).await.expect("the WebSocket is open");
    }

    /// The next message that is not about the hops.
    async fn message(&mut self) -> WsMessage {
        loop {
            let next = soon("a message", self.session.stream.next()).await;
            match next.expect("the WebSocket goes on").expect("no failure") {
                WsMessage::Ping(_) | WsMessage::Pong(_) => {}
                message => return message,
            }
        }
    }

    async fn next(&mut self) -> Value {
        match self.message().await {
            WsMessage::Text(text) => serde_json::from_slice(&text).expect("the hub sends JSON"),
            other => panic!("{other:?} at connection {}", self.number),
        }
    }
}

/// The answer to a request is nobody else's business.
pub async fn a_reply_goes_to_its_asker_only<B: Backend>(backend: B) {
    let mut room = Room::with(&backend, 4).await;
    let replies: Vec<_> = (0..4).map(|index| json!({"request_id": 7, "body": {"for": index}})).collect();
    for (index, reply) in replies.iter().enumerate() {
        room.tell(index, reply.clone()).await;
        assert_eq!(room.sockets[index].next().await, *reply);
    }
    room.everyone_got(&[&[], &[], &[], &[]]).await;
}

/// Ids that a double cannot hold are told apart.
pub async fn replies_carry_the_exact_id_of_their_request<B: Backend>(backend: B) {
    let mut room = Room::with(&backend, 2).await;
    let ids = [1, (1 << 53) + 1, 1 << 53, u64::MAX, u64::MAX - 1];
    for id in ids {
        room.tell(1, json!({"request_id": id, "body": null})).await;
    }
    for id in ids {
        assert_eq!(room.sockets[1].next().await["request_id"].as_u64(), Some(id));
    }
    room.everyone_got(&[&[], &[]]).await;
}

/// Those on the list and nobody else, in both clients.
pub async fn a_list_reaches_those_on_it<B: Backend>(backend: B) {
    let mut room = Room::with(&backend, 5).await;
    let two = json!({"request_id": 0, "body": "two", "to_connection_ids": [2, 5]});
    let one = json!({"request_id": 9, "body": "one", "to_connection_ids": [3]});
    room.tell(0, two.clone()).await;
    room.tell(0, one.clone()).await;
    room.everyone_got(&[&[], &[&two], &[&one], &[], &[&two]]).await;
}

/// An empty list is a list.
pub async fn an_empty_list_reaches_nobody<B: Backend>(backend: B) {
    let mut room = Room::with(&backend, 3).await;
    room.tell(0, json!({"request_id": 0, "body": 1, "to_connection_ids": []})).await;
    room.everyone_got(&[&[], &[], &[]]).await;
}

/// Everyone but those who know it already.
pub async fn an_exclude_list_leaves_out_those_on_it<B: Backend>(backend: B) {
    let mut room = Room::with(&backend, 4).await;
    let news = json!({"request_id": 0, "body": "news", "exclude_connection_ids": [1, 4]});
    room.tell(0, news.clone()).await;
    room.everyone_got(&[&[], &[&news], &[&news], &[]]).await;
}

/// Once each, the sender included, in the order in which they were sent.
pub async fn a_broadcast_reaches_everyone_once<B: Backend>(backend: B) {
    let mut room = Room::with(&backend, 6).await;
    let news: Vec<_> = (0..50).map(|number| json!({"request_id": 0, "body": number})).collect();
    for message in &news {
        room.tell(0, message.clone()).await;
    }
    let news: Vec<_> = news.iter().collect();
    room.everyone_got(&[&news, &news, &news, &news, &news, &news]).await;
}

/// The hub closes two of them; they are told, and the others are not disturbed.
pub async fn closing_some_leaves_the_others_open<B: Backend>(backend: B) {
    let mut room = Room::with(&backend, 4).await;
    room.tell(0, json!({"request_id": 0, "body": null, "to_connection_ids": [2, 3], "close": true})).await;
    for index in [1, 2] {
        let close = WsClose { code: 4000, reason: "closed by the hub".to_owned() };
        assert_eq!(room.sockets[index].message().await, WsMessage::Close(Some(close)));
        assert!(soon("the end", room.sockets[index].session.stream.next()).await.is_none());
    }
    assert_eq!(room.hub.connections(), [1, 4]);
    room.sockets.drain(1..3);
    let to_gone = json!({"request_id": 0, "body": "gone", "to_connection_ids": [2, 3, 4]});
    room.tell(0, to_gone.clone()).await;
    room.everyone_got(&[&[], &[&to_gone]]).await;
}

/// One leaves; the hub notices, and messages to everyone go on without it.
pub async fn one_that_leaves_is_left_out<B: Backend>(backend: B) {
    let mut room = Room::with(&backend, 4).await;
    drop(room.sockets.remove(1));
    until("the hub has noticed", || room.hub.connections() == [1, 3, 4]).await;
    let news = json!({"request_id": 0, "body": "news"});
    room.tell(2, news.clone()).await;
    // The last message comes from another one, so it must not overtake.
    assert_eq!(room.sockets[2].next().await, news);
    room.everyone_got(&[&[&news], &[&news], &[]]).await;
}

/// Numbers are not used twice: who comes later is somebody else.
pub async fn one_that_comes_back_has_a_new_number<B: Backend>(backend: B) {
    let mut room = Room::with(&backend, 2).await;
    let transport = room.clients[1].transport();
    drop(room.sockets.pop());
    until("the hub has noticed", || room.hub.connections() == [1]).await;
    room.sockets.push(Socket::open(transport).await);
    assert_eq!(room.sockets[1].number, 3);
    room.tell(0, json!({"request_id": 0, "body": "to the old one", "to_connection_ids": [2]})).await;
    let to_new = json!({"request_id": 0, "body": "to the new one", "to_connection_ids": [3]});
    room.tell(0, to_new.clone()).await;
    room.everyone_got(&[&[], &[&to_new]]).await;
}

/// One client is closed; the sockets of the other are not.
pub async fn a_client_that_goes_takes_only_its_own_along<B: Backend>(backend: B) {
    let mut room = Room::with(&backend, 4).await;
    room.clients[1].close();
    until("the hub has noticed", || room.hub.connections() == [1, 3]).await;
    for index in [1, 3] {
        assert!(soon("an error", room.sockets[index].session.stream.next()).await.unwrap().is_err());
    }
    room.sockets.remove(3);
    room.sockets.remove(1);
    let news = json!({"request_id": 0, "body": "news"});
    room.tell(0, news.clone()).await;
    room.everyone_got(&[&[&news], &[&news]]).await;
}

/// Everyone talks at once, and everyone hears the same.
pub async fn everyone_hears_the_same_order<B: Backend>(backend: B) {
    const EACH: usize = 30;
    let mut room = Room::with(&backend, 4).await;
    for round in 0..EACH {
        for index in 0..4 {
            room.tell(index, json!({"request_id": 0, "body": [index, round]})).await;
        }
    }
    let mut heard = Vec::new();
    for socket in &mut room.sockets {
        let mut all = Vec::new();
        for _ in 0..4 * EACH {
            all.push(socket.next().await["body"].clone());
        }
        heard.push(all);
    }
    assert!(heard.iter().all(|all| *all == heard[0]));
    for index in 0..4 {
        let own: Vec<_> = heard[0].iter().filter(|body| body[0] == json!(index)).collect();
        let sent: Vec<_> = (0..EACH).map(|round| json!([index, round])).collect();
        assert!(own.into_iter().eq(&sent), "what connection {} said is out of order", index + 1);
    }
}

//! A node with a client, and the requests that it makes.

use std::{sync::Arc, time::Duration};

use http::{Method, Request as HttpRequest};
use p2p_provider::simulator::{SimNode, SimP2P, SimPeerConfig};
use tokio::time::{Instant, sleep, timeout};
use tunnel_core::{Body, Failure, Health, Request, Transport};
use tunnel_p2p::{Client, ClientConfig, Ticket};

use super::{
    Stage,
    ws::{self, Talk},
};
use crate::{
    body::{Made, Pace, Read, Side, read},
    oracle::{Ending, RESUME_LIMIT},
    plan::Plan,
};

/// A client on a node of its own. Clones share it.
#[derive(Clone)]
pub struct SimClient {
    /// The node.
    pub node: SimNode,
    pub(super) stage: Stage,
    ticket: Ticket,
    /// How often the node was started before.
    life: u64,
    client: Arc<Client<SimP2P>>,
}

impl SimClient {
    pub(super) fn start(
        stage: &Stage,
        node: SimNode,
        ticket: Ticket,
        life: u64,
        change: impl FnOnce(&mut ClientConfig),
    ) -> Self {
        let peer = node.peer(SimPeerConfig::default()).expect("a new node has no peer");
        let mut config = ClientConfig::default();
        config.body_idle_timeout = Duration::from_secs(30);
        let part = u64::from_be_bytes(std::array::from_fn(|i| node.id().0[i]));
        config.seed = Some(stage.random(part.wrapping_add(life)).u64(..));
        if let Some(connect_timeout) = stage.environment.connect_timeout {
            config.connect_timeout = connect_timeout;
        }
        change(&mut config);
        let client = Arc::new(Client::start(peer, ticket.clone(), config));
        Self { node, stage: stage.clone(), ticket, life, client }
    }

    /// Waits until it is connected.
    pub async fn connected(&self) {
        let connecting = async {
            while self.client.connected().await.is_err() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        if timeout(RESUME_LIMIT, connecting).await.is_err() {
            self.stage.oracle.violate(format!("{} did not connect within {RESUME_LIMIT:?}", self.node.name()));
        }
    }

    /// Where it acts.
    #[must_use]
    pub const fn stage(&self) -> &Stage {
        &self.stage
    }

    /// What it thinks of its connection.
    #[must_use]
    pub fn health(&self) -> Health {
        self.client.health()
    }

    /// The way to the host.
    #[must_use]
    pub fn transport(&self) -> &Client<SimP2P> {
        &self.client
    }

    pub(super) fn shared(&self) -> Arc<Client<SimP2P>> {
        Arc::clone(&self.client)
    }

    /// Ends its process without a word. Whatever it was doing is dropped by whoever does it.
    pub fn crash(&self) {
        self.node.crash();
        self.client.close();
    }

    /// Starts a process on its node after a crash, with the ticket of before: a new client.
    #[must_use]
    pub fn restart(&self) -> Self {
        self.node.start();
        Self::start(&self.stage, self.node.clone(), self.ticket.clone(), self.life + 1, |_| {})
    }

    /// Makes a request and reads its response. Everything that is wrong about it goes to the oracle.
    pub async fn request(&self, plan: Plan, pace: Pace) -> Ending {
        let plan = Plan { id: self.stage.oracle.begin(), ..plan };
        let mut leaving = Leaving { client: self, id: plan.id, ended: false };
        let ending = self.exchange(&plan, pace).await;
        leaving.ended = true;
        self.finish(plan.id, ending);
        ending
    }

    /// As [`request`](Self::request), but the client gives up after a while, wherever the request is then.
    pub async fn request_for(&self, plan: Plan, pace: Pace, patience: Duration) {
        timeout(patience, self.request(plan, pace)).await.ok();
    }

    /// As [`request`](Self::request), where nothing may go wrong.
    pub async fn must(&self, plan: Plan, pace: Pace) {
        let ending = self.request(plan, pace).await;
        if ending != Ending::Complete {
            self.stage.oracle.violate(format!("{:?} of {} ended as {ending:?}", plan.verb, self.node.name()));
        }
    }

    /// Opens a WebSocket to an echo, sends messages, and compares what comes back, one after the other.
    pub async fn web_socket(&self, messages: u32, pause: Duration) -> Ending {
        self.talk(Talk { pause, ..Talk::of(messages) }).await
    }

    /// Opens a WebSocket, sends messages, and compares what comes back.
    pub async fn talk(&self, talk: Talk) -> Ending {
        let id = self.stage.oracle.begin();
        let mut leaving = Leaving { client: self, id, ended: false };
        let ending = ws::converse(self, id, &talk).await;
        leaving.ended = true;
        self.finish(id, ending);
        ending
    }

    /// After faults have healed, an answer comes soon.
    pub(super) async fn resume(&self) {
        let trying = async {
            while self.request(Plan::download(0, 100), Pace::Fast).await != Ending::Complete {
                sleep(Duration::from_millis(200)).await;
            }
        };
        if timeout(RESUME_LIMIT, trying).await.is_err() {
            let health = self.client.health();
            let name = self.node.name();
            self.stage.oracle.violate(format!("{name} did not get an answer within {RESUME_LIMIT:?} ({health:?})"));
        }
    }

    /// A request that is handed back was not delivered, and can be sent as it is.
    async fn must_be_whole(&self, plan: &Plan, request: Request, delivered: bool) {
        let oracle = &self.stage.oracle;
        if delivered || request.id != plan.id {
            oracle.violate(format!("request {} was handed back wrongly: {request:?}", plan.id));
        }
        // What its source breaks off is as broken here.
        let whole = plan.is_whole_up();
        if whole && read(request.body, plan, Side::Request, Pace::Fast, oracle).await != Read::Complete {
            oracle.violate(format!("request {} was handed back with a broken body", plan.id));
        }
    }

    fn finish(&self, id: u64, ending: Ending) {
        self.stage.network.note(&self.node.name(), &format!("request {id} {ending:?}"));
        self.stage.oracle.end(id, ending);
    }

    fn explain(&self, id: u64, failure: &Failure) {
        let text = format!("request {id} {}: {failure}", failure.kind().name());
        self.stage.network.note(&self.node.name(), &text);
    }

    async fn exchange(&self, plan: &Plan, pace: Pace) -> Ending {
        let oracle = &self.stage.oracle;
        let method = if plan.up > 0 { Method::POST } else { Method::GET };
        let head = HttpRequest::builder().method(method).uri(plan.target()).body(());
        let (parts, ()) = head.expect("targets are plain").into_parts();
        let body = if plan.up > 0 { Made::request(*plan, oracle.clone()).into_body() } else { Body::empty() };
        let start = Instant::now();
        let response = match self.client.send(Request::http(plan.id, parts, body)).await {
            Ok(response) => {
                if let Pace::Prompt(limit) = pace
                    && start.elapsed() > limit * 2 + plan.gap
                {
                    oracle.violate(format!("the head of the response {} took {:?}", plan.id, start.elapsed()));
                }
                response
            }
            Err(error) => {
                self.explain(plan.id, error.failure());
                let delivered = error.may_have_been_delivered();
                if let Some(request) = error.into_request() {
                    self.must_be_whole(plan, request, delivered).await;
                }
                return if delivered { Ending::Failed } else { Ending::Undelivered };
            }
        };
        match read(response.body, plan, Side::Response, pace, oracle).await {
            Read::Complete => Ending::Complete,
            Read::Left => Ending::Aborted,
            Read::Failed(failure) => {
                self.explain(plan.id, &failure);
                Ending::Failed
            }
        }
    }
}

/// A request whose future is dropped was given up.
struct Leaving<'a> {
    client: &'a SimClient,
    id: u64,
    ended: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.client.finish(self.id, Ending::Aborted);
        }
    }
}

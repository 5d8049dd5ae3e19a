//! A node with a client, and the requests that it makes.

use std::{sync::Arc, time::Duration};

use p2p_provider::simulator::{SimNode, SimP2P, SimPeerConfig};
use tokio::time::{Instant, sleep, timeout};
use tunnel_core::{Failure, Health, Request, Transport, Via};
use tunnel_p2p::{Client, ClientConfig, Ticket};

use super::{
    Caller, Stage, Talk,
    caller::{check_head, http_request, note},
    ws,
};
use crate::{
    body::{Pace, Read, Side, read},
    oracle::{Ending, RESUME_LIMIT},
    plan::Plan,
};

/// A client on a node of its own. Clones share it.
#[derive(Clone)]
pub struct SimClient {
    /// The node.
    pub node: SimNode,
    stage: Stage,
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

    /// What it thinks of its connection.
    #[must_use]
    pub fn health(&self) -> Health {
        self.client.health()
    }

    /// The way to the host.
    #[must_use]
    pub fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.client) as _
    }

    /// Ends its connections in order. Whatever it was doing fails.
    pub fn close(&self) {
        self.client.close();
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

    /// It has the head of an answer, and was told how it came.
    pub(super) fn answered(&self, id: u64, execution: u32, via: Option<Via>) {
        self.stage.oracle.answered(id, execution, via);
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

    fn explain(&self, id: u64, failure: &Failure) {
        note(self, id, &format!("{}: {failure}", failure.kind().name()));
    }
}

impl Caller for SimClient {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn node(&self) -> &SimNode {
        &self.node
    }

    async fn exchange(&self, plan: &Plan, pace: Pace) -> Ending {
        let oracle = &self.stage.oracle;
        let (parts, body) = http_request(plan).into_parts();
        let start = Instant::now();
        let response = match self.transport().send(Request::http(plan.id, parts, body)).await {
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
        let execution = check_head(oracle, plan, response.status, &response.headers);
        self.answered(plan.id, execution, response.via);
        match read(response.body, plan, Side::Response(execution), pace, oracle).await {
            Read::Complete => Ending::Complete,
            Read::Left => Ending::Aborted,
            Read::Failed(failure) => {
                self.explain(plan.id, &failure);
                Ending::Failed
            }
        }
    }

    async fn converse(&self, id: u64, talk: &Talk) -> Ending {
        ws::converse(self, id, talk).await
    }

    fn condition(&self) -> String {
        format!("({:?})", self.health())
    }
}

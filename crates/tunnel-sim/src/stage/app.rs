//! A node with an app, and the HTTP requests that it makes.

mod ws;

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Duration};

use http::{HeaderName, HeaderValue, Method, header};
use http_body_util::{BodyExt, Collected};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use p2p_provider::simulator::{SimNode, SimTcpStream};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{Body, Failure, FailureKind, PathKind, TransportKind, Via};

use super::{
    Caller, SimGateway, Stage, Talk,
    caller::{EXECUTIONS_MAX, check_head, http_request, is_of_the_service, note},
    gateway::ACCESS_TOKEN,
};
use crate::{
    body::{Pace, Read, Side, read},
    oracle::Ending,
    plan::{Plan, Verb},
};

/// How long connecting to the gateway may take: its process may be gone, and then nobody answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections kept for the next request.
const KEPT_MAX: usize = 4;

const X_TUNNEL_TRANSPORT: HeaderName = HeaderName::from_static("x-tunnel-transport");
const X_TUNNEL_REASON: HeaderName = HeaderName::from_static("x-tunnel-reason");
const X_TUNNEL_OUTCOME: HeaderName = HeaderName::from_static("x-tunnel-outcome");

/// An app that speaks HTTP/1.1 and WebSockets with a gateway. Clones share its connections.
#[derive(Clone)]
pub struct SimApp {
    /// The node.
    pub node: SimNode,
    stage: Stage,
    gateway: SocketAddr,
    /// Whether the gateway has two ways to its host.
    is_dual: bool,
    kept: Rc<RefCell<Vec<Connection>>>,
}

/// Dropping it closes it, whatever is under way.
struct Connection {
    sender: SendRequest<Body>,
    _driver: AbortOnDropHandle<()>,
}

impl SimApp {
    pub(super) fn new(stage: &Stage, node: SimNode, gateway: &SimGateway) -> Self {
        Self { node, stage: stage.clone(), gateway: gateway.address(), is_dual: gateway.is_dual(), kept: Rc::default() }
    }

    /// Ends its process without a word; its system resets its connections. What it was doing ends with errors.
    pub fn crash(&self) {
        self.node.crash();
        self.kept.borrow_mut().clear();
    }

    /// Starts it again after a crash.
    pub fn restart(&self) {
        self.node.start();
    }

    /// Closes the connections that it keeps for later.
    pub(super) fn close_kept(&self) {
        self.kept.borrow_mut().clear();
    }

    async fn dial(&self) -> Option<SimTcpStream> {
        timeout(CONNECT_TIMEOUT, self.node.connect_tcp(self.gateway)).await.ok()?.ok()
    }

    async fn connect(&self) -> Option<Connection> {
        let (sender, driver) = handshake(TokioIo::new(self.dial().await?)).await.ok()?;
        // Whoever uses `sender` gets the error.
        let driver = async { driver.await.unwrap_or_default() };
        Some(Connection { sender, _driver: AbortOnDropHandle::new(Handle::current().spawn(driver)) })
    }

    /// The connection that was used last, of those that are ready.
    fn take_kept(&self) -> Option<Connection> {
        let mut kept = self.kept.borrow_mut();
        kept.retain(|connection| connection.sender.is_ready());
        kept.pop()
    }

    fn keep(&self, connection: Connection, plan: &Plan) {
        // The gateway closes it behind an answer that did not wait for the request.
        if plan.verb == Verb::Ignore {
            return;
        }
        let mut kept = self.kept.borrow_mut();
        kept.push(connection);
        if kept.len() > KEPT_MAX {
            kept.remove(0);
        }
    }

    /// Sends the request over a kept connection or a new one.
    async fn send(&self, plan: &Plan) -> Result<(http::Response<Incoming>, Connection), Ending> {
        let mut request = http_request(plan);
        let token = HeaderValue::try_from(format!("Bearer {ACCESS_TOKEN}")).expect("the token is plain");
        let host = HeaderValue::try_from(self.gateway.to_string()).expect("addresses are plain");
        request.headers_mut().extend([(header::HOST, host), (header::AUTHORIZATION, token)]);
        loop {
            let kept = self.take_kept();
            let is_kept = kept.is_some();
            let connection = match kept {
                Some(connection) => Some(connection),
                None => self.connect().await,
            };
            let Some(mut connection) = connection else {
                note(self, plan.id, "no connection to the gateway");
                return Err(Ending::Undelivered);
            };
            match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, connection)),
                Err(mut error) => match error.take_message() {
                    // The gateway has closed it in the meantime.
                    Some(unsent) if is_kept => request = unsent,
                    Some(_) => return Err(Ending::Undelivered),
                    None => {
                        note(self, plan.id, &error.error().to_string());
                        return Err(Ending::Failed);
                    }
                },
            }
        }
    }

    /// The service always answers 200: anything else is the gateway's own, and says why, and what became of the request.
    async fn refused(&self, id: u64, response: http::Response<Incoming>) -> Ending {
        let status = response.status();
        let field = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (reason, outcome) = (field(X_TUNNEL_REASON), field(X_TUNNEL_OUTCOME));
        let text = response.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
        note(self, id, &format!("{status} {}", String::from_utf8_lossy(&text).trim_end()));
        let known = reason.and_then(|reason| FailureKind::ALL.into_iter().find(|kind| kind.name() == reason));
        match (known, outcome.as_deref()) {
            (Some(_), Some("not-executed")) => Ending::Undelivered,
            (Some(_), Some("unknown")) => Ending::Failed,
            _ => {
                let what = format!("request {id} was answered with {status}, of {known:?} and the outcome {outcome:?}");
                self.stage.oracle.violate(what);
                Ending::Failed
            }
        }
    }
}

impl Caller for SimApp {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn node(&self) -> &SimNode {
        &self.node
    }

    fn executions_max(&self, plan: &Plan) -> u32 {
        if self.is_dual && plan.method() == Method::GET { EXECUTIONS_MAX } else { 1 }
    }

    fn openings_max(&self) -> u32 {
        if self.is_dual { u32::MAX } else { 1 }
    }

    async fn exchange(&self, plan: &Plan, pace: Pace) -> Ending {
        let (response, connection) = match self.send(plan).await {
            Ok(answered) => answered,
            Err(ending) => return ending,
        };
        if !is_of_the_service(response.status()) {
            return self.refused(plan.id, response).await;
        }
        let (parts, incoming) = response.into_parts();
        let oracle = &self.stage.oracle;
        let execution = check_head(oracle, plan, parts.status, &parts.headers);
        let transport = parts.headers.get(X_TUNNEL_TRANSPORT);
        let transport = [TransportKind::P2p, TransportKind::Legacy]
            .into_iter()
            .find(|kind| transport.is_some_and(|name| name == kind.name()));
        oracle.answered(
            plan.id,
            execution,
            transport.map(|transport| Via { transport, path: PathKind::Unknown, reason: None }),
        );
        let body = Body::stream(incoming.map_err(|error| Failure::new(FailureKind::ConnectionLost, error.to_string())));
        match read(body, plan, Side::Response(execution), pace, oracle).await {
            Read::Complete => {
                self.keep(connection, plan);
                Ending::Complete
            }
            Read::Left => Ending::Aborted,
            Read::Failed(failure) => {
                note(self, plan.id, &failure.to_string());
                Ending::Failed
            }
        }
    }

    /// In turns only: of the talk it heeds the number of messages and the pause.
    async fn converse(&self, id: u64, talk: &Talk) -> Ending {
        ws::converse(self, id, talk.messages, talk.pause).await
    }
}

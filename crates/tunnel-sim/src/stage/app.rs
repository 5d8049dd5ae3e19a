//! A node with an app, and the HTTP requests that it makes.

mod ws;

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Collected};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use p2p_provider::simulator::{SimNode, SimTcpStream};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tunnel_core::{Body, Failure, FailureKind};

use super::{SimGateway, Stage, gateway::ACCESS_TOKEN};
use crate::{
    body::{Made, Pace, Read, Side, read},
    oracle::{Ending, RESUME_LIMIT},
    plan::{Plan, Verb},
};

/// How long connecting to the gateway may take: its process may be gone, and then nobody answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections kept for the next request.
const KEPT_MAX: usize = 4;

const X_TUNNEL_REASON: HeaderName = HeaderName::from_static("x-tunnel-reason");

/// With these reasons the gateway says that the service has not seen the request.
const UNDELIVERED: [FailureKind; 5] = [
    FailureKind::Refused,
    FailureKind::Overloaded,
    FailureKind::Unauthorized,
    FailureKind::Unreachable,
    FailureKind::ServiceUnreachable,
];

/// An app that speaks HTTP/1.1 and WebSockets with a gateway. Clones share its connections.
#[derive(Clone)]
pub struct SimApp {
    /// The node.
    pub node: SimNode,
    stage: Stage,
    gateway: SocketAddr,
    kept: Rc<RefCell<Vec<Connection>>>,
}

/// Dropping it closes it, whatever is under way.
struct Connection {
    sender: SendRequest<Body>,
    _driver: AbortOnDropHandle<()>,
}

impl SimApp {
    pub(super) fn new(stage: &Stage, node: SimNode, gateway: &SimGateway) -> Self {
        Self { node, stage: stage.clone(), gateway: gateway.address(), kept: Rc::default() }
    }

    /// Where it acts.
    #[must_use]
    pub const fn stage(&self) -> &Stage {
        &self.stage
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

    /// Makes a request and reads its response. Everything that is wrong about it goes to the oracle.
    pub async fn request(&self, plan: Plan, pace: Pace) -> Ending {
        let plan = Plan { id: self.stage.oracle.begin(), ..plan };
        self.note(plan.id, &format!("asks {} at {pace:?}", plan.target()));
        let mut leaving = Leaving { app: self, id: plan.id, ended: false };
        let ending = self.exchange(&plan, pace).await;
        leaving.ended = true;
        self.finish(plan.id, ending);
        ending
    }

    /// As [`request`](Self::request), but the app gives up after a while, wherever the request is then.
    pub async fn request_for(&self, plan: Plan, pace: Pace, patience: Duration) {
        timeout(patience, self.request(plan, pace)).await.ok();
    }

    /// As [`request`](Self::request), where nothing may go wrong.
    pub async fn must(&self, plan: Plan, pace: Pace) {
        let ending = self.request(plan, pace).await;
        if ending != Ending::Complete {
            let name = self.node.name();
            self.stage.oracle.violate(format!("{plan:?} of {name} ended as {ending:?}"));
        }
    }

    /// Opens a WebSocket to an echo, sends messages, and compares what comes back.
    pub async fn web_socket(&self, messages: u32, pause: Duration) -> Ending {
        let id = self.stage.oracle.begin();
        let mut leaving = Leaving { app: self, id, ended: false };
        let ending = ws::converse(self, id, messages, pause).await;
        leaving.ended = true;
        self.finish(id, ending);
        ending
    }

    /// After faults have healed, an answer comes soon.
    pub async fn resume(&self) {
        let trying = async {
            while self.request(Plan::download(0, 100), Pace::Fast).await != Ending::Complete {
                sleep(Duration::from_millis(200)).await;
            }
        };
        if timeout(RESUME_LIMIT, trying).await.is_err() {
            let name = self.node.name();
            self.stage.oracle.violate(format!("{name} did not get an answer within {RESUME_LIMIT:?}"));
        }
    }

    fn finish(&self, id: u64, ending: Ending) {
        self.note(id, &format!("{ending:?}"));
        self.stage.oracle.end(id, ending);
    }

    fn note(&self, id: u64, text: &str) {
        self.stage.network.note(&self.node.name(), &format!("request {id} {text}"));
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

    async fn exchange(&self, plan: &Plan, pace: Pace) -> Ending {
        let (response, connection) = match self.send(plan).await {
            Ok(answered) => answered,
            Err(ending) => return ending,
        };
        if response.status() != StatusCode::OK {
            return self.refused(plan.id, response).await;
        }
        let (parts, incoming) = response.into_parts();
        self.check_length(plan, &parts.headers);
        let body = Body::stream(incoming.map_err(|error| Failure::new(FailureKind::ConnectionLost, error.to_string())));
        let oracle = &self.stage.oracle;
        match read(body, plan, Side::Response, pace, oracle).await {
            Read::Complete => {
                self.keep(connection, plan);
                Ending::Complete
            }
            Read::Left => Ending::Aborted,
            Read::Failed(failure) => {
                self.note(plan.id, &failure.to_string());
                Ending::Failed
            }
        }
    }

    /// Sends the request over a kept connection or a new one.
    async fn send(&self, plan: &Plan) -> Result<(http::Response<Incoming>, Connection), Ending> {
        let method = if plan.up > 0 { Method::POST } else { Method::GET };
        let body =
            if plan.up > 0 { Made::request(*plan, self.stage.oracle.clone()).into_body() } else { Body::empty() };
        let request = http::Request::builder()
            .method(method)
            .uri(plan.target())
            .header(header::HOST, self.gateway.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {ACCESS_TOKEN}"))
            .body(body);
        let mut request = request.expect("targets are plain");
        loop {
            let kept = self.take_kept();
            let is_kept = kept.is_some();
            let connection = match kept {
                Some(connection) => Some(connection),
                None => self.connect().await,
            };
            let Some(mut connection) = connection else {
                self.note(plan.id, "no connection to the gateway");
                return Err(Ending::Undelivered);
            };
            match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, connection)),
                Err(mut error) => match error.take_message() {
                    // The gateway has closed it in the meantime.
                    Some(unsent) if is_kept => request = unsent,
                    Some(_) => return Err(Ending::Undelivered),
                    None => {
                        self.note(plan.id, &error.error().to_string());
                        return Err(Ending::Failed);
                    }
                },
            }
        }
    }

    /// The service always answers 200: anything else is the gateway's own, and says why.
    async fn refused(&self, id: u64, response: http::Response<Incoming>) -> Ending {
        let status = response.status();
        let reason = response.headers().get(X_TUNNEL_REASON).and_then(|reason| reason.to_str().ok()).map(str::to_owned);
        let text = response.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
        self.note(id, &format!("{status} {}", String::from_utf8_lossy(&text).trim_end()));
        let known = reason.and_then(|reason| FailureKind::ALL.into_iter().find(|kind| kind.name() == reason));
        match known {
            None => {
                self.stage.oracle.violate(format!("request {id} was answered with {status} and no reason"));
                Ending::Failed
            }
            Some(kind) if UNDELIVERED.contains(&kind) => Ending::Undelivered,
            Some(_) => Ending::Failed,
        }
    }

    /// A length that the service has declared is declared to the app.
    fn check_length(&self, plan: &Plan, headers: &HeaderMap) {
        let declared = plan.declared && plan.verb != Verb::Echo;
        // What breaks off has promised more.
        let length = plan.down + u64::from(plan.verb == Verb::Break);
        let seen = headers.get(header::CONTENT_LENGTH);
        if declared && seen != Some(&HeaderValue::from(length)) {
            self.stage.oracle.violate(format!("request {} came with the length {seen:?} instead of {length}", plan.id));
        }
    }
}

/// A request whose future is dropped was given up.
struct Leaving<'a> {
    app: &'a SimApp,
    id: u64,
    ended: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.app.finish(self.id, Ending::Aborted);
        }
    }
}

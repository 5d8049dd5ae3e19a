//! Who makes requests, and what is looked at in every answer.

use std::time::Duration;

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE},
};
use p2p_provider::simulator::SimNode;
use tokio::time::{sleep, timeout};
use tunnel_core::Body;

use super::{Stage, Talk};
use crate::{
    body::{Made, Pace},
    oracle::{Ending, Oracle, RESUME_LIMIT},
    plan::{End, Plan, Verb},
    service::EXECUTION,
};

/// How often a safe request is executed at most over two transports: over both before its head, for every continuation of
/// its body, and to be compared.
pub(super) const EXECUTIONS_MAX: u32 = 2 + 3 + 1;

/// A client or an app. Everything that is wrong about what it gets goes to the oracle.
#[expect(async_fn_in_trait, reason = "scenarios run on one thread")]
pub trait Caller {
    /// Where it acts.
    fn stage(&self) -> &Stage;

    /// On which node.
    fn node(&self) -> &SimNode;

    /// How often the service may see this request.
    fn executions_max(&self, _plan: &Plan) -> u32 {
        1
    }

    /// How often the service may see a WebSocket open.
    fn openings_max(&self) -> u32 {
        1
    }

    /// Makes a request that the oracle knows, and reads its response.
    async fn exchange(&self, plan: &Plan, pace: Pace) -> Ending;

    /// Holds a conversation over a WebSocket that the oracle knows.
    async fn converse(&self, id: u64, talk: &Talk) -> Ending;

    /// More about its state, for those who wonder why there is no answer.
    fn condition(&self) -> String {
        String::new()
    }

    /// Makes a request and reads its response.
    async fn request(&self, plan: Plan, pace: Pace) -> Ending {
        self.pursue(&self.begin(plan), pace).await
    }

    /// Gives a request its number, under which the oracle knows it. It must be [pursued](Self::pursue).
    fn begin(&self, plan: Plan) -> Plan {
        Plan { id: self.stage().oracle.begin(self.executions_max(&plan)), ..plan }
    }

    /// Makes a request that has begun, and reads its response.
    async fn pursue(&self, plan: &Plan, pace: Pace) -> Ending {
        note(self, plan.id, &format!("asks {} at {pace:?}", plan.target()));
        let leaving = Leaving { caller: self, id: plan.id, ended: false };
        let ending = self.exchange(plan, pace).await;
        leaving.end(ending)
    }

    /// As [`request`](Self::request), but the caller gives up after a while, wherever the request is then.
    async fn request_for(&self, plan: Plan, pace: Pace, patience: Duration) {
        timeout(patience, self.request(plan, pace)).await.ok();
    }

    /// As [`request`](Self::request), where nothing may go wrong.
    async fn must(&self, plan: Plan, pace: Pace) {
        let ending = self.request(plan, pace).await;
        if ending != Ending::Complete {
            let name = self.node().name();
            self.stage().oracle.violate(format!("{plan:?} of {name} ended as {ending:?}"));
        }
    }

    /// Opens a WebSocket to an echo, sends messages, and compares what comes back, one after the other.
    async fn web_socket(&self, messages: u32, pause: Duration) -> Ending {
        self.talk(Talk { pause, ..Talk::of(messages) }).await
    }

    /// Opens a WebSocket, sends messages, and compares what comes back.
    async fn talk(&self, talk: Talk) -> Ending {
        let id = self.stage().oracle.begin(self.openings_max());
        let leaving = Leaving { caller: self, id, ended: false };
        let ending = self.converse(id, &talk).await;
        leaving.end(ending)
    }

    /// After faults have healed, an answer comes soon.
    async fn resume(&self) {
        let trying = async {
            while self.request(Plan::download(0, 100), Pace::Fast).await != Ending::Complete {
                sleep(Duration::from_millis(200)).await;
            }
        };
        if timeout(RESUME_LIMIT, trying).await.is_err() {
            let (name, condition) = (self.node().name(), self.condition());
            self.stage().oracle.violate(format!("{name} did not get an answer within {RESUME_LIMIT:?} {condition}"));
        }
    }
}

/// Adds a line about a request to the trace.
pub(super) fn note(caller: &(impl Caller + ?Sized), id: u64, text: &str) {
    caller.stage().network.note(&caller.node().name(), &format!("request {id} {text}"));
}

/// A request whose future is dropped was given up.
struct Leaving<'a, C: Caller + ?Sized> {
    caller: &'a C,
    id: u64,
    ended: bool,
}

impl<C: Caller + ?Sized> Leaving<'_, C> {
    fn end(mut self, ending: Ending) -> Ending {
        self.ended = true;
        self.finish(ending);
        ending
    }

    fn finish(&self, ending: Ending) {
        note(self.caller, self.id, &format!("{ending:?}"));
        self.caller.stage().oracle.end(self.id, ending);
    }
}

impl<C: Caller + ?Sized> Drop for Leaving<'_, C> {
    fn drop(&mut self) {
        if !self.ended {
            self.finish(Ending::Aborted);
        }
    }
}

/// The request that a plan describes.
pub(super) fn http_request(plan: &Plan) -> http::Request<Body> {
    let body = if plan.up > 0 { Made::request(*plan).into_body() } else { Body::empty() };
    let mut request = http::Request::builder().method(plan.method()).uri(plan.target());
    if plan.json && plan.up > 0 {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    if plan.first_down() > 0 {
        request = request.header(RANGE, format!("bytes={}-", plan.from));
    }
    request.body(body).expect("targets are plain")
}

/// Whether the service answers like this; all else is said by somebody on the way.
pub(super) fn is_of_the_service(status: StatusCode) -> bool {
    matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT)
}

/// Looks at the head of an answer of the service. Returns which execution has made it, from 1 on.
pub(super) fn check_head(oracle: &Oracle, plan: &Plan, status: StatusCode, headers: &HeaderMap) -> u32 {
    let id = plan.id;
    let execution = headers.get(EXECUTION).and_then(|number| number.to_str().ok()?.parse().ok());
    let Some(execution) = execution else {
        oracle.violate(format!("request {id} was answered with {status}, but not by the service: {headers:?}"));
        return 1;
    };
    let part = plan.first_down() > 0;
    let right = if part { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    if status != right {
        oracle.violate(format!("request {id} was answered with {status} instead of {right}"));
    }
    let mut wanted = vec![];
    if plan.verb != Verb::Echo {
        if plan.declared && plan.response_end() == End::Proper {
            wanted.push((CONTENT_LENGTH, HeaderValue::from(plan.expected_down())));
        }
        if part {
            let range = format!("bytes {}-{}/{}", plan.from, plan.down - 1, plan.down);
            wanted.push((CONTENT_RANGE, HeaderValue::try_from(range).expect("it is plain")));
        }
        wanted.extend(plan.file.validator(id, plan.file.version(execution)));
    }
    for (name, value) in wanted {
        let seen = headers.get(&name);
        if seen != Some(&value) {
            oracle.violate(format!("request {id} came with the {name} {seen:?} instead of {value:?}"));
        }
    }
    execution
}

//! One request, from the decision to the head of its response.

mod ask;
mod route;

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tunnel_core::{Failure, FailureKind, Health, Request, Response, SendError, TransportKind, WsOpen};

pub(super) use self::route::Route;
use super::{
    body, failures,
    record::Record,
    request::{Again, Facts},
    shared::{Active, Shared},
    upload,
};
use crate::{
    Mode, Outcome, Reason,
    decisions::{Entry, Short, Verb},
    health::View,
    policy::{Choice, bucket},
};

/// What is known of a request that is under way.
pub(super) struct Exchange {
    pub(super) shared: Arc<Shared>,
    pub(super) active: Arc<Active>,
    pub(super) choice: Choice,
    pub(super) route: Route,
    pub(super) record: Record,
}

impl Exchange {
    pub(super) fn begin(shared: &Arc<Shared>, request: &Request) -> Self {
        let facts = Facts::of(request);
        let verb = Verb::Http(facts.method.as_ref().clone());
        Self::decide(shared, request.id, verb, &facts)
    }

    pub(super) fn begin_ws(shared: &Arc<Shared>, open: &WsOpen) -> Self {
        Self::decide(shared, open.id, Verb::WebSocket, &Facts::of_ws(open))
    }

    fn decide(shared: &Arc<Shared>, id: u64, verb: Verb, facts: &Facts<'_>) -> Self {
        let active = shared.active();
        let client_id = facts.client_id.as_deref().or(active.config.client_id.as_deref());
        let choice = active.policy().choose(&facts.method, &facts.path, || bucket(client_id.unwrap_or_default()));
        let route = Route::of(shared, choice);
        let entry = Entry {
            id,
            verb,
            path: Short::new(&facts.path),
            client_id: client_id.map(Short::new),
            mode: choice.mode,
            answer: None,
            hedged: false,
            failovers: 0,
            outcome: Outcome::Open,
            status: None,
            begin: shared.now(),
            end: None,
        };
        let record = Record::new(shared, entry);
        Self { shared: Arc::clone(shared), active, choice, route, record }
    }

    pub(super) async fn send(mut self, request: Request) -> Result<Response, SendError> {
        let result = match self.route {
            Route::P2pOnly(reason) => {
                self.p2p_only(request).await.map(|response| (response, TransportKind::P2p, reason, None))
            }
            Route::P2pFirst => self.p2p_first(request).await,
            Route::LegacyFirst(reason) => self.legacy_first(request, reason).await,
            Route::None => Err(SendError::undelivered(failures::no_p2p(), request)),
        };
        match result {
            Ok((response, kind, reason, again)) => Ok(body::deliver(self, response, kind, reason, again)),
            Err(error) => {
                self.record.failed(&error);
                Err(error)
            }
        }
    }

    /// A second request like this one, if repeating it is harmless and somebody might want to.
    fn again(&self, request: &Request) -> Option<Again> {
        let may_repeat = self.shared.p2p.is_some() && self.shared.legacy.is_some() && request.head.is_safe();
        may_repeat.then(|| Again::of(request))?
    }

    /// p2p, where nothing else may be used. What went with a connection that was lost goes over the next one, once, if it was
    /// certainly not executed, or if repeating it is harmless.
    async fn p2p_only(&self, request: Request) -> Result<Response, SendError> {
        let again = if request.head.is_safe() { Again::of(&request) } else { None };
        let error = match self.ask(TransportKind::P2p, request).await {
            Err(error) if error.failure().kind() == FailureKind::ConnectionLost => error,
            result => return result,
        };
        let (failure, delivered) = (error.failure().clone(), error.may_have_been_delivered());
        let request = match error.into_request().or_else(|| again.as_ref().map(Again::request)) {
            Some(request) => request,
            None if delivered => return Err(SendError::unknown(failure)),
            None => return Err(SendError::consumed(failure)),
        };
        self.ask(TransportKind::P2p, request)
            .await
            .map_err(|last| with_failure(last.failure().clone(), last, delivered))
    }

    async fn p2p_first(&mut self, request: Request) -> Result<Answer, SendError> {
        let limit = self.shared.legacy.as_ref().and_then(|legacy| legacy.body_bytes_max());
        let limit = limit.unwrap_or(upload::REPLAY_BYTES_MAX);
        let request =
            if upload::is_short(&request.body, limit) { ask::collect(request, limit).await? } else { request };
        let again = self.again(&request);
        let answer = match (&again, self.hedge_after()) {
            (Some(again), Some(after)) => self.hedged(request, again, after).await,
            _ => self.ask(TransportKind::P2p, request).await.map(Winner::P2p).map_err(Lost::P2p),
        };
        match answer {
            Ok(Winner::P2p(response)) => Ok((response, TransportKind::P2p, Reason::P2pHealthy, again)),
            Ok(Winner::Legacy(response, reason)) => Ok((response, TransportKind::Legacy, reason, again)),
            Err(Lost::P2p(error)) => self.fall_back(error, again).await,
            Err(Lost::Both { p2p, legacy }) => Err(neither(p2p.failure(), legacy, p2p.may_have_been_delivered())),
        }
    }

    /// When to start over legacy, too.
    fn hedge_after(&self) -> Option<Duration> {
        let config = &self.active.config;
        let p95 = self.shared.heads.p95().unwrap_or(config.hedge_after_max);
        config.hedge.then(|| p95.clamp(config.hedge_after_min, config.hedge_after_max))
    }

    /// p2p, and legacy too if p2p takes longer than `after`. The first head wins, the other one is dropped.
    ///
    /// An error of the server (5xx) does not win against p2p: it may be the tunnel server's own, which only says that the
    /// host is not connected there.
    async fn hedged(&self, request: Request, again: &Again, after: Duration) -> Result<Winner, Lost> {
        let begun = Instant::now();
        let mut p2p = pin!(self.ask(TransportKind::P2p, request));
        tokio::select! {
            biased;
            result = &mut p2p => return result.map(Winner::P2p).map_err(Lost::P2p),
            () = sleep(after) => {}
        }
        let Some(request) = self.for_hedge(again) else {
            return p2p.await.map(Winner::P2p).map_err(Lost::P2p);
        };
        self.record.hedged();
        let mut legacy = pin!(self.ask(TransportKind::Legacy, request));
        let (first_p2p, first_legacy) = tokio::select! {
            biased;
            result = &mut p2p => (Some(result), None),
            result = &mut legacy => (None, Some(result)),
        };
        match (first_p2p, first_legacy) {
            (Some(Ok(response)), _) => Ok(Winner::P2p(response)),
            (Some(Err(p2p)), _) if !failures::may_differ(p2p.failure().kind()) => Err(Lost::P2p(p2p)),
            (Some(Err(p2p)), _) => match legacy.await {
                Ok(response) => Ok(Winner::Legacy(response, Reason::P2pFailed)),
                Err(legacy) => Err(Lost::Both { p2p, legacy }),
            },
            (None, Some(Ok(response))) if !response.status.is_server_error() => {
                self.shared.counters.hedges_won.one();
                self.shared.heads.record(begun.elapsed());
                self.shared.doubt_p2p();
                Ok(Winner::Legacy(response, Reason::Hedged))
            }
            (None, Some(Ok(refusal))) => match p2p.await {
                Ok(response) => Ok(Winner::P2p(response)),
                Err(p2p) if !failures::may_differ(p2p.failure().kind()) => Err(Lost::P2p(p2p)),
                Err(_) => Ok(Winner::Legacy(refusal, Reason::P2pFailed)),
            },
            (None, Some(Err(legacy))) => match p2p.await {
                Ok(response) => Ok(Winner::P2p(response)),
                Err(p2p) => Err(Lost::Both { p2p, legacy }),
            },
            (None, None) => unreachable!("one of two futures has ended"),
        }
    }

    /// The request for a hedge, if legacy can take it and is not known to be down.
    fn for_hedge(&self, again: &Again) -> Option<Request> {
        let legacy = self.shared.legacy.as_ref()?;
        let request = again.request();
        let works = !matches!(legacy.health(), Health::Down(_)) && legacy.can_carry(&request).is_ok();
        works.then_some(request)
    }

    /// p2p has failed. Legacy, if that is certain to execute the request no second time, or harmless if it does.
    async fn fall_back(&mut self, error: SendError, again: Option<Again>) -> Result<Answer, SendError> {
        let failure = error.failure().clone();
        if !failures::may_differ(failure.kind()) {
            return Err(error);
        }
        let delivered = error.may_have_been_delivered();
        let request = match error.into_request().or_else(|| again.as_ref().map(Again::request)) {
            Some(request) => request,
            None if delivered => return Err(SendError::unknown(failures::outcome_unknown(&failure))),
            None => return Err(SendError::consumed(failure)),
        };
        let request = match self.for_legacy(request).await {
            Ok(request) => request,
            Err(refused) => return Err(neither(&failure, refused, delivered)),
        };
        self.shared.counters.fallbacks.one();
        match self.ask(TransportKind::Legacy, request).await {
            Ok(response) => Ok((response, TransportKind::Legacy, Reason::P2pFailed, again)),
            Err(legacy) => Err(neither(&failure, legacy, delivered)),
        }
    }

    /// Legacy, because p2p does not work at the moment, or may not be used.
    async fn legacy_first(&mut self, request: Request, reason: Reason) -> Result<Answer, SendError> {
        let down = self.down();
        let request = match self.for_legacy(request).await {
            Ok(request) => request,
            Err(refused) => {
                let Some(p2p) = down else { return Err(refused) };
                if !self.p2p_may_work() {
                    return Err(neither(&p2p, refused, false));
                }
                let failure = refused.failure().clone();
                let Some(request) = refused.into_request() else { return Err(SendError::consumed(failure)) };
                let again = self.again(&request);
                return match self.ask(TransportKind::P2p, request).await {
                    Ok(response) => Ok((response, TransportKind::P2p, Reason::NotCarried, again)),
                    Err(p2p) => Err(with_failure(failures::both(p2p.failure(), &failure), p2p, false)),
                };
            }
        };
        let again = self.again(&request);
        let error = match self.ask(TransportKind::Legacy, request).await {
            Ok(response) => return Ok((response, TransportKind::Legacy, reason, again)),
            Err(error) => error,
        };
        let Some(p2p) = down else { return Err(error) };
        let failure = error.failure().clone();
        if !failures::may_differ(failure.kind()) {
            return Err(error);
        }
        if !self.p2p_may_work() {
            return Err(neither(&p2p, error, false));
        }
        let delivered = error.may_have_been_delivered();
        let request = match error.into_request().or_else(|| again.as_ref().map(Again::request)) {
            Some(request) => request,
            None if delivered => return Err(SendError::unknown(failures::outcome_unknown(&failure))),
            None => return Err(SendError::consumed(failure)),
        };
        self.shared.counters.fallbacks.one();
        match self.ask(TransportKind::P2p, request).await {
            Ok(response) => Ok((response, TransportKind::P2p, Reason::LegacyFailed, again)),
            Err(p2p) => Err(with_failure(failures::both(p2p.failure(), &failure), p2p, delivered)),
        }
    }

    /// Why p2p is not used, if the mode would allow it.
    pub(super) fn down(&self) -> Option<Failure> {
        (self.choice.mode == Mode::P2pFirst && self.shared.p2p.is_some()).then(|| self.shared.p2p_failure())
    }

    /// Whether trying p2p is worth it where nothing else is left.
    pub(super) fn p2p_may_work(&self) -> bool {
        self.shared.look_at_p2p(|machine| machine.view() != View::Down)
    }
}

/// The response, the transport that gave it, why that one, and the request once more if it may be repeated.
type Answer = (Response, TransportKind, Reason, Option<Again>);

enum Winner {
    P2p(Response),
    Legacy(Response, Reason),
}

enum Lost {
    P2p(SendError),
    Both { p2p: SendError, legacy: SendError },
}

/// Both transports failed; the request comes back only if neither can have delivered it.
fn neither(p2p: &Failure, legacy: SendError, delivered: bool) -> SendError {
    with_failure(failures::both(p2p, legacy.failure()), legacy, delivered)
}

fn with_failure(failure: Failure, last: SendError, delivered_before: bool) -> SendError {
    if delivered_before || last.may_have_been_delivered() {
        return SendError::unknown(failure);
    }
    match last.into_request() {
        Some(request) => SendError::undelivered(failure, request),
        None => SendError::consumed(failure),
    }
}

//! What would happen, and why.

use std::borrow::Cow;

use http::{Method, Uri};
use serde::Serialize;
use tunnel_core::{Body, Failure, Request, TransportKind, WsOpen};

use super::{exchange::Route, failures, request::Facts, shared::Shared};
use crate::{
    Mode, Reason, Source, State,
    health::{Machine, View},
    policy::{self, Choice, bucket},
};

/// A request to ask about.
#[derive(Clone, Debug)]
pub struct Question {
    /// The client, if the target does not name one.
    pub client_id: Option<String>,
    /// The method.
    pub method: Method,
    /// The target in origin form.
    pub target: Uri,
}

/// How a request without a body would go now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The client id that counts.
    pub client_id: Option<String>,
    /// Its bucket, from 0 to 9,999.
    pub bucket: u16,
    /// The client takes part in the rollout: its bucket is below a hundred times the percentage.
    pub in_rollout: bool,
    /// The mode that holds.
    pub mode: Mode,
    /// Who says so.
    pub source: Source,
    /// The index of the rule, if one decides.
    pub rule: Option<usize>,
    /// The state of p2p.
    pub p2p: Option<State>,
    /// Why legacy could not carry the request, if it could not.
    pub legacy_refuses: Option<String>,
    /// The transport that it would try first; none if there is none that it may use.
    pub transport: Option<&'static str>,
    /// Why that one.
    pub reason: Option<Reason>,
}

pub(super) fn explain(shared: &Shared, question: &Question) -> Explanation {
    let active = shared.active();
    let named = question.target.query().and_then(policy::in_query);
    let client_id = named.or(question.client_id.as_deref().map(Cow::Borrowed));
    let client_id = client_id.or(active.config.client_id.as_deref().map(Cow::Borrowed));
    let bucket = bucket(client_id.as_deref().unwrap_or_default());
    let choice = active.policy().choose(&question.method, question.target.path(), || bucket);
    let refusal = shared.legacy.as_ref().and_then(|legacy| legacy.can_carry(&request(question)).err());
    let (transport, reason) = first(shared, choice, refusal.is_some()).unzip();
    Explanation {
        client_id: client_id.map(Cow::into_owned),
        bucket,
        in_rollout: bucket < active.rollout,
        mode: choice.mode,
        source: choice.source,
        rule: choice.rule,
        p2p: shared.p2p.is_some().then(|| shared.look(Machine::state)),
        legacy_refuses: refusal.map(|failure| failure.to_string()),
        transport: transport.map(TransportKind::name),
        reason,
    }
}

fn request(question: &Question) -> Request {
    let mut request = http::Request::new(());
    request.method_mut().clone_from(&question.method);
    request.uri_mut().clone_from(&question.target);
    Request::http(0, request.into_parts().0, Body::empty())
}

/// The transport that a request tries first.
fn first(shared: &Shared, choice: Choice, legacy_refuses: bool) -> Option<(TransportKind, Reason)> {
    match Route::of(shared, choice) {
        Route::P2pOnly(reason) => Some((TransportKind::P2p, reason)),
        Route::P2pFirst => Some((TransportKind::P2p, Reason::P2pHealthy)),
        Route::LegacyFirst(_) if legacy_refuses => {
            let may_p2p = choice.mode == Mode::P2pFirst && shared.look(Machine::view) != View::Down;
            may_p2p.then_some((TransportKind::P2p, Reason::NotCarried))
        }
        Route::LegacyFirst(reason) => Some((TransportKind::Legacy, reason)),
        Route::None => None,
    }
}

/// Whether the transports that the request may use can carry it, one of them at least.
pub(super) fn can_carry(shared: &Shared, request: &Request) -> Result<(), Failure> {
    any(shared, &Facts::of(request), |transport| transport.can_carry(request))
}

pub(super) fn can_carry_ws(shared: &Shared, open: &WsOpen) -> Result<(), Failure> {
    any(shared, &Facts::of_ws(open), |transport| transport.can_carry_ws(open))
}

fn any(
    shared: &Shared,
    facts: &Facts<'_>,
    carries: impl Fn(&dyn tunnel_core::Transport) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let active = shared.active();
    let client_id = facts.client_id.as_deref().or(active.config.client_id.as_deref());
    let choice = active.policy().choose(&facts.method, &facts.path, || bucket(client_id.unwrap_or_default()));
    let kinds: &[TransportKind] = match (choice.mode, &shared.p2p, &shared.legacy) {
        (Mode::P2pOnly, ..) | (_, _, None) => &[TransportKind::P2p],
        (Mode::Legacy, ..) | (_, None, _) => &[TransportKind::Legacy],
        (Mode::P2pFirst, ..) => &[TransportKind::P2p, TransportKind::Legacy],
    };
    let mut refusal = failures::no_p2p();
    for transport in kinds.iter().filter_map(|&kind| shared.transport(kind)) {
        match carries(transport.as_ref()) {
            Ok(()) => return Ok(()),
            Err(failure) => refusal = failure,
        }
    }
    Err(refusal)
}

impl Shared {
    pub(super) fn legacy_carries_ws(&self, open: &WsOpen) -> Result<(), Failure> {
        match &self.legacy {
            Some(legacy) => legacy.can_carry_ws(open),
            None => Ok(()),
        }
    }
}

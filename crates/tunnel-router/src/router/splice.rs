//! Continues a response over the other transport: asks, and checks the answer.

use std::{borrow::Cow, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use http_body::Body as _;
use tokio::time::{Instant, timeout};
use tunnel_core::{Body, FailureKind, Request, Response, TransportKind};

use super::{
    request::{Again, Facts},
    shared::{Active, Shared},
};
use crate::{
    Mode,
    failover::{Continued, FAILOVERS_MAX, Origin, may_continue, resume_head},
    health::{Machine, View},
    policy::bucket,
};

/// The other transport must answer within this, or the response breaks off: a player has buffered about as much.
const RESUME_TIMEOUT: Duration = Duration::from_secs(10);

/// The rest of a body, and what carries it; or why there is none.
pub(super) type Resuming = BoxFuture<'static, Result<(Body, TransportKind), Cow<'static, str>>>;

/// What it takes to continue a response.
pub(super) struct Splice {
    again: Again,
    origin: Origin,
    tries: u8,
}

impl Splice {
    /// `None` if the response can have no continuation.
    pub(super) fn of(active: &Active, again: Option<Again>, response: &Response) -> Option<Self> {
        let config = &active.config;
        let again = again.filter(|again| config.failover && again.is_get())?;
        let exact = response.body.size_hint().exact();
        let origin = Origin::of(response.status, &response.headers, exact, config.splice_without_validator)?;
        Some(Self { again, origin, tries: 0 })
    }

    /// Whether all bytes were delivered that the response has promised.
    pub(super) fn is_whole(&self, delivered: u64) -> bool {
        self.origin.length() == Some(delivered)
    }

    /// Asks for the rest, if this failure is one after which to ask. Dropping the future gives it up.
    pub(super) fn resume(
        &mut self,
        shared: &Arc<Shared>,
        from: TransportKind,
        kind: FailureKind,
        delivered: u64,
    ) -> Option<Resuming> {
        if !may_continue(kind) || !self.may_resume(shared, from) {
            return None;
        }
        let to = other(from);
        self.tries += 1;
        shared.counters.failovers_tried.of(from).one();
        let (shared, again, origin) = (Arc::clone(shared), self.again.clone(), self.origin.clone());
        let rest = async move {
            let asking = timeout(RESUME_TIMEOUT, ask(&shared, &again, &origin, to, delivered));
            let Ok(response) = asking.await else { return Err("it does not answer".into()) };
            let Response { status, headers, body, .. } = response?;
            let cut = origin.continues(delivered, status, &headers, body.size_hint().exact())?;
            shared.counters.failovers_succeeded.of(from).one();
            Ok((Body::stream(Continued::new(body, cut)), to))
        };
        Some(rest.boxed())
    }

    /// Whether the other transport may be asked.
    pub(super) fn may_resume(&self, shared: &Shared, from: TransportKind) -> bool {
        self.tries < FAILOVERS_MAX && self.may_use(shared, other(from))
    }

    /// Whether the policy of now allows this transport for the request, and p2p may work.
    fn may_use(&self, shared: &Shared, to: TransportKind) -> bool {
        let request = self.again.request();
        let facts = Facts::of(&request);
        let active = shared.active();
        let client_id = facts.client_id.as_deref().or(active.config.client_id.as_deref());
        let mode = active.policy().choose(&facts.method, &facts.path, || bucket(client_id.unwrap_or_default())).mode;
        match to {
            TransportKind::P2p => mode != Mode::Legacy && shared.look_at_p2p(Machine::view) == View::Up,
            _ => mode != Mode::P2pOnly,
        }
    }
}

const fn other(kind: TransportKind) -> TransportKind {
    match kind {
        TransportKind::P2p => TransportKind::Legacy,
        _ => TransportKind::P2p,
    }
}

/// Asks one transport for the rest.
async fn ask(
    shared: &Shared,
    again: &Again,
    origin: &Origin,
    to: TransportKind,
    delivered: u64,
) -> Result<Response, Cow<'static, str>> {
    let Some(transport) = shared.transport(to) else { return Err("it is not there".into()) };
    let request = |conditional| -> Option<Request> {
        let head = resume_head(&again.head, origin, delivered, conditional)?;
        Some(Request { head, ..again.request() })
    };
    let conditional = request(true).ok_or("it is no GET")?;
    let request = match transport.can_carry(&conditional) {
        Ok(()) => conditional,
        // Today's tunnel drops `if-range`.
        Err(_) => request(false).ok_or("it is no GET")?,
    };
    transport.can_carry(&request).map_err(|refusal| refusal.to_string())?;
    shared.counters.attempts.of(to).one();
    let (epoch, begun) = (shared.look(Machine::epoch), Instant::now());
    let result = transport.send(request).await;
    if to == TransportKind::P2p {
        shared.p2p_result(epoch, begun, result.as_ref().err().map(tunnel_core::SendError::failure));
    }
    result.map_err(|error| error.failure().to_string().into())
}

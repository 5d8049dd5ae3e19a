//! The last decisions, for people who ask why.

mod ring;
mod short;

use std::time::Duration;

use http::Method;
use serde::Serialize;
use tunnel_core::TransportKind;

pub(crate) use ring::{Entry, Number, Ring};
pub(crate) use short::Short;

use crate::{Mode, Reason};

/// How one request went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// The request's id, as in logs.
    pub id: u64,
    /// The method; `WEBSOCKET` for a WebSocket.
    pub method: String,
    /// The path without the query, at most 120 bytes of it.
    pub path: String,
    /// The client id that decided about the rollout, at most 60 bytes of it.
    pub client_id: Option<String>,
    /// The mode that held for it.
    pub mode: Mode,
    /// The transport that answered, `p2p` or `legacy`; absent before an answer, and if there was none.
    pub transport: Option<&'static str>,
    /// Why that transport.
    pub reason: Option<Reason>,
    /// Whether it was also started over legacy because p2p was slow.
    pub hedged: bool,
    /// How often its response continued over the other transport.
    pub failovers: u8,
    /// How it ended.
    pub outcome: Outcome,
    /// The status of the response.
    pub status: Option<u16>,
    /// From the beginning to the end; to now as long as it lasts.
    pub duration_ms: u64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// It has not ended yet.
    Open,
    /// The whole response was read.
    Complete,
    /// The caller gave up.
    Abandoned,
    /// It was answered, and then broke off: this kind of failure.
    Cut(#[serde(serialize_with = "kind_name")] tunnel_core::FailureKind),
    /// No answer, for certain not executed: this kind of failure.
    NotDelivered(#[serde(serialize_with = "kind_name")] tunnel_core::FailureKind),
    /// No answer, perhaps executed: this kind of failure.
    Unknown(#[serde(serialize_with = "kind_name")] tunnel_core::FailureKind),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn kind_name<S: serde::Serializer>(kind: &tunnel_core::FailureKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

/// What the method column says.
#[derive(Clone, Debug)]
pub(crate) enum Verb {
    Http(Method),
    WebSocket,
}

impl Verb {
    fn name(&self) -> &str {
        match self {
            Self::Http(method) => method.as_str(),
            Self::WebSocket => "WEBSOCKET",
        }
    }
}

impl Entry {
    fn decision(&self, now: Duration) -> Decision {
        Decision {
            id: self.id,
            method: self.verb.name().to_owned(),
            path: self.path.to_string(),
            client_id: self.client_id.as_ref().map(ToString::to_string),
            mode: self.mode,
            transport: self.answer.map(|(kind, _)| TransportKind::name(kind)),
            reason: self.answer.map(|(_, reason)| reason),
            hedged: self.hedged,
            failovers: self.failovers,
            outcome: self.outcome,
            status: self.status,
            duration_ms: u64::try_from(self.end.unwrap_or(now).saturating_sub(self.begin).as_millis())
                .unwrap_or(u64::MAX),
        }
    }
}

//! What the form of the tunnel cannot say.

use std::{fmt, str::FromStr};

use http::{
    HeaderName, Method,
    header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE},
};

use super::PAYLOAD_BYTES_MAX;
use crate::{Failure, FailureKind};

/// One thing of an HTTP request that its form as a `TunnelHttpRequest` loses, or alters.
///
/// Whether a request with losses may still go is for an operator to say; it never goes without somebody having looked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LegacyLoss {
    /// The tunnel server forwards GET, POST, PUT, PATCH, DELETE and HEAD, and answers 404 to others.
    #[error("the tunnel does not carry the method {0}")]
    Method(Method),
    /// The target is `*` or an authority, not a path.
    #[error("the tunnel does not carry a target that is not a path")]
    Target,
    /// The header is dropped.
    #[error("the tunnel drops the header {0}")]
    Header(HeaderName),
    /// The header comes more than once; only the last value is kept.
    #[error("the tunnel keeps only the last of the repeated header {0}")]
    RepeatedHeader(HeaderName),
    /// The key, decoded, comes more than once in the query; only the last value is kept.
    #[error("the tunnel keeps only the last value of the query key {0:?}")]
    RepeatedQueryKey(String),
    /// The key or its value has a `+`, which many services read as a space: from here on it is a plus sign.
    #[error("the tunnel makes a plus sign of a + that may mean a space, at the query key {0:?}")]
    PlusInQuery(String),
    /// The key or its value is not UTF-8 once decoded; the replacement character stands for what is not.
    #[error("the tunnel cannot carry bytes that are not UTF-8, at the query key {0:?}")]
    QueryNotUtf8(String),
    /// The body is not JSON and is dropped. The tunnel server answers 500.
    #[error("the tunnel carries no body that is not JSON")]
    BodyNotJson,
    /// The body is the JSON `null`, which the far side takes for no body.
    #[error("the tunnel loses a body that is the JSON null")]
    BodyNull,
    /// The body is JSON but has repeated keys, or numbers that parsing rounds.
    #[error("the tunnel rounds numbers of the body or drops repeated keys")]
    BodyInexact,
    /// The body is longer than 262,144 bytes and is dropped, silently at the tunnel server.
    #[error("the tunnel carries bodies of at most {PAYLOAD_BYTES_MAX} bytes, not {bytes}")]
    BodyTooLong {
        /// The length of the body in bytes.
        bytes: usize,
    },
    /// The body is a stream, whose content is not known here; it is dropped.
    #[error("the tunnel carries no streamed body")]
    BodyStreamed,
}

impl LegacyLoss {
    /// What kind of loss this is for a request with this method; `None` for one that nobody may allow, because the service
    /// would be asked for something else.
    #[must_use]
    pub fn class(&self, method: &Method) -> Option<LossClass> {
        match self {
            Self::Header(name) | Self::RepeatedHeader(name) => {
                Some(if is_precondition(name, method) { LossClass::Preconditions } else { LossClass::Headers })
            }
            Self::RepeatedQueryKey(_) | Self::PlusInQuery(_) | Self::QueryNotUtf8(_) => Some(LossClass::Query),
            Self::BodyInexact => Some(LossClass::Numbers),
            Self::Method(_)
            | Self::Target
            | Self::BodyNotJson
            | Self::BodyNull
            | Self::BodyTooLong { .. }
            | Self::BodyStreamed => None,
        }
    }
}

/// Whether the service, had it seen the field, might have done nothing, or sent another part (RFC 9110 §13.1). Without
/// `if-none-match` or `if-modified-since` a GET or HEAD only gets more than it needs.
fn is_precondition(name: &HeaderName, method: &Method) -> bool {
    let changes = !matches!(*method, Method::GET | Method::HEAD);
    [IF_MATCH, IF_UNMODIFIED_SINCE, IF_RANGE].contains(name)
        || (changes && [IF_NONE_MATCH, IF_MODIFIED_SINCE].contains(name))
}

/// Kinds of loss that an operator can allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossClass {
    /// Header fields that only ask for less, or say who asks: every request through the tunnel loses some.
    Headers,
    /// Fields that make a request conditional: without them a changed file may be overwritten, or spliced.
    Preconditions,
    /// Repeated keys, `+` and bytes that are not UTF-8 in the query.
    Query,
    /// Numbers of a JSON body that parsing rounds, and its repeated keys.
    Numbers,
}

impl LossClass {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Headers, Self::Preconditions, Self::Query, Self::Numbers];

    /// The name, as in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Preconditions => "preconditions",
            Self::Query => "query",
            Self::Numbers => "numbers",
        }
    }
}

impl fmt::Display for LossClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LossClass {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        Self::ALL.into_iter().find(|class| class.name() == text).ok_or_else(|| {
            Failure::new(
                FailureKind::BadRequest,
                format!("{text:?} is no class of loss: known are headers, preconditions, query, numbers"),
            )
        })
    }
}

/// What may be lost without anybody being told. Default: [`LossClass::Headers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossPolicy {
    allowed: Vec<LossClass>,
}

impl Default for LossPolicy {
    fn default() -> Self {
        Self { allowed: vec![LossClass::Headers] }
    }
}

impl LossPolicy {
    /// Only these.
    #[must_use]
    pub fn allowing(allowed: impl IntoIterator<Item = LossClass>) -> Self {
        Self { allowed: allowed.into_iter().collect() }
    }

    /// Whether a request with this method and these losses may go. The refusal names the first loss that may not be:
    /// [`FailureKind::TooLarge`] for a body, [`FailureKind::Unsupported`] for all else.
    pub fn check(&self, method: &Method, losses: &[LegacyLoss]) -> Result<(), Failure> {
        let forbidden = |loss: &&LegacyLoss| loss.class(method).is_none_or(|class| !self.allowed.contains(&class));
        match losses.iter().find(forbidden) {
            None => Ok(()),
            Some(loss @ LegacyLoss::BodyTooLong { .. }) => Err(Failure::new(FailureKind::TooLarge, loss.to_string())),
            Some(loss) => Err(Failure::new(FailureKind::Unsupported, loss.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_may_be_lost_but_not_what_makes_a_request_conditional() {
        let policy = LossPolicy::default();
        let may = |method: Method, name: HeaderName| policy.check(&method, &[LegacyLoss::Header(name)]).is_ok();
        assert!(may(Method::GET, http::header::USER_AGENT));
        assert!(may(Method::GET, IF_NONE_MATCH));
        assert!(!may(Method::PUT, IF_NONE_MATCH));
        assert!(!may(Method::GET, IF_RANGE));
        assert!(!may(Method::DELETE, IF_MATCH));
    }

    #[test]
    fn a_body_is_never_lost_silently() {
        let policy = LossPolicy::allowing(LossClass::ALL);
        for loss in [LegacyLoss::BodyNotJson, LegacyLoss::BodyNull, LegacyLoss::BodyStreamed] {
            assert_eq!(policy.check(&Method::POST, &[loss]).unwrap_err().kind(), FailureKind::Unsupported);
        }
        let long = policy.check(&Method::POST, &[LegacyLoss::BodyTooLong { bytes: 1 }]);
        assert_eq!(long.unwrap_err().kind(), FailureKind::TooLarge);
        assert!(policy.check(&Method::POST, &[LegacyLoss::BodyInexact]).is_ok());
    }

    #[test]
    fn classes_are_read_by_their_names() {
        for class in LossClass::ALL {
            assert_eq!(class.name().parse(), Ok(class));
        }
        assert!("body".parse::<LossClass>().is_err());
    }
}

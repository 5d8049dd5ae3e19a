//! What the form of the tunnel cannot say.

use http::{HeaderName, Method};

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
    #[error("the tunnel drops a body of {bytes} bytes")]
    BodyTooLong {
        /// The length of the body in bytes.
        bytes: usize,
    },
    /// The body is a stream, whose content is not known here; it is dropped.
    #[error("the tunnel carries no streamed body")]
    BodyStreamed,
}

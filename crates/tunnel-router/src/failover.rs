//! Whether a response that broke off continues in another one: pure. A changed file must never be spliced.

mod continued;
mod origin;
mod range;
mod resume;
mod validator;

pub(crate) use continued::Continued;
pub(crate) use origin::{Cut, Origin, UNKNOWN_TYPE};
pub(crate) use resume::resume_head;

use tunnel_core::FailureKind;

/// How often one response may continue.
pub(crate) const FAILOVERS_MAX: u8 = 3;

/// Whether a body that ends with a failure of this kind may continue elsewhere: what the network did, not what the service
/// did, and not what a peer did without a word.
pub(crate) const fn may_continue(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::ConnectionLost | FailureKind::Unreachable | FailureKind::Timeout | FailureKind::ShuttingDown
    )
}

#[cfg(test)]
mod tests;

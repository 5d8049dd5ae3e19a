//! The four ways to exchange bytes that are compared.

mod http;
mod raw;
mod tunnel;

use anyhow::Result;

pub(super) use self::{http::Http, raw::Raw, tunnel::Tunnel};

/// Bytes there and bytes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    /// The length of the request.
    pub(super) sent: u64,
    /// The length of the answer.
    pub(super) received: u64,
}

/// One way to exchange bytes. Clones share its connections.
pub(super) trait Subject: Clone + Send + Sync + 'static {
    /// Sends a request and reads its answer to the end. Dropping the future aborts the exchange.
    fn exchange(&self, exchange: Exchange) -> impl Future<Output = Result<()>> + Send;
}

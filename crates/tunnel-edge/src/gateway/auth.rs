//! What knows about tokens: `/auth/*` of the tunnel server.

use async_trait::async_trait;
use tunnel_core::{Request, Response, SendError};

/// Answers what apps ask about tokens ([`Profile::Moosicbox`](crate::Profile::Moosicbox)).
#[async_trait]
pub trait AuthServer: Send + Sync + 'static {
    /// Passes the request on as it is, with the app's own credentials, and returns the answer as it is.
    ///
    /// Returns within the configured times. Dropping the future breaks the request off.
    async fn pass(&self, request: Request) -> Result<Response, SendError>;
}

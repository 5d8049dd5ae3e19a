//! Who may come in, and who is who.

use std::sync::Arc;

use async_trait::async_trait;
use tunnel_core::{Failure, FailureKind, Handler, Request, Response, WsOpen, WsUpgrade};

use crate::backend::{Backend, ClientSettings, Credential, HostSettings, RunningClient};

struct Never;

#[async_trait]
impl Handler for Never {
    async fn http(&self, _: Request) -> Result<Response, Failure> {
        panic!("the handler must not be called")
    }

    async fn ws(&self, _: WsOpen) -> Result<WsUpgrade, Failure> {
        panic!("the handler must not be called")
    }
}

/// Nothing of such a client reaches the handler.
pub async fn a_wrong_credential_is_unauthorized<B: Backend>(backend: B) {
    let host = backend.host(Arc::new(Never), HostSettings::default()).await;
    let settings = ClientSettings { credential: Credential::Wrong, ..ClientSettings::default() };
    let client = backend.client(&host, settings).await;
    let failure = client.connected().await.expect_err("a refusal");
    assert_eq!(failure.kind(), FailureKind::Unauthorized);
}

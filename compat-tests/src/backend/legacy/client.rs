//! A client of a case, behind the tunnel server.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use async_trait::async_trait;
use tunnel_core::{Failure, FailureKind, Health, Request, Response, SendError, Transport, WsOpen, WsUpgrade};
use tunnel_legacy::{AuthClient, LegacyClient, LegacyConfig};

use super::{Account, server::url};
use crate::backend::{
    ClientSettings, Credential, RunningClient,
    world::{Machine, World},
};

/// A [`LegacyClient`] on a machine of its own.
pub struct LegacyRunningClient<W: World> {
    machine: W::Machine,
    auth: AuthClient,
    account: Account,
    transport: Arc<Open>,
}

/// The client, until it is closed. The product has no word for that: whoever owns a client drops it.
struct Open {
    client: LegacyClient,
    closed: AtomicBool,
}

impl<W: World> LegacyRunningClient<W> {
    /// Starts it; it connects when somebody asks.
    pub fn start(world: &W, server: std::net::SocketAddr, account: &Account, settings: ClientSettings) -> Self {
        let machine = world.machine("client");
        let mut account = account.clone();
        if let Some(client_id) = settings.client_id {
            account.client_id = client_id;
        }
        if settings.credential == Credential::Wrong {
            "wrong".clone_into(&mut account.token);
            "wrong".clone_into(&mut account.signature);
        }
        let mut config = LegacyConfig::new(url(server));
        config.client_id = Some(account.client_id.clone());
        config.token = Some(account.token.clone());
        config.signature = Some(account.signature.clone());
        config.head_timeout = settings.head_timeout;
        config.body_idle_timeout = settings.body_idle_timeout;
        config.max_requests = settings.max_requests as usize;
        config.max_websockets = settings.max_websockets as usize;
        config.queue_timeout = settings.queue_timeout;
        config.ws_message_bytes_max = settings.ws_message_bytes_max as usize;
        let connect = {
            let machine = machine.clone();
            move || machine.connect(server)
        };
        let client = LegacyClient::with_connector(config, connect.clone()).expect("the settings are right");
        let auth = AuthClient::with_connector(url(server), connect);
        Self { machine, auth, account, transport: Arc::new(Open { client, closed: AtomicBool::new(false) }) }
    }
}

impl<W: World> RunningClient for LegacyRunningClient<W> {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport) as Arc<dyn Transport>
    }

    /// The tunnel server is there, and takes the credential.
    async fn connected(&self) -> Result<(), Failure> {
        self.auth.signature_token(&self.account.client_id, &self.account.token).await?;
        self.transport.probe().await
    }

    fn close(&self) {
        self.transport.closed.store(true, Relaxed);
        self.machine.crash();
    }

    async fn kill(self) {
        self.machine.crash();
    }
}

impl Open {
    fn check(&self) -> Result<(), Failure> {
        if self.closed.load(Relaxed) {
            return Err(Failure::new(FailureKind::ShuttingDown, "the client is closed"));
        }
        Ok(())
    }
}

#[async_trait]
impl Transport for Open {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        match self.check() {
            Ok(()) => self.client.send(request).await,
            Err(closed) => Err(SendError::undelivered(closed, request)),
        }
    }

    async fn open_ws(&self, open: WsOpen) -> Result<WsUpgrade, Failure> {
        self.check()?;
        self.client.open_ws(open).await
    }

    fn health(&self) -> Health {
        self.check().map_or_else(Health::Down, |()| self.client.health())
    }

    fn can_carry(&self, request: &Request) -> Result<(), Failure> {
        self.client.can_carry(request)
    }

    fn can_carry_ws(&self, open: &WsOpen) -> Result<(), Failure> {
        self.client.can_carry_ws(open)
    }

    fn body_bytes_max(&self) -> Option<usize> {
        self.client.body_bytes_max()
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.check()?;
        self.client.probe().await
    }
}

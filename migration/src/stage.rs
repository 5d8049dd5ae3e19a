//! A home with a service, a tunnel server, and a client that has both ways to it. Everything is real, and on loopback.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use async_trait::async_trait;
use compat_tests::demo_service;
use p2p_provider::{
    P2PProvider, SecretKey,
    iroh::{IrohConfig, IrohP2P},
};
use switchy_async::util::CancellationToken;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tunnel_core::{Body, Failure, Request, Response, Transport};
use tunnel_legacy::{
    AuthClient, LegacyClient, LegacyConfig, TunnelUrl,
    server::{Clock, MemoryStorage, TunnelServer, TunnelServerConfig},
};
use tunnel_p2p::{
    Client, ClientConfig, HostConfig, Ticket, TicketSecret,
    transports::{TransportsConfig, TransportsError},
};
use tunnel_router::{Router, RouterConfig};

use crate::{Account, after};

/// The name of the home server.
pub const CLIENT_ID: &str = "home";

/// With which home servers register.
const ACCESS_TOKEN: &str = "devtoken";

/// Any time at which no token has expired.
const NOW: u64 = 1_767_225_600;

/// Nothing takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_mins(1);

/// The service and the tunnel server; dropping it ends both.
pub struct Stage {
    /// The port of the service.
    pub service_port: u16,
    /// The tunnel server.
    pub tunnel: TunnelUrl,
    account: Account,
    signature: String,
    _running: JoinSet<()>,
}

impl Stage {
    /// Starts both, and makes an account for the home server.
    pub async fn start() -> anyhow::Result<Self> {
        let mut running = JoinSet::new();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let service_port = listener.local_addr()?.port();
        running.spawn(async move {
            if let Err(error) = demo_service::serve(listener).await {
                tracing::error!("the service has ended: {error}");
            }
        });
        let config = TunnelServerConfig::new(ACCESS_TOKEN, Clock::starting_at(NOW))
            .with_listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let server = TunnelServer::bind(config, Arc::new(MemoryStorage::new())).await?;
        let tunnel: TunnelUrl = format!("http://{}", server.local_addr()).parse()?;
        running.spawn(server.run(tokio_util::sync::CancellationToken::new()));
        let auth = AuthClient::new(tunnel.clone())?;
        let token = auth.register(CLIENT_ID, ACCESS_TOKEN).await?;
        let signature = auth.signature_token(CLIENT_ID, &token).await?;
        let account = (CLIENT_ID.to_owned(), token);
        Ok(Self { service_port, tunnel, account, signature, _running: running })
    }

    /// What `WS_HOST` is for the home server.
    #[must_use]
    pub fn ws_host(&self) -> String {
        format!("{}/ws", self.tunnel).replacen("http", "ws", 1)
    }

    /// The account of the home server.
    #[must_use]
    pub fn account(&self) -> Account {
        self.account.clone()
    }

    /// Both transports of the home server.
    pub fn config(&self, peer: after::Peer) -> Result<TransportsConfig, TransportsError> {
        after::config(&self.ws_host(), self.account(), peer)
    }

    /// Starts the home server.
    pub fn home(&self, config: TransportsConfig) -> anyhow::Result<after::Tunnel> {
        Ok(after::setup_tunnel(config, config_db()?, self.service_port, NoWebsockets, CancellationToken::new())?)
    }

    /// The way through the tunnel server, as a client has it.
    pub fn through_the_tunnel(&self) -> anyhow::Result<Arc<dyn Transport>> {
        let mut config = LegacyConfig::new(self.tunnel.clone());
        config.client_id = Some(CLIENT_ID.to_owned());
        config.token = Some(self.account.1.clone());
        config.signature = Some(self.signature.clone());
        Ok(Arc::new(LegacyClient::new(config)?))
    }

    /// A client with the way through the tunnel server, and the peer-to-peer way if it has a ticket.
    pub async fn client(&self, ticket: Option<Ticket>) -> anyhow::Result<HomeClient> {
        let legacy = self.through_the_tunnel()?;
        let p2p = match ticket {
            Some(ticket) => {
                let peer = IrohP2P::bind(IrohConfig::loopback(SecretKey::generate())).await?;
                let mut config = ClientConfig::default();
                config.retry_max = Duration::from_millis(500);
                Some((peer.clone(), Client::start(peer, ticket, config)))
            }
            None => None,
        };
        let transport = p2p.as_ref().map(|(_, client)| Arc::new(client.clone()) as Arc<dyn Transport>);
        let config = RouterConfig { client_id: Some(CLIENT_ID.to_owned()), ..RouterConfig::default() };
        Ok(HomeClient { router: Router::start(transport, Some(legacy), config)?, p2p })
    }
}

/// Who the home server is to its peers, on a port of loopback that stays the same however often it is opened.
pub fn peer() -> anyhow::Result<after::Peer> {
    // Free a moment ago, and in nobody's range of random ports but ours.
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut peer = IrohConfig::loopback(SecretKey::generate());
    peer.bind = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
    let mut host = HostConfig::new(TicketSecret::generate());
    host.client_id = Some(CLIENT_ID.to_owned());
    Ok((peer, host))
}

/// A client that prefers peer to peer.
pub struct HomeClient {
    router: Router,
    p2p: Option<(IrohP2P, Client<IrohP2P>)>,
}

impl HomeClient {
    /// Sends a request and waits for the head of its response.
    pub async fn send(&self, parts: http::request::Parts, body: Body) -> Result<Response, Failure> {
        self.router.send(Request::http(1, parts, body)).await.map_err(|error| error.failure().clone())
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> anyhow::Result<Response> {
        let (parts, ()) = http::Request::get(path).body(())?.into_parts();
        Ok(self.send(parts, Body::empty()).await?)
    }

    /// The router, as its operator sees it.
    #[must_use]
    pub const fn router(&self) -> &Router {
        &self.router
    }

    /// Waits until the peer-to-peer way is open.
    pub async fn p2p_connected(&self) -> anyhow::Result<()> {
        let (_, client) = self.p2p.as_ref().context("this client has no ticket")?;
        let connected = async {
            while client.connected().await.is_err() {
                client.health_changed().await;
            }
            // The router wants good probes, too, if it has seen p2p fail.
            while !matches!(self.router.health(), tunnel_core::Health::Healthy { path, .. } if path.name() != "server")
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, connected).await.context("no peer-to-peer connection")
    }

    /// Says good-bye.
    pub async fn close(self) {
        if let Some((peer, client)) = self.p2p {
            client.close();
            peer.close().await;
        }
    }
}

/// The server's own WebSockets: there are none.
#[derive(Clone, Copy, Debug)]
pub struct NoWebsockets;

macro_rules! no_websockets {
    ($trait:path, $error:path) => {
        #[async_trait]
        impl $trait for NoWebsockets {
            async fn send(&self, _connection_id: &str, _data: &str) -> Result<(), $error> {
                Ok(())
            }

            async fn send_all(&self, _data: &str) -> Result<(), $error> {
                Ok(())
            }

            async fn send_all_except(&self, _connection_id: &str, _data: &str) -> Result<(), $error> {
                Ok(())
            }

            async fn ping(&self) -> Result<(), $error> {
                Ok(())
            }
        }
    };
}

#[cfg(not(feature = "moosicbox-ws"))]
no_websockets!(tunnel_p2p::sender::WebsocketSender, tunnel_p2p::sender::WebsocketSendError);
#[cfg(feature = "moosicbox-ws")]
no_websockets!(moosicbox_ws::WebsocketSender, moosicbox_ws::WebsocketSendError);

#[cfg(not(feature = "moosicbox-ws"))]
#[expect(clippy::unnecessary_wraps, reason = "upstream's can fail")]
fn config_db() -> anyhow::Result<crate::ConfigDatabase> {
    Ok(())
}

#[cfg(feature = "moosicbox-ws")]
fn config_db() -> anyhow::Result<crate::ConfigDatabase> {
    anyhow::bail!("this stage has no database: build it without the feature moosicbox-ws")
}

//! The backends `facade` and `simulated_facade`: the same peers as [`p2p`](super::p2p), behind what upstream's programs use:
//! a sender with a message loop at home, a receiver away from it.

mod client;
mod host;
mod server;

use std::{future::Future, sync::Arc};

use tunnel_core::{Handler, Via};

pub use self::{
    client::FacadeClient,
    host::{DeadFacadeHost, FacadeHost},
};
use super::{
    Backend, ClientSettings, HostSettings, Run,
    differences::{self, Way},
    world::World,
};

/// Names the kind of failure in the response that the server makes of it: of the packets' own there is no form for one.
const REASON: &str = "x-tunnel-reason";

/// A home server and a tunnel server that were written for upstream's crates, with peers between them.
///
/// Everything goes as a `TunnelRequest` one way, and as packets or a `TunnelWsResponse` the other. The cases in the
/// [table of differences](super::differences) must fail as it says; all others pass.
#[derive(Clone)]
pub struct FacadeBackend<W: World>(W);

impl<W: World> Backend for FacadeBackend<W> {
    type Host = FacadeHost<W::Peers>;
    type Client = FacadeClient<W::Peers>;

    fn via(&self) -> Via {
        self.0.peers().via()
    }

    async fn host(&self, handler: Arc<dyn Handler>, settings: HostSettings) -> FacadeHost<W::Peers> {
        FacadeHost::start(self.0.peers(), handler, settings).await
    }

    async fn revive(&self, dead: DeadFacadeHost, handler: Arc<dyn Handler>) -> FacadeHost<W::Peers> {
        FacadeHost::revive(self.0.peers(), dead, handler).await
    }

    async fn client(&self, host: &FacadeHost<W::Peers>, settings: ClientSettings) -> FacadeClient<W::Peers> {
        FacadeClient::start(self.0.peers(), host, settings).await
    }
}

impl<W: World> Run for FacadeBackend<W> {
    fn run<F, Fut>(name: &str, case: F)
    where
        F: Fn(Self) -> Fut,
        Fut: Future<Output = ()>,
    {
        W::run(name, |world| differences::run(Way::Facade, name, case(Self(world))));
    }
}

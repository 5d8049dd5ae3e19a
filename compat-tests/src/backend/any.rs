//! Any backend, as one type: cases are compiled once, not once for each backend.

use std::{any::Any, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use tunnel_core::{Failure, Handler, Transport, Via};

use super::{Backend, ClientSettings, HostSettings, RunningClient, RunningHost};

/// One of the backends. Clones share it.
#[derive(Clone)]
pub struct AnyBackend(Arc<dyn Erased>);

/// A host of an [`AnyBackend`].
pub struct AnyHost(Box<dyn ErasedHost>);

/// What is left of an [`AnyHost`].
pub struct AnyDead(Box<dyn Any + Send>);

/// A client of an [`AnyBackend`].
pub struct AnyClient(Box<dyn ErasedClient>);

impl AnyBackend {
    /// This one.
    pub fn new(backend: impl Backend) -> Self {
        Self(Arc::new(backend))
    }
}

impl Backend for AnyBackend {
    type Host = AnyHost;
    type Client = AnyClient;

    fn via(&self) -> Via {
        self.0.via()
    }

    async fn host(&self, handler: Arc<dyn Handler>, settings: HostSettings) -> AnyHost {
        self.0.host(handler, settings).await
    }

    async fn revive(&self, dead: AnyDead, handler: Arc<dyn Handler>) -> AnyHost {
        self.0.revive(dead, handler).await
    }

    async fn client(&self, host: &AnyHost, settings: ClientSettings) -> AnyClient {
        self.0.client(host, settings).await
    }
}

impl RunningHost for AnyHost {
    type Dead = AnyDead;

    async fn drain(self, grace: Duration) -> (bool, AnyDead) {
        self.0.drain(grace).await
    }

    async fn stop(self) -> AnyDead {
        self.0.stop().await
    }

    async fn kill(self) -> AnyDead {
        self.0.kill().await
    }
}

impl RunningClient for AnyClient {
    fn transport(&self) -> Arc<dyn Transport> {
        self.0.transport()
    }

    async fn connected(&self) -> Result<(), Failure> {
        self.0.connected().await
    }

    fn close(&self) {
        self.0.close();
    }

    async fn kill(self) {
        self.0.kill().await;
    }
}

trait Erased: Send + Sync {
    fn via(&self) -> Via;
    fn host(&self, handler: Arc<dyn Handler>, settings: HostSettings) -> BoxFuture<'_, AnyHost>;
    fn revive(&self, dead: AnyDead, handler: Arc<dyn Handler>) -> BoxFuture<'_, AnyHost>;
    fn client<'a>(&'a self, host: &'a AnyHost, settings: ClientSettings) -> BoxFuture<'a, AnyClient>;
}

impl<B: Backend> Erased for B {
    fn via(&self) -> Via {
        Backend::via(self)
    }

    fn host(&self, handler: Arc<dyn Handler>, settings: HostSettings) -> BoxFuture<'_, AnyHost> {
        Backend::host(self, handler, settings).map(any_host).boxed()
    }

    fn revive(&self, dead: AnyDead, handler: Arc<dyn Handler>) -> BoxFuture<'_, AnyHost> {
        let dead = dead.0.downcast().expect("it died in this backend");
        Backend::revive(self, *dead, handler).map(any_host).boxed()
    }

    fn client<'a>(&'a self, host: &'a AnyHost, settings: ClientSettings) -> BoxFuture<'a, AnyClient> {
        let host = host.0.as_any().downcast_ref().expect("it runs in this backend");
        Backend::client(self, host, settings).map(|client| AnyClient(Box::new(client))).boxed()
    }
}

fn any_host<H: RunningHost>(host: H) -> AnyHost {
    AnyHost(Box::new(host))
}

trait ErasedHost: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn drain(self: Box<Self>, grace: Duration) -> BoxFuture<'static, (bool, AnyDead)>;
    fn stop(self: Box<Self>) -> BoxFuture<'static, AnyDead>;
    fn kill(self: Box<Self>) -> BoxFuture<'static, AnyDead>;
}

impl<H: RunningHost> ErasedHost for H {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn drain(self: Box<Self>, grace: Duration) -> BoxFuture<'static, (bool, AnyDead)> {
        RunningHost::drain(*self, grace).map(|(ended, dead)| (ended, AnyDead(Box::new(dead)))).boxed()
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, AnyDead> {
        RunningHost::stop(*self).map(|dead| AnyDead(Box::new(dead))).boxed()
    }

    fn kill(self: Box<Self>) -> BoxFuture<'static, AnyDead> {
        RunningHost::kill(*self).map(|dead| AnyDead(Box::new(dead))).boxed()
    }
}

trait ErasedClient: Send + Sync {
    fn transport(&self) -> Arc<dyn Transport>;
    fn connected(&self) -> BoxFuture<'_, Result<(), Failure>>;
    fn close(&self);
    fn kill(self: Box<Self>) -> BoxFuture<'static, ()>;
}

impl<C: RunningClient> ErasedClient for C {
    fn transport(&self) -> Arc<dyn Transport> {
        RunningClient::transport(self)
    }

    fn connected(&self) -> BoxFuture<'_, Result<(), Failure>> {
        RunningClient::connected(self).boxed()
    }

    fn close(&self) {
        RunningClient::close(self);
    }

    fn kill(self: Box<Self>) -> BoxFuture<'static, ()> {
        RunningClient::kill(*self).boxed()
    }
}

//! The router over two scripted transports, in virtual time.

mod cuts;
mod failover;
mod fake;
mod fallback;
mod file;
mod hedging;
mod life;
mod properties;
mod shadow;
mod table;
mod websocket;

use tunnel_core::{Request, Transport};
use tunnel_router::{Router, RouterConfig};

use self::fake::{Fake, Got};

/// A router over two fakes that work, once it has looked at them.
async fn pair(config: RouterConfig) -> (Fake, Fake, Router) {
    let (p2p, legacy) = (Fake::p2p(), Fake::legacy());
    let router = over(&p2p, &legacy, config).await;
    (p2p, legacy, router)
}

async fn over(p2p: &Fake, legacy: &Fake, config: RouterConfig) -> Router {
    let router = Router::start(Some(p2p.arc()), Some(legacy.arc()), config).expect("the settings are right");
    tokio::task::yield_now().await;
    router
}

async fn ask(router: &Router, request: Request) -> Got {
    fake::read(router.send(request).await.expect("an answer")).await
}

//! A server as it was written for upstream's sender.

use migration::{
    before::setup_tunnel,
    stage::{NoWebsockets, Stage},
};
use switchy_async::util::CancellationToken;
use tokio::time::timeout;

use crate::load::{PATIENCE, request};

#[cfg(not(feature = "moosicbox-ws"))]
#[tokio::test]
async fn a_server_written_for_upstream_answers_through_the_tunnel_with_only_its_imports_changed() {
    for by_token in [false, true] {
        let stage = Stage::start().await.unwrap();
        let shutdown = CancellationToken::new();
        let (host, running, handle) =
            setup_tunnel(&stage.ws_host(), stage.account(), (), stage.service_port, NoWebsockets, shutdown.clone());
        assert_eq!(host, stage.tunnel.to_string());
        let client = stage.client(None).await.unwrap();
        let connected = async {
            // Until then the tunnel server says that nobody is there.
            while client.get("/about").await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, connected).await.unwrap();
        for number in 0..20 {
            assert_eq!(request(&client, number).await.unwrap(), "legacy", "request {number}");
        }
        if by_token {
            shutdown.cancel();
        } else {
            handle.close();
        }
        timeout(PATIENCE, running).await.unwrap().unwrap();
    }
}

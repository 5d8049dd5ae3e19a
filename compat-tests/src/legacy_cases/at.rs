//! Clients of a tunnel server that may be any, and hosts of one.

use std::net::SocketAddr;

use crate::{
    backend::{
        ClientSettings,
        legacy::{Account, LegacyRunningClient},
        world::World,
    },
    script::{Answer, Head, ScriptedServer},
};

/// Tokens that a scripted server does not look at.
pub(super) fn account() -> Account {
    Account { client_id: "home".to_owned(), token: "token".to_owned(), signature: "signature".to_owned() }
}

/// A client of the server at this address.
pub(super) fn client<W: World>(world: &W, server: SocketAddr, settings: ClientSettings) -> LegacyRunningClient<W> {
    LegacyRunningClient::start(world, server, &account(), settings)
}

/// A server that gives every request the same answer.
pub(super) async fn server<W: World>(
    world: &W,
    answer: impl Fn() -> Answer<W> + Send + Sync + 'static,
) -> ScriptedServer<W> {
    ScriptedServer::start(world, move |_, _: &Head| answer()).await
}

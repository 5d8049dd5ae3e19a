//! The way through a tunnel server.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tunnel_core::{Failure, FailureKind, Handler};
use tunnel_legacy::{LegacyHost, LegacyHostConfig, LegacyHostState, TunnelUrl};

use super::{
    TransportsError,
    way::{OpenWay, Way, WayState},
};

/// The path of the WebSocket at a tunnel server.
const WS_PATH: &str = "/ws";

pub(super) struct LegacyWay(LegacyHostConfig);

impl LegacyWay {
    pub(super) const fn new(config: LegacyHostConfig) -> Self {
        Self(config)
    }
}

#[async_trait]
impl Way for LegacyWay {
    async fn open(&self, handler: Arc<dyn Handler>) -> Result<Box<dyn OpenWay>, Failure> {
        let host = LegacyHost::start(self.0.clone(), handler)
            .map_err(|error| Failure::new(FailureKind::BadRequest, error.to_string()))?;
        Ok(Box::new(OpenLegacy(host)))
    }

    async fn release(&self) {}
}

struct OpenLegacy(LegacyHost);

#[async_trait]
impl OpenWay for OpenLegacy {
    fn state(&self) -> WayState {
        state(self.0.state())
    }

    async fn changed_from(&self, seen: &WayState) {
        let mut now = self.0.state();
        while state(now.clone()) == *seen {
            now = self.0.changed_from(&now).await;
        }
    }

    async fn drain(self: Box<Self>, grace: Duration) -> bool {
        self.0.drain(grace).await
    }
}

fn state(state: LegacyHostState) -> WayState {
    match state {
        LegacyHostState::Connected { .. } => WayState::Open,
        LegacyHostState::Reconnecting(failure) => WayState::Down(failure),
        _ => WayState::Opening,
    }
}

/// Upstream's arguments. Upstream's senders give the token with its scheme, where they work at all.
pub(super) fn upstream(
    host: &str,
    url: &str,
    client_id: &str,
    access_token: &str,
) -> Result<LegacyHostConfig, TransportsError> {
    let unusable = |what: &str, text: &str, error: &dyn std::fmt::Display| {
        TransportsError::Tunnel(format!("{what} {text:?} is not usable: {error}"))
    };
    let server: TunnelUrl = host.parse().map_err(|error| unusable("host", host, &error))?;
    let socket = url.trim_end_matches('/');
    let socket: TunnelUrl =
        socket.strip_suffix(WS_PATH).unwrap_or(socket).parse().map_err(|error| unusable("url", url, &error))?;
    if socket != server {
        return Err(unusable("url", url, &format!("the WebSocket has to be at {WS_PATH} of {server}")));
    }
    let bearer = access_token.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer "));
    let access_token = bearer.map_or(access_token, |(_, token)| token);
    Ok(LegacyHostConfig::new(server, client_id, access_token))
}

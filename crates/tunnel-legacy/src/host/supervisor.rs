//! Keeps the host connected: one loop, one state.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode, header};
use tokio::time::{Instant, sleep};
use tunnel_core::{Failure, FailureKind, WsUpgrade};
use tunnel_http::fields;

use super::{
    LegacyHostState, Shared,
    connection::{Connection, End},
};
use crate::{
    credentials,
    message::{EXTENSIONS_HEADER, FLOW_EXTENSION},
};

/// A connection that lasted for so long was good: what follows it begins anew.
const STABLE: Duration = Duration::from_secs(10);
/// The pause after another host with the same client id has taken over: two that took turns would serve nobody.
const SUPERSEDED_PAUSE: Duration = Duration::from_mins(5);

pub(super) struct Supervisor {
    shared: Arc<Shared>,
    random: fastrand::Rng,
    signature: Option<Signature>,
}

/// A signature token.
struct Signature {
    token: String,
    since: Instant,
}

impl Supervisor {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let random = shared.config.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let given = shared.config.signature_token.clone();
        let signature = given.map(|token| Signature { token, since: Instant::now() });
        Self { shared, random, signature }
    }

    /// Runs until the host is drained.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut pause = shared.config.retry_min;
        loop {
            let attempt = tokio::select! {
                biased;
                () = shared.drain.cancelled() => return,
                attempt = self.connect() => attempt,
            };
            let (failure, lasted) = match attempt {
                Ok(connection) => {
                    let since = Instant::now();
                    let extended = connection.is_extended();
                    tracing::info!(url = %shared.config.url, extended, "connected to the tunnel server");
                    shared.standing.set(LegacyHostState::Connected { since, extended });
                    match connection.run(&shared).await {
                        End::Drained => return,
                        End::Superseded(failure) => {
                            pause = SUPERSEDED_PAUSE;
                            (failure, Duration::ZERO)
                        }
                        End::Lost(failure) => (failure, since.elapsed()),
                    }
                }
                Err(failure) => (failure, Duration::ZERO),
            };
            tracing::warn!(url = %shared.config.url, "not connected to the tunnel server: {failure}");
            shared.standing.set(LegacyHostState::Reconnecting(failure));
            if lasted >= STABLE {
                pause = shared.config.retry_min;
                continue;
            }
            tokio::select! {
                biased;
                () = shared.drain.cancelled() => return,
                () = sleep(pause.mul_f64(0.5 + self.random.f64())) => {}
            }
            pause = (pause * 2).min(shared.config.retry_max);
        }
    }

    /// Connects, with a new signature token if the old one is refused. Dropping the future abandons the attempt.
    async fn connect(&mut self) -> Result<Connection, Failure> {
        let age_max = self.shared.config.signature_age_max;
        if let Some(kept) = self.signature.take_if(|kept| kept.since.elapsed() >= age_max) {
            tracing::debug!(age = ?kept.since.elapsed(), "the signature token is near its end");
        }
        if let Some(kept) = &self.signature {
            if let Some(connection) = self.open(&kept.token).await? {
                return Ok(connection);
            }
            self.signature = None;
            tracing::info!("the tunnel server no longer takes the signature token; a new one is fetched");
        }
        let config = &self.shared.config;
        let token =
            credentials::signature_token(&self.shared.http, &config.url, &config.client_id, &config.access_token)
                .await?;
        let connection = self.open(&token).await?;
        // Kept even if refused: then another one would be, too.
        self.signature = connection.is_some().then(|| Signature { token, since: Instant::now() });
        connection.ok_or_else(|| {
            let config = &self.shared.config;
            let message = format!(
                "the tunnel server at {} refuses a signature token that it has just made for client id {:?} (401)",
                config.url, config.client_id
            );
            Failure::new(FailureKind::Unauthorized, message)
        })
    }

    /// Opens the WebSocket; `None` if the signature token is refused.
    async fn open(&self, signature: &str) -> Result<Option<Connection>, Failure> {
        let Shared { config, http, .. } = &*self.shared;
        let (client_id, signature) = (credentials::escaped(&config.client_id), credentials::escaped(signature));
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.uri = config
            .url
            .target(&format!("/ws?clientId={client_id}&sender=true&signature={signature}"))
            .ok_or_else(|| Failure::new(FailureKind::BadRequest, "the address of the tunnel server is too long"))?;
        parts.headers.insert(header::HOST, config.url.authority());
        if config.extensions {
            parts.headers.insert(EXTENSIONS_HEADER, HeaderValue::from_static(FLOW_EXTENSION));
        }
        match http.open_ws(parts).await.map_err(|error| error.into_parts().0)? {
            WsUpgrade::Accepted { headers, session, .. } => {
                let extended = config.extensions && fields::has_token(&headers, &EXTENSIONS_HEADER, FLOW_EXTENSION);
                Ok(Some(Connection::new(session, extended)))
            }
            WsUpgrade::Rejected(response) if response.status == StatusCode::UNAUTHORIZED => Ok(None),
            WsUpgrade::Rejected(response) => {
                let (url, status) = (&config.url, response.status);
                let message = format!(
                    "{url} answers {status} instead of a WebSocket: is it a tunnel server, and the right path?"
                );
                Err(Failure::new(FailureKind::Unreachable, message))
            }
        }
    }
}

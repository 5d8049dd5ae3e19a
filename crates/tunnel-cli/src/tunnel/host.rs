//! The host's side of a tunnel server: it registers once, keeps its token, and stays connected.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::sleep;
use tunnel_core::{Failure, FailureKind, Handler};
use tunnel_legacy::{AuthClient, LegacyHost, LegacyHostConfig, LegacyHostState, TunnelUrl};

use super::{not_usable, parse, stripped::Stripped};
use crate::{
    config::{HostOptions, set},
    error::CliError,
    secret::secret,
    state::{StateDir, TunnelToken},
};

/// A tunnel server that is away comes back.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// How often the state of the connection is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// What the options say, checked.
pub(crate) struct TunnelHostSettings {
    config: LegacyHostConfig,
    token: Token,
    state: StateDir,
    /// With which the host registers.
    access_token: Option<String>,
}

/// Where the host's token is from.
enum Token {
    /// The operator has given it.
    Given(String),
    /// It is, or is to be, in the state directory.
    Kept(Option<String>),
}

impl TunnelHostSettings {
    /// Reads the token that is kept, if none is given. `None`: there is no tunnel server.
    pub(crate) fn new(options: &HostOptions, state: &StateDir) -> Result<Option<Self>, CliError> {
        let tunnel = &options.tunnel;
        let given = secret("tunnel token", tunnel.tunnel_token.as_ref(), tunnel.tunnel_token_file.as_deref())?;
        let access_token = secret(
            "tunnel access token",
            tunnel.tunnel_access_token.as_ref(),
            tunnel.tunnel_access_token_file.as_deref(),
        )?;
        let Some(url) = &tunnel.tunnel else {
            return if given.is_some() || access_token.is_some() {
                Err(CliError::usage("there is a token for a tunnel server, but no tunnel server")
                    .next("give its address: --tunnel URL"))
            } else {
                Ok(None)
            };
        };
        let url = parse(url)?;
        let client_id = options.client_id.as_deref().ok_or_else(|| {
            CliError::usage("a tunnel server wants to know whom it serves").next("choose a name: --client-id ID")
        })?;
        let token = match given {
            Some(token) => Token::Given(token),
            None => Token::Kept(state.tunnel_token(&url.to_string(), client_id)?),
        };
        let token_now = match &token {
            Token::Given(token) | Token::Kept(Some(token)) => token.clone(),
            Token::Kept(None) if access_token.is_none() => {
                return Err(CliError::usage(format!("this host has not registered at {url} as {client_id:?} yet"))
                    .next(
                        "give the tunnel server's access token for the first start: --tunnel-access-token-file FILE",
                    ));
            }
            // Stands for the one to come, so that the other options are checked now.
            Token::Kept(None) => "none".to_owned(),
        };
        let mut config = LegacyHostConfig::new(url, client_id, token_now);
        set(options.connect_timeout, &mut config.connect_timeout);
        if let Some(max_requests) = options.max_requests {
            config.max_requests = max_requests as usize;
        }
        Ok(Some(Self { config, token, state: state.clone(), access_token }))
    }
}

/// The connection to the tunnel server.
pub(crate) struct TunnelHost {
    settings: TunnelHostSettings,
    auth: AuthClient,
    handler: Arc<dyn Handler>,
    now: Mutex<Now>,
}

/// What there is now.
enum Now {
    /// No token yet: why, once it is known.
    Registering(Option<Failure>),
    Running(LegacyHost),
    Ended,
}

impl TunnelHost {
    /// Does nothing before [`run`](Self::run).
    pub(crate) fn new(settings: TunnelHostSettings, handler: Arc<dyn Handler>) -> Result<Self, CliError> {
        let auth = AuthClient::new(settings.config.url.clone()).map_err(not_usable)?;
        let handler = Arc::new(Stripped::new(handler, settings.config.client_id.clone()));
        Ok(Self { settings, auth, handler, now: Mutex::new(Now::Registering(None)) })
    }

    /// The tunnel server.
    pub(crate) const fn url(&self) -> &TunnelUrl {
        &self.settings.config.url
    }

    /// Registers if need be, connects, and stays connected; `tell` hears of every change. Never ends; dropping the future
    /// leaves a connection as it is.
    pub(crate) async fn run(&self, tell: impl Fn(Result<(), String>)) {
        let mut token = match &self.settings.token {
            Token::Given(token) | Token::Kept(Some(token)) => Some(token.clone()),
            Token::Kept(None) => None,
        };
        let mut told = None;
        let mut say = |state: Result<(), String>| {
            if told.as_ref() != Some(&state) {
                tell(state.clone());
                told = Some(state);
            }
        };
        loop {
            let token = match token.take() {
                Some(token) => token,
                None => self.register(&mut say).await,
            };
            match self.connect(token) {
                Ok(host) => self.begin(host),
                Err(message) => {
                    say(Err(message));
                    return std::future::pending().await;
                }
            }
            self.watch(&mut say).await;
            tracing::warn!("the tunnel server does not know this host's token any more: it registers again");
        }
    }

    /// Takes no new requests, lets those under way end within `grace`, then closes the connection. Whether all of them
    /// ended. Dropping the future cuts them.
    pub(crate) async fn drain(&self, grace: Duration) -> bool {
        let now = std::mem::replace(&mut *self.lock(), Now::Ended);
        match now {
            Now::Running(host) => host.drain(grace).await,
            Now::Registering(_) | Now::Ended => true,
        }
    }

    /// For the admin endpoint.
    pub(crate) fn describe(&self) -> Value {
        let health = match &*self.lock() {
            Now::Registering(None) => json!({ "state": "connecting" }),
            Now::Registering(Some(failure)) => json!({ "state": "down", "message": failure.message() }),
            Now::Running(host) => match host.state() {
                LegacyHostState::Connected { since, extended } => json!({
                    "state": "healthy",
                    "connected_seconds": since.elapsed().as_secs(),
                    "extended": extended,
                }),
                LegacyHostState::Reconnecting(failure) => json!({ "state": "down", "message": failure.message() }),
                _ => json!({ "state": "connecting" }),
            },
            Now::Ended => json!({ "state": "down", "message": "it is stopping" }),
        };
        json!({ "url": self.url().to_string(), "health": health })
    }

    /// A fresh token, which is kept. Tries until it works.
    async fn register(&self, say: &mut impl FnMut(Result<(), String>)) -> String {
        let LegacyHostConfig { client_id, .. } = &self.settings.config;
        let Some(access_token) = &self.settings.access_token else { return std::future::pending().await };
        loop {
            match self.auth.register(client_id, access_token).await {
                Ok(token) => {
                    let kept =
                        TunnelToken { url: self.url().to_string(), client_id: client_id.clone(), token: token.clone() };
                    if let Err(error) = self.settings.state.keep_tunnel_token(&kept) {
                        // It works until the end of the process.
                        tracing::error!(%error, "the tunnel token is not kept");
                    }
                    return token;
                }
                Err(failure) => {
                    say(Err(failure.message().to_owned()));
                    self.note(failure);
                }
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// Unless it is to end.
    fn begin(&self, host: LegacyHost) {
        let mut now = self.lock();
        if matches!(*now, Now::Registering(_)) {
            *now = Now::Running(host);
        }
    }

    /// Why there is no token yet.
    fn note(&self, failure: Failure) {
        let mut now = self.lock();
        if matches!(*now, Now::Registering(_)) {
            *now = Now::Registering(Some(failure));
        }
    }

    fn connect(&self, token: String) -> Result<LegacyHost, String> {
        let mut config = self.settings.config.clone();
        config.access_token = token;
        LegacyHost::start(config, Arc::clone(&self.handler)).map_err(|error| error.to_string())
    }

    /// Ends when the host has to register again and can.
    async fn watch(&self, say: &mut impl FnMut(Result<(), String>)) {
        let may_register = self.settings.access_token.is_some() && matches!(self.settings.token, Token::Kept(_));
        loop {
            let state = match &*self.lock() {
                Now::Running(host) => Some(host.state()),
                _ => None,
            };
            match state {
                Some(LegacyHostState::Connected { .. }) => say(Ok(())),
                Some(LegacyHostState::Reconnecting(failure)) => {
                    say(Err(failure.message().to_owned()));
                    if may_register && failure.kind() == FailureKind::Unauthorized {
                        *self.lock() = Now::Registering(Some(failure));
                        return;
                    }
                }
                Some(_) => {}
                None => return std::future::pending().await,
            }
            sleep(WATCH_INTERVAL).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

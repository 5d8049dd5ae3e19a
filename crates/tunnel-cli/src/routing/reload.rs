//! The routing options, read again while requests pass.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Switched, router_config};
use crate::{
    config::{ConfigFile, GatewayOptions, RoutingOptions, layered},
    error::CliError,
    output::Output,
};

/// How often the file is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Reads the file again, lays the flags of the start over it, and gives the result to the router.
pub(crate) struct Reloader {
    file: Option<PathBuf>,
    /// As they were given, without the file.
    flags: GatewayOptions,
    seed: u64,
    /// Of the start: the ways to the host keep theirs, too.
    client_id: Option<String>,
    switched: Switched,
    output: Output,
    state: Mutex<State>,
}

struct State {
    /// What holds now, of what can be changed.
    routing: RoutingOptions,
    /// What the process was started with, without it.
    rest: toml::Table,
    reloads: u64,
    last_error: Option<String>,
    needs_restart: Vec<String>,
}

/// What reading again has done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reloading {
    /// Whether anything is different now.
    pub(crate) changed: bool,
    /// Keys of the file whose new values hold only after a restart.
    pub(crate) needs_restart: Vec<String>,
}

/// How a file looks from outside.
type Looks = Option<(SystemTime, u64)>;

impl Reloader {
    /// For a gateway that was started with `options`, which are the flags and the file together.
    pub(crate) fn new(
        file: Option<PathBuf>,
        flags: GatewayOptions,
        options: &GatewayOptions,
        seed: u64,
        switched: Switched,
        output: Output,
    ) -> Result<Self, CliError> {
        let state = State {
            routing: options.routing.clone(),
            rest: rest(options)?,
            reloads: 0,
            last_error: None,
            needs_restart: Vec::new(),
        };
        let client_id = options.client_id.clone();
        Ok(Self { file, flags, seed, client_id, switched, output, state: Mutex::new(state) })
    }

    /// Reads the file now. On an error everything stays as it is. Requests under way notice nothing.
    pub(crate) fn reload(&self) -> Result<Reloading, CliError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.apply(&mut state) {
            Ok(reloading) => {
                state.reloads += 1;
                state.last_error = None;
                state.needs_restart.clone_from(&reloading.needs_restart);
                tracing::info!(changed = reloading.changed, "the configuration was read again");
                for key in &reloading.needs_restart {
                    tracing::warn!("`{key}` in [gateway] has changed, which needs a restart");
                }
                self.output.json(&json!({
                    "event": "reloaded",
                    "changed": reloading.changed,
                    "needs_restart": reloading.needs_restart,
                }));
                Ok(reloading)
            }
            Err(error) => {
                tracing::error!(%error, "the configuration was not taken: the old one holds");
                state.last_error = Some(error.to_string());
                self.output.json(&json!({ "event": "not-reloaded", "message": error.to_string() }));
                Err(error)
            }
        }
    }

    /// Reads the file whenever it has changed. Never ends; dropping the future stops watching.
    pub(crate) async fn watch(&self) {
        let Some(file) = &self.file else { return std::future::pending().await };
        let mut known = looks(file);
        loop {
            sleep(WATCH_INTERVAL).await;
            let now = looks(file);
            // Many editors put a new file in the place of the old one: a missing file is about to come back.
            if now.is_some() && now != known {
                known = now;
                // Whoever watches the log has been told.
                let _ = self.reload();
            }
        }
    }

    /// For the admin endpoint.
    pub(crate) fn describe(&self) -> Value {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "file": self.file,
            "reloads": state.reloads,
            "last_error": state.last_error,
            "needs_restart": state.needs_restart,
        })
    }

    fn apply(&self, state: &mut State) -> Result<Reloading, CliError> {
        let file = ConfigFile::load(self.file.as_deref())?;
        let options: GatewayOptions = layered(&file, "gateway", &self.flags)?;
        let config = router_config(&options.routing, self.client_id.as_deref(), self.seed)?;
        let needs_restart = changed_keys(&state.rest, &rest(&options)?);
        self.switched.router().reload(config).map_err(|error| {
            CliError::usage("the routing options in [gateway] do not fit").because(anyhow::Error::new(error))
        })?;
        self.switched.watch_file(options.routing.kill_switch_file.clone());
        let changed = options.routing != state.routing;
        state.routing = options.routing;
        Ok(Reloading { changed, needs_restart })
    }
}

/// The options that only a restart changes.
fn rest(options: &GatewayOptions) -> Result<toml::Table, CliError> {
    let rest = GatewayOptions { routing: RoutingOptions::default(), ..options.clone() };
    toml::Table::try_from(rest).map_err(|error| CliError::failed("the options cannot be compared").because(error))
}

fn changed_keys(before: &toml::Table, after: &toml::Table) -> Vec<String> {
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    keys.filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}

fn looks(file: &Path) -> Looks {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_restart_is_everything_but_the_routing() {
        let read = |text: &str| {
            let file = ConfigFile::parse("test.toml", &format!("[gateway]\n{text}")).unwrap();
            rest(&layered(&file, "gateway", &GatewayOptions::default()).unwrap()).unwrap()
        };
        let before = read("listen = '127.0.0.1:1'\nrollout = 5\ntunnel = 'http://a'\n");
        assert!(changed_keys(&before, &read("listen = '127.0.0.1:1'\nrollout = 6\ntunnel = 'http://a'\n")).is_empty());
        let after = read("listen = '127.0.0.1:2'\nclient-id = 'c'\n");
        assert_eq!(changed_keys(&before, &after), ["listen", "tunnel", "client-id"]);
    }
}

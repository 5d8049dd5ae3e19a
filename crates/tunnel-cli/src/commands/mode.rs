//! `tunnel-p2p mode`.

use serde_json::{Value, json};

use super::status::address;
use crate::{
    admin::{AdminAddress, ask, tell},
    cli::{ModeChoice, ModeOptions, Switch},
    config::ConfigFile,
    error::{CliError, Outcome},
    output::Output,
    runtime::block_on,
};

/// Shows the mode of a running gateway, or sets it.
pub(super) fn run(options: &ModeOptions, file: &ConfigFile, output: Output) -> Result<Outcome, CliError> {
    let address = address(options.admin, file)?;
    let (before, after) = block_on(turn(address, options))?;
    let changes = options.mode.is_some() || options.kill_switch.is_some();
    output.json(&json!({
        "event": "mode",
        "admin": address.to_string(),
        "changed": before != after,
        "before": before.json(),
        "after": after.json(),
    }));
    output.text(match changes {
        true if before == after => format!("{}, as before", after.words()),
        true => format!("{} → {}", before.words(), after.words()),
        false => after.words(),
    });
    for note in after.notes() {
        output.note(note);
    }
    if options.kill_switch == Some(Switch::Off)
        && let Some(file) = &after.file
    {
        return Err(CliError::failed(format!("the kill switch stays on, because {file} exists"))
            .next(format!("remove the file: rm {file}")));
    }
    Ok(Outcome::Done)
}

/// What held, and what holds then. Dropping the future may leave one of two changes made.
async fn turn(address: AdminAddress, options: &ModeOptions) -> Result<(State, State), CliError> {
    let before = look(address).await?;
    let kill_switch = async |switch| {
        let Some(switch) = switch else { return Ok(()) };
        tell(address, "/kill-switch", &json!({ "on": switch == Switch::On })).await.map(drop)
    };
    before.allow(options)?;
    // A switch goes on before the mode changes, and off after it: no request in between goes as neither of both wants.
    kill_switch(options.kill_switch.filter(|switch| *switch == Switch::On)).await?;
    if let Some(mode) = options.mode {
        tell(address, "/mode", &json!({ "mode": mode.name() })).await?;
    }
    kill_switch(options.kill_switch.filter(|switch| *switch == Switch::Off)).await?;
    let after = look(address).await?;
    Ok((before, after))
}

async fn look(address: AdminAddress) -> Result<State, CliError> {
    let status = ask(address, "/status").await.map_err(|error| {
        if error.is_start() {
            error.next(
                "start the gateway with an admin endpoint, `tunnel-p2p gateway --admin 127.0.0.1:8018 ..`, and give the \
                 same address here; without one, SIGUSR1 turns the kill switch of a gateway",
            )
        } else {
            error
        }
    })?;
    State::read(&status, address)
}

/// What decides over new requests, as far as an operator can set it.
#[derive(Debug, PartialEq, Eq)]
struct State {
    /// Of the configuration.
    configured: String,
    /// Set by an operator.
    set: Option<String>,
    kill_switch: bool,
    /// The file that keeps the switch on.
    file: Option<String>,
    p2p: bool,
    legacy: bool,
}

impl State {
    fn read(status: &Value, address: AdminAddress) -> Result<Self, CliError> {
        let router = &status["router"];
        match (status["role"].as_str(), router["mode"].as_str()) {
            (Some("gateway"), Some(mode)) => {
                let switch = &status["kill_switch"];
                let file = switch["file"].as_str().filter(|_| switch["file_exists"] == true);
                Ok(Self {
                    configured: mode.to_owned(),
                    set: router["forced"].as_str().map(str::to_owned),
                    kill_switch: switch["on"] == true,
                    file: file.map(str::to_owned),
                    p2p: !router["p2p"].is_null(),
                    legacy: !router["legacy"].is_null(),
                })
            }
            (Some("host"), _) => Err(CliError::failed(format!(
                "what is at {address} is a host, which has no mode: it answers on every way that it has"
            ))
            .next("give the admin endpoint of the gateway, which decides over the requests")),
            _ => Err(CliError::failed(format!("what is at {address} is not the admin endpoint of tunnel-p2p"))),
        }
    }

    /// Refuses what would have no effect, or would make every request fail.
    fn allow(&self, options: &ModeOptions) -> Result<(), CliError> {
        let to_legacy = options.mode == Some(ModeChoice::Legacy) || options.kill_switch == Some(Switch::On);
        if to_legacy && !self.legacy {
            return Err(CliError::failed("this gateway has no tunnel server to which requests could go")
                .next("start it with one: tunnel-p2p gateway --tunnel URL --client-id ID"));
        }
        if options.mode == Some(ModeChoice::P2pOnly) && !self.p2p {
            return Err(CliError::failed("this gateway has no peer-to-peer way: every request would fail")
                .next("start it with the ticket of the host: tunnel-p2p gateway --ticket-file FILE"));
        }
        Ok(())
    }

    /// What holds where no rule and no rollout says otherwise, and what it comes from.
    fn effective(&self) -> (&str, &'static str) {
        match &self.set {
            _ if self.kill_switch => ("legacy", "kill-switch"),
            Some(set) => (set, "override"),
            None => (&self.configured, "mode"),
        }
    }

    fn words(&self) -> String {
        let (mode, source) = self.effective();
        let source = match source {
            "kill-switch" => "the kill switch is on",
            "override" => "set by hand",
            _ => "as configured",
        };
        format!("{mode} ({source})")
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let (true, Some(set)) = (self.kill_switch, &self.set) {
            notes.push(format!("The kill switch is stronger; once it is off, {set} holds, which is set by hand."));
        }
        if self.set.is_some() {
            notes.push("`tunnel-p2p mode policy` takes back what is set by hand.".to_owned());
        }
        if !self.legacy || !self.p2p {
            let only = if self.legacy { "the tunnel server" } else { "the peer-to-peer way" };
            notes.push(format!("This gateway has only {only}: every request takes it."));
        }
        notes
    }

    fn json(&self) -> Value {
        let (mode, source) = self.effective();
        json!({
            "mode": mode,
            "source": source,
            "configured": self.configured,
            "override": self.set,
            "kill_switch": self.kill_switch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(kill_switch: bool, set: Option<&str>) -> State {
        let status = json!({
            "role": "gateway",
            "kill_switch": { "on": kill_switch, "file": "/run/no-p2p", "file_exists": false },
            "router": { "mode": "p2p-first", "forced": set, "p2p": {}, "legacy": null },
        });
        State::read(&status, "127.0.0.1:8018".parse().unwrap()).unwrap()
    }

    #[test]
    fn the_strongest_source_is_named() {
        assert_eq!(state(false, None).words(), "p2p-first (as configured)");
        assert_eq!(state(false, Some("p2p-only")).words(), "p2p-only (set by hand)");
        let both = state(true, Some("p2p-only"));
        assert_eq!(both.words(), "legacy (the kill switch is on)");
        assert!(both.notes()[0].contains("p2p-only holds"), "{:?}", both.notes());
    }

    #[test]
    fn what_would_have_no_effect_is_refused() {
        let options = |mode, kill_switch| ModeOptions { mode, kill_switch, admin: None };
        let state = state(false, None);
        for wrong in [options(Some(ModeChoice::Legacy), None), options(None, Some(Switch::On))] {
            assert!(state.allow(&wrong).unwrap_err().to_string().contains("--tunnel URL"));
        }
        for right in [options(Some(ModeChoice::P2pOnly), Some(Switch::Off)), options(Some(ModeChoice::Policy), None)] {
            assert!(state.allow(&right).is_ok());
        }
    }
}

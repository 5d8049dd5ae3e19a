//! `tunnel-p2p status`.

mod table;

use serde_json::{Value, json};

use crate::{
    admin::{AdminAddress, DEFAULT_ADDRESS, ask},
    cli::StatusOptions,
    config::{ConfigFile, GatewayOptions, layered},
    error::{CliError, Outcome},
    output::Output,
    runtime::block_on,
};

/// Asks the admin endpoint and prints what it says; the exit code says it in short.
pub(super) fn run(options: &StatusOptions, file: &ConfigFile, output: Output) -> Result<Outcome, CliError> {
    let address = address(options.admin, file)?;
    let (status, decisions) = block_on(async {
        let status = ask(address, "/status").await?;
        let decides = status["role"] != "host";
        let decisions = if options.decisions && decides { Some(ask(address, "/decisions").await?) } else { None };
        Ok((status, decisions))
    })?;
    let decisions = decisions.as_ref().map(|answer| &answer["decisions"]);
    let mut event = json!({ "event": "status", "admin": address.to_string() });
    for (key, value) in status.as_object().into_iter().flatten() {
        event[key] = value.clone();
    }
    if let Some(decisions) = decisions {
        event["decisions"] = decisions.clone();
    }
    output.json(&event);
    output.text(table::status(&status));
    if let Some(decisions) = decisions {
        output.text(table::decisions(decisions));
    } else if options.decisions {
        output.note("A host makes no decisions: it answers on every way that it has. Ask the gateway for them.");
    }
    outcome(&status, address)
}

/// The endpoint that the flags name, or the file, or the usual one.
pub(super) fn address(given: Option<AdminAddress>, file: &ConfigFile) -> Result<AdminAddress, CliError> {
    if let Some(address) = given {
        return Ok(address);
    }
    let gateway: GatewayOptions = layered(file, "gateway", &GatewayOptions::default())?;
    match gateway.admin {
        Some(address) => Ok(AdminAddress(address)),
        None => DEFAULT_ADDRESS.parse().map_err(CliError::failed),
    }
}

fn outcome(status: &Value, address: AdminAddress) -> Result<Outcome, CliError> {
    match (status["role"].as_str(), status["health"]["state"].as_str(), status["health"]["transport"].as_str()) {
        (Some("gateway"), Some("healthy"), Some("p2p")) | (Some("host"), Some("healthy"), _) => Ok(Outcome::Done),
        (Some("gateway"), Some("healthy"), _) | (Some("host"), Some("degraded"), _) => Ok(Outcome::Degraded),
        (Some("gateway" | "host"), Some(_), _) => Ok(Outcome::Down),
        _ => Err(CliError::failed(format!("what is at {address} is not the admin endpoint of tunnel-p2p"))),
    }
}

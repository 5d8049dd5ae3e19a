//! `tunnel-p2p explain`.

use std::{fmt::Write, sync::Arc};

use async_trait::async_trait;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tunnel_core::{Failure, FailureKind, Health, Request, Response, SendError, Transport, WsOpen, WsUpgrade};
use tunnel_router::{Question, Router};

use crate::{
    admin::ask,
    cli::ExplainOptions,
    config::{ConfigFile, GatewayOptions, RoutingOptions, layered},
    error::{CliError, Outcome},
    output::Output,
    routing::{Switched, router_config},
    runtime::block_on,
};

/// Asks a running gateway, or the configuration alone.
pub(super) fn run(options: &ExplainOptions, file: &ConfigFile, output: Output) -> Result<Outcome, CliError> {
    let explanation = match options.admin {
        Some(_) if options.routing != RoutingOptions::default() => {
            return Err(CliError::usage("--admin asks a running gateway, which has rules of its own")
                .next("leave out --admin, or the routing options (also from TUNNEL_P2P_GATEWAY_*)"));
        }
        Some(address) => block_on(ask(address, &target(options)))?,
        // The router wants a runtime to start its task on.
        None => block_on(async { from_configuration(options, file) })?,
    };
    let mut event = json!({ "event": "explanation", "live": options.admin.is_some() });
    for (key, value) in explanation.as_object().into_iter().flatten() {
        event[key] = value.clone();
    }
    output.json(&event);
    output.text(sentences(options, &explanation));
    Ok(Outcome::Done)
}

fn target(options: &ExplainOptions) -> String {
    let mut target = String::from("/explain?");
    let mut add =
        |key: &str, value: &str| _ = write!(target, "{key}={}&", utf8_percent_encode(value, NON_ALPHANUMERIC));
    add("path", &options.path);
    add("method", &options.method);
    if let Some(client_id) = &options.client_id {
        add("client_id", client_id);
    }
    target.truncate(target.len() - 1);
    target
}

/// What the router would decide with transports of which nothing is known.
fn from_configuration(options: &ExplainOptions, file: &ConfigFile) -> Result<Value, CliError> {
    let flags = GatewayOptions { routing: options.routing.clone(), ..GatewayOptions::default() };
    let gateway: GatewayOptions = layered(file, "gateway", &flags)?;
    let config = router_config(&gateway.routing, gateway.client_id.as_deref(), 0)?;
    let nobody = || Some(Arc::new(Nobody) as Arc<dyn Transport>);
    let router = Router::start(nobody(), nobody(), config)
        .map_err(|error| CliError::usage("the routing options do not fit").because(error))?;
    let switched = Switched::new(router, gateway.routing.kill_switch_file);
    let question = Question {
        client_id: options.client_id.clone(),
        method: options.method.parse().map_err(|_| CliError::usage(format!("{:?} is not a method", options.method)))?,
        target: (options.path.starts_with('/').then(|| options.path.parse().ok()).flatten())
            .ok_or_else(|| CliError::usage(format!("{:?} is not a path: it begins with /", options.path)))?,
    };
    let mut explanation = json!(switched.router().explain(&question));
    // These follow from health, of which nothing is known here.
    if let Some(explanation) = explanation.as_object_mut() {
        for key in ["p2p", "legacy_refuses", "transport", "reason"] {
            explanation.remove(key);
        }
    }
    Ok(explanation)
}

fn sentences(options: &ExplainOptions, explanation: &Value) -> String {
    let text = |key: &str| explanation[key].as_str().unwrap_or("nothing").to_owned();
    let client = match explanation["client_id"].as_str() {
        Some(id) => format!("client id {id:?}"),
        None => "no client id".to_owned(),
    };
    let why = match explanation["source"].as_str() {
        Some("kill-switch") => "the kill switch is on".to_owned(),
        Some("override") => "an operator has set it".to_owned(),
        Some("rule") => format!("rule {} matches", explanation["rule"].as_u64().map_or(0, |index| index + 1)),
        Some("rollout") => "this client id is outside the rollout".to_owned(),
        _ => "nothing stronger decides".to_owned(),
    };
    let rollout = if explanation["in_rollout"] == true { "inside" } else { "outside" };
    let mut lines = format!(
        "{} {} with {client}: mode {}, because {why}.\nBucket {} of 10000, {rollout} the rollout.",
        options.method,
        options.path,
        text("mode"),
        explanation["bucket"],
    );
    if options.admin.is_none() {
        lines.push_str("\nHealth is not known: ask a running gateway with --admin.");
    } else {
        _ = match explanation["transport"].as_str() {
            Some(transport) => write!(lines, "\nNow it would take {transport} ({}).", text("reason")),
            None => write!(lines, "\nNow there is no way that it may take."),
        };
        if !explanation["p2p"].is_null() {
            _ = write!(lines, " p2p is {}.", text("p2p"));
        }
        if !explanation["legacy_refuses"].is_null() {
            _ = write!(lines, "\nThe tunnel server cannot carry it: {}.", text("legacy_refuses"));
        }
    }
    lines
}

/// A transport of which nothing is known.
struct Nobody;

impl Nobody {
    fn failure() -> Failure {
        Failure::new(FailureKind::Unreachable, "nothing is sent to explain something")
    }
}

#[async_trait]
impl Transport for Nobody {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        Err(SendError::undelivered(Self::failure(), request))
    }

    async fn open_ws(&self, _: WsOpen) -> Result<WsUpgrade, Failure> {
        Err(Self::failure())
    }

    fn health(&self) -> Health {
        Health::Probing
    }

    async fn probe(&self) -> Result<(), Failure> {
        Err(Self::failure())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusual_path_and_client_id_reach_the_endpoint_whole() {
        let options = ExplainOptions {
            path: "/a b?c=d&e".to_owned(),
            client_id: Some("ä&x=".to_owned()),
            method: "GET".to_owned(),
            admin: None,
            routing: RoutingOptions::default(),
        };
        assert_eq!(target(&options), "/explain?path=%2Fa%20b%3Fc%3Dd%26e&method=GET&client_id=%C3%A4%26x%3D");
    }
}

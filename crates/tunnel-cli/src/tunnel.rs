//! The way through a tunnel server, as host and gateway set it up.

mod client;
mod host;
mod stripped;

use tunnel_core::convert::{LossClass, LossPolicy};
use tunnel_legacy::{LegacyConfig, LegacyError, TunnelUrl};

pub(crate) use self::{
    client::TunnelClient,
    host::{TunnelHost, TunnelHostSettings},
};
use crate::{
    config::{GatewayOptions, ModeOption, ProfileOption, set},
    error::CliError,
    secret::secret,
};

/// How the gateway reaches the tunnel server, if it has one.
pub(crate) fn client_config(options: &GatewayOptions) -> Result<Option<LegacyConfig>, CliError> {
    let tunnel = &options.tunnel;
    let Some(url) = &tunnel.tunnel else { return no_tunnel(options) };
    let mut config = LegacyConfig::new(parse(url)?);
    if options.client_id.is_none() && options.profile == Some(ProfileOption::Plain) {
        return Err(CliError::usage("a tunnel server wants to know whom to ask, and plain requests do not say it")
            .next("give the client id of the host: --client-id ID"));
    }
    config.client_id.clone_from(&options.client_id);
    config.token = secret("tunnel token", tunnel.tunnel_token.as_ref(), tunnel.tunnel_token_file.as_deref())?;
    config.signature =
        secret("tunnel signature", tunnel.tunnel_signature.as_ref(), tunnel.tunnel_signature_file.as_deref())?;
    if !tunnel.tunnel_allow_loss.is_empty() {
        let classes: Result<Vec<LossClass>, _> = tunnel.tunnel_allow_loss.iter().map(|class| class.parse()).collect();
        config.losses = LossPolicy::allowing(
            classes.map_err(|error| CliError::usage("`tunnel-allow-loss` cannot be used").because(error))?,
        );
    }
    set(options.connect_timeout, &mut config.connect_timeout);
    set(options.head_timeout, &mut config.head_timeout);
    set(options.body_idle_timeout, &mut config.body_idle_timeout);
    Ok(Some(config))
}

/// Options that would do nothing are more likely a forgotten one.
fn no_tunnel(options: &GatewayOptions) -> Result<Option<LegacyConfig>, CliError> {
    let tunnel = &options.tunnel;
    let routing = &options.routing;
    let given = [
        ("tunnel-token", tunnel.tunnel_token.is_some() || tunnel.tunnel_token_file.is_some()),
        ("tunnel-signature", tunnel.tunnel_signature.is_some() || tunnel.tunnel_signature_file.is_some()),
        ("tunnel-allow-loss", !tunnel.tunnel_allow_loss.is_empty()),
        ("kill-switch-file", routing.kill_switch_file.is_some()),
        ("rollout", routing.rollout.is_some()),
        ("shadow", routing.shadow.is_some()),
        ("mode", routing.mode == Some(ModeOption::Legacy)),
        ("rule", routing.rule.iter().any(|rule| rule.mode == ModeOption::Legacy)),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(CliError::usage(format!("`{name}` is about a tunnel server, and none is given"))
            .next("give its address: --tunnel URL")),
        None => Ok(None),
    }
}

/// The address of a tunnel server.
pub(crate) fn parse(url: &str) -> Result<TunnelUrl, CliError> {
    url.parse().map_err(|error: LegacyError| CliError::usage("--tunnel is not usable").because(error))
}

/// A tunnel server's client or host that cannot be set up.
pub(crate) fn not_usable(error: LegacyError) -> CliError {
    match error {
        LegacyError::Tls(_) => CliError::start("the way to the tunnel server cannot be encrypted").because(error),
        _ => CliError::usage("the options of the tunnel server do not fit").because(error),
    }
}

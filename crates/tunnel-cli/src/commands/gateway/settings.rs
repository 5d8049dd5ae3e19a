//! The settings of the HTTP side.

use tunnel_edge::GatewayConfig;

use crate::{
    config::{GatewayOptions, set},
    error::CliError,
    secret::secret,
};

pub(super) fn gateway_config(options: &GatewayOptions) -> Result<GatewayConfig, CliError> {
    let mut config = GatewayConfig::default();
    if let Some(listen) = options.listen {
        config.listen = listen;
    }
    config.profile = options.profile.unwrap_or_default().into();
    config.client_id.clone_from(&options.client_id);
    config.access_token = secret("access token", options.access_token.as_ref(), options.access_token_file.as_deref())?;
    config.allow_hosts.clone_from(&options.allow_host);
    config.allow_origins.clone_from(&options.allow_origin);
    config.tunnel_headers = !options.no_tunnel_headers.unwrap_or_default();
    set(options.drain_timeout, &mut config.drain_timeout);
    set(options.body_idle_timeout, &mut config.body_idle_timeout);
    Ok(config)
}

//! What decides over the requests of a gateway: the router, its settings, and who changes them while it runs.

mod kill_switch;
mod reload;

use tunnel_router::{Mode, RouterConfig, Rule};

pub(crate) use self::{kill_switch::Switched, reload::Reloader};
use crate::{
    config::{ModeOption, RoutingOptions, RuleOption},
    error::CliError,
};

/// The settings of the router.
pub(crate) fn router_config(
    options: &RoutingOptions,
    client_id: Option<&str>,
    seed: u64,
) -> Result<RouterConfig, CliError> {
    let mut config = RouterConfig::default();
    config.seed = seed;
    config.client_id = client_id.map(str::to_owned);
    config.mode = options.mode.unwrap_or_default().into();
    config.rules = options.rule.iter().map(rule).collect::<Result<_, _>>()?;
    config.hedge = !options.no_hedge.unwrap_or_default();
    if let Some(percent) = options.rollout {
        config.rollout_percent = percent;
    }
    if let Some(percent) = options.shadow {
        config.shadow_percent = percent;
    }
    Ok(config)
}

fn rule(option: &RuleOption) -> Result<Rule, CliError> {
    let refuse = |error: anyhow::Error| CliError::usage(format!("`rule`: {option} cannot be used")).because(error);
    let path = option.path.parse().map_err(|error| refuse(anyhow::Error::new(error)))?;
    let methods =
        option.methods.iter().map(|method| method.parse()).collect::<Result<_, http::method::InvalidMethod>>();
    Ok(Rule { path, methods: methods.map_err(|error| refuse(error.into()))?, mode: option.mode.into() })
}

impl From<ModeOption> for Mode {
    fn from(option: ModeOption) -> Self {
        match option {
            ModeOption::Legacy => Self::Legacy,
            ModeOption::P2pFirst => Self::P2pFirst,
            ModeOption::P2pOnly => Self::P2pOnly,
        }
    }
}

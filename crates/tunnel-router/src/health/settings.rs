//! The part of the configuration that the state machine reads.

use std::time::Duration;

use crate::RouterConfig;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) failures_max: u32,
    pub(crate) probe_timeout: Duration,
    pub(crate) interval_min: Duration,
    pub(crate) interval_max: Duration,
    pub(crate) probes_to_return: u32,
}

impl From<&RouterConfig> for Settings {
    fn from(config: &RouterConfig) -> Self {
        Self {
            failures_max: config.failures_max,
            probe_timeout: config.probe_timeout,
            interval_min: config.probe_interval_min,
            interval_max: config.probe_interval_max,
            probes_to_return: config.probes_to_return,
        }
    }
}

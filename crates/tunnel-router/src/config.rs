//! The settings of a router.

use std::time::Duration;

use http::HeaderName;

use crate::{
    Mode, Rule,
    health::{HOLD_MAX, RETURN_WITHIN},
};

/// The longest that a probe may take: five of them (one that still fails, and four good ones) and the longest hold-down
/// fit into the 60 s within which p2p is used again.
const PROBE_TIMEOUT_MAX: Duration = Duration::from_millis(2500);

/// The settings of a [`Router`](crate::Router). The default works.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// What holds for requests that no rule names, for clients in the rollout. Default: p2p first.
    pub mode: Mode,
    /// The share of clients to which `mode` applies; the others use legacy. 0 to 100, two decimals count. Default 100.
    pub rollout_percent: f64,
    /// Modes for some requests. The first that matches decides, whatever the rollout says.
    pub rules: Vec<Rule>,
    /// The client id of requests that name none.
    pub client_id: Option<String>,
    /// Whether safe requests also start over legacy if p2p is slow to answer. Default true.
    pub hedge: bool,
    /// Such a request starts no sooner than this. Default 100 ms.
    pub hedge_after_min: Duration,
    /// ... and no later than this. Default 1 s.
    pub hedge_after_max: Duration,
    /// Failures in a row that make p2p down. Default 3.
    pub failures_max: u32,
    /// From the last byte of a response that stalls to the first one over the other transport. Default 6.5 s: two lost
    /// heartbeats of 3 s, as in Tailscale's magicsock.
    pub stall_timeout: Duration,
    /// How long a probe of p2p may take. Default 2 s; at most 2.5 s and less than half of `stall_timeout`.
    pub probe_timeout: Duration,
    /// The first pause between probes of a transport that is down. Default 5 s.
    pub probe_interval_min: Duration,
    /// The pause doubles up to this. Default 60 s.
    pub probe_interval_max: Duration,
    /// Good probes in a row that bring p2p back. Default 2; 2 to 4.
    pub probes_to_return: u32,
    /// Whether a response that breaks off continues over the other transport, where that is provably the same content.
    /// Default true.
    pub failover: bool,
    /// Whether a response without a strong validator continues, too, if its length and type are the same. Default false: a
    /// file that was replaced by one of the same length would be spliced.
    pub splice_without_validator: bool,
    /// The share of safe requests that are repeated over the other transport, to compare. Default 0.
    pub shadow_percent: f64,
    /// Response bytes that comparing may read in a minute. Default 16 MiB.
    pub shadow_bytes_per_minute: u64,
    /// A longer response is not compared. Default 2 MiB.
    pub shadow_bytes_max: u64,
    /// Response headers that differ by nature, besides those that are always left out.
    pub shadow_ignore_headers: Vec<HeaderName>,
    /// Seed of jitter and sampling.
    pub seed: u64,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            mode: Mode::P2pFirst,
            rollout_percent: 100.0,
            rules: Vec::new(),
            client_id: None,
            hedge: true,
            hedge_after_min: Duration::from_millis(100),
            hedge_after_max: Duration::from_secs(1),
            failures_max: 3,
            stall_timeout: Duration::from_millis(6500),
            probe_timeout: Duration::from_secs(2),
            probe_interval_min: Duration::from_secs(5),
            probe_interval_max: Duration::from_mins(1),
            probes_to_return: 2,
            failover: true,
            splice_without_validator: false,
            shadow_percent: 0.0,
            shadow_bytes_per_minute: 16 << 20,
            shadow_bytes_max: 2 << 20,
            shadow_ignore_headers: Vec::new(),
            seed: 0,
        }
    }
}

/// Settings that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A router needs something to route to.
    #[error("there is neither a p2p nor a legacy transport: configure at least one")]
    NoTransport,
    /// Requests that may not pass through a server have no other way.
    #[error("{0} is p2p-only, but there is no p2p transport: configure one or use another mode")]
    NoP2p(String),
    /// A percentage is a number from 0 to 100.
    #[error("{field} is {value}: use a number from 0 to 100")]
    Percent {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// A setting is outside its range.
    #[error("{field} must be {range}")]
    Range {
        /// The setting.
        field: &'static str,
        /// What it may be.
        range: &'static str,
    },
}

impl RouterConfig {
    /// Checks the settings, and that the transports they need are there.
    pub(crate) fn check(&self, has_p2p: bool, has_legacy: bool) -> Result<(), ConfigError> {
        if !has_p2p && !has_legacy {
            return Err(ConfigError::NoTransport);
        }
        if !has_p2p && self.mode == Mode::P2pOnly {
            return Err(ConfigError::NoP2p("the mode".to_owned()));
        }
        if let (false, Some(rule)) = (has_p2p, self.rules.iter().find(|rule| rule.mode == Mode::P2pOnly)) {
            return Err(ConfigError::NoP2p(format!("the rule for {}", rule.path)));
        }
        for (field, value) in [("rollout_percent", self.rollout_percent), ("shadow_percent", self.shadow_percent)] {
            if !(0.0..=100.0).contains(&value) {
                return Err(ConfigError::Percent { field, value });
            }
        }
        let ranges = [
            (!self.hedge_after_min.is_zero(), "hedge_after_min", "more than 0"),
            (self.hedge_after_min <= self.hedge_after_max, "hedge_after_max", "at least hedge_after_min"),
            (self.failures_max >= 1, "failures_max", "at least 1"),
            (!self.probe_timeout.is_zero(), "probe_timeout", "more than 0"),
            (self.probe_timeout <= PROBE_TIMEOUT_MAX, "probe_timeout", "at most 2.5 s"),
            (self.stall_timeout > self.probe_timeout * 2, "stall_timeout", "more than twice the probe_timeout"),
            (self.probe_interval_min >= self.probe_timeout, "probe_interval_min", "at least the probe_timeout"),
            (self.probe_interval_min <= self.probe_interval_max, "probe_interval_max", "at least probe_interval_min"),
            ((2..=4).contains(&self.probes_to_return), "probes_to_return", "2, 3 or 4"),
        ];
        match ranges.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, range)) => Err(ConfigError::Range { field, range }),
            None => Ok(()),
        }
    }

    /// The rollout in hundredths of a percent.
    pub(crate) fn rollout(&self) -> u16 {
        basis_points(self.rollout_percent)
    }
}

/// A checked percentage in hundredths of a percent.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: from 0 to 10,000")]
pub(crate) fn basis_points(percent: f64) -> u16 {
    (percent * 100.0).round() as u16
}

const _: () = assert!(HOLD_MAX.as_millis() + 5 * PROBE_TIMEOUT_MAX.as_millis() < RETURN_WITHIN.as_millis());

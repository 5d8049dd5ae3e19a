//! Which transport a request may use: pure, and the same for the same request.
//!
//! The strongest wins: kill switch, operator's override, first matching rule, rollout percentage, configured mode.

mod client_id;
mod mode;
mod pattern;
mod rollout;

pub(crate) use client_id::{in_query, in_value};
pub use mode::{Mode, UnknownMode};
pub use pattern::{PathPattern, PatternError};
pub use rollout::{BUCKETS, bucket};

use http::Method;
use serde::Serialize;

/// A mode for some requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The paths it is for.
    pub path: PathPattern,
    /// The methods it is for; empty: all.
    pub methods: Vec<Method>,
    /// What holds for these requests.
    pub mode: Mode,
}

impl Rule {
    fn matches(&self, method: &Method, path: &str) -> bool {
        (self.methods.is_empty() || self.methods.contains(method)) && self.path.matches(path)
    }
}

/// What the operator has set.
#[derive(Clone, Debug)]
pub(crate) struct Policy<'a> {
    pub(crate) kill_switch: bool,
    pub(crate) forced: Option<Mode>,
    pub(crate) rules: &'a [Rule],
    /// Hundredths of a percent.
    pub(crate) rollout: u16,
    pub(crate) mode: Mode,
}

/// Where a mode comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Source {
    /// The kill switch is on.
    KillSwitch,
    /// The operator's override.
    Override,
    /// The first rule that matches.
    Rule,
    /// The client is outside the rollout.
    Rollout,
    /// The configured mode.
    Mode,
}

/// The mode of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) mode: Mode,
    pub(crate) source: Source,
    /// The index of the rule, if one decided.
    pub(crate) rule: Option<usize>,
}

impl Policy<'_> {
    /// The mode of a request. The client's bucket is computed only if it matters.
    pub(crate) fn choose(&self, method: &Method, path: &str, client_bucket: impl FnOnce() -> u16) -> Choice {
        let by = |mode, source| Choice { mode, source, rule: None };
        if self.kill_switch {
            return by(Mode::Legacy, Source::KillSwitch);
        }
        if let Some(mode) = self.forced {
            return by(mode, Source::Override);
        }
        if let Some(index) = self.rules.iter().position(|rule| rule.matches(method, path)) {
            return Choice { mode: self.rules[index].mode, source: Source::Rule, rule: Some(index) };
        }
        if self.rollout < BUCKETS && client_bucket() >= self.rollout {
            return by(Mode::Legacy, Source::Rollout);
        }
        by(self.mode, Source::Mode)
    }
}

#[cfg(test)]
mod tests;

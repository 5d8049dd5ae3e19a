//! What can be run: pairs of networks and scenarios.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::timeout;

use crate::{
    nat::{
        matrix,
        options::Options,
        scenarios::{self, Scenario},
        topology::Placement,
    },
    process::Product,
    record::Record,
};

/// How long a case may take before the lab gives it up. The longest takes a minute.
const CASE_TIMEOUT: Duration = Duration::from_mins(3);

/// Something to run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Case {
    Pair(Placement),
    Scenario(&'static Scenario),
}

impl Case {
    /// All that these options ask for, in their order.
    pub(crate) fn selected(options: &Options) -> Vec<Self> {
        let pairs = matrix::PAIRS.iter().copied().map(Self::Pair).filter(|_| !options.scenarios);
        let scenarios = scenarios::ALL.iter().map(Self::Scenario).filter(|_| !options.matrix);
        pairs.chain(scenarios).filter(|case| case.is_wanted(&options.only)).collect()
    }

    fn is_wanted(self, patterns: &[String]) -> bool {
        patterns.is_empty() || patterns.iter().any(|pattern| self.name().contains(pattern.as_str()))
    }

    /// Whether others beside it would spoil what it measures.
    pub(crate) const fn is_measured_alone(self) -> bool {
        matches!(self, Self::Pair(_))
    }

    /// In reports and on the command line.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Pair(placement) => placement.to_string(),
            Self::Scenario(scenario) => scenario.name.to_owned(),
        }
    }

    /// What must come of it.
    pub(crate) fn about(self) -> String {
        match self {
            Self::Pair(placement) => {
                let expected = matrix::expected(placement);
                format!("{}: {}", expected.path.name(), expected.why)
            }
            Self::Scenario(scenario) => scenario.about.to_owned(),
        }
    }

    /// Runs it once. What goes wrong with the lab itself counts as not held.
    pub(crate) async fn run(self, product: Product, bytes: u64) -> Record {
        let running = async {
            match self {
                Self::Pair(placement) => matrix::run(product, placement, bytes).await,
                Self::Scenario(scenario) => scenario.run(product).await,
            }
        };
        let result: Result<Record> = match timeout(CASE_TIMEOUT, running).await {
            Ok(result) => result,
            Err(_) => Err(anyhow!("it does not end within {CASE_TIMEOUT:?}")),
        };
        result.unwrap_or_else(|error| {
            let mut record = Record::default();
            record.fail(format!("{error:#}"));
            record
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    fn selected(arguments: &[&str]) -> Vec<String> {
        let command = Command::parse_from([&["nat-lab"], arguments].concat());
        Case::selected(&command.options).into_iter().map(Case::name).collect()
    }

    #[test]
    fn names_are_unique_and_selected_by_part() {
        let all = selected(&[]);
        let names: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(names.len(), all.len());
        assert_eq!(selected(&["--matrix"]).len(), matrix::PAIRS.len());
        assert_eq!(selected(&["--scenarios"]).len(), scenarios::ALL.len());
        assert_eq!(selected(&["--only", "lan-offline"]), ["lan-offline"]);
        assert_eq!(selected(&["--only", "public/public", "--only", "same-lan"]), ["public/public", "same-lan"]);
        assert_eq!(selected(&["--only", "nothing is called so"]), [""; 0]);
    }
}

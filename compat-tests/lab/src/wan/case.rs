//! What can be run: cells, each with every leg, and scenarios with every binary.

use super::{
    cell::Cell,
    cells,
    options::Options,
    scenarios::{self, Scenario},
};

/// Something to run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Case {
    Cell(Cell),
    Scenario(&'static Scenario),
}

impl Case {
    /// All that these options ask for, in their order.
    pub(crate) fn selected(options: &Options) -> Vec<Self> {
        let all: Vec<Self> = if options.scenarios {
            scenarios::ALL.iter().map(Self::Scenario).collect()
        } else {
            let cells = match (options.cell.is_empty(), options.matrix, options.quick) {
                (false, _, _) => options.cell.clone(),
                (true, true, _) => cells::matrix(),
                (true, false, true) => cells::quick(),
                (true, false, false) => cells::core(),
            };
            cells.into_iter().map(Self::Cell).collect()
        };
        all.into_iter().filter(|case| options.wants(&case.name())).collect()
    }

    /// In reports and on the command line.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Cell(cell) => cell.to_string(),
            Self::Scenario(scenario) => scenario.name.to_owned(),
        }
    }

    /// What must come of it.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Cell(_) => "what the summary says of all cells together",
            Self::Scenario(scenario) => scenario.about,
        }
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
        let command = Command::parse_from([&["wan-lab"], arguments].concat());
        Case::selected(&command.options).into_iter().map(Case::name).collect()
    }

    #[test]
    fn names_are_unique_and_selected_by_part() {
        let scenarios = selected(&["--scenarios"]);
        let names: std::collections::BTreeSet<_> = scenarios.iter().collect();
        assert_eq!((names.len(), scenarios.len()), (scenarios::ALL.len(), scenarios::ALL.len()));
        assert_eq!(selected(&[]), selected(&["--core"]));
        assert!(selected(&["--matrix"]).len() > selected(&["--core"]).len());
        assert_eq!(selected(&["--cell", "rtt=10"]), ["rtt=10,loss=0,rate=50,queue=1,dir=down"]);
        assert_eq!(selected(&["--scenarios", "--only", "satellite"]), ["satellite"]);
        assert_eq!(selected(&["--only", "satellite"]), [""; 0]);
        assert!(selected(&["--only", "dir=up"]).iter().all(|name| name.ends_with("dir=up")));
    }
}

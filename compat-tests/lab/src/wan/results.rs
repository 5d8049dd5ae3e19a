//! Runs that have been made: in memory, and in a file from which an interrupted matrix goes on.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use anyhow::{Context, Result};

use super::run::Run;
use crate::statistics::Spread;

/// All runs, in order.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) runs: Vec<Run>,
    file: Option<File>,
}

impl Results {
    /// With what the file has, if there is one.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let known = if path.exists() {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        } else {
            String::new()
        };
        let file = File::options().create(true).append(true).open(path);
        let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
        if !known.is_empty() && !known.ends_with('\n') {
            // The last line was being written when the lab was ended.
            writeln!(file)?;
        }
        Ok(Self { runs: known.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(), file: Some(file) })
    }

    /// A run that has already been made. With another seed it is another run.
    pub(crate) fn find(&self, cell: &str, leg: &str, number: u32, seed: u64) -> Option<&Run> {
        let same = |made: &&Run| (made.number, made.seed) == (number, seed) && made.cell == cell && made.leg == leg;
        self.runs.iter().find(same)
    }

    /// Keeps a run.
    pub(crate) fn add(&mut self, run: Run) -> Result<()> {
        if let Some(file) = &mut self.file {
            let line = serde_json::to_string(&run)?;
            writeln!(file, "{line}").and_then(|()| file.flush()).context("the results cannot be written")?;
        }
        self.runs.push(run);
        Ok(())
    }

    /// The cells that have been run, in order.
    pub(crate) fn cells(&self) -> Vec<&str> {
        distinct(self.runs.iter().map(|run| run.cell.as_str()))
    }

    /// The legs that have been run in a cell, in order.
    pub(crate) fn legs(&self, cell: &str) -> Vec<&str> {
        distinct(self.runs.iter().filter(|run| run.cell == cell).map(|run| run.leg.as_str()))
    }

    /// The runs of a leg in a cell.
    pub(crate) fn of(&self, cell: &str, leg: &str) -> Vec<&Run> {
        self.runs.iter().filter(|run| run.cell == cell && run.leg == leg).collect()
    }

    /// The middle of a value over the runs of a leg in a cell that were measured.
    pub(crate) fn middle(&self, cell: &str, leg: &str, value: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        let runs = self.of(cell, leg);
        let measured = runs.into_iter().filter(|run| run.bytes > 0);
        Spread::of(measured.filter_map(value)).map(|spread| spread.middle)
    }

    /// The speed of a leg as a share of another one's, in the same cell.
    pub(crate) fn ratio(&self, cell: &str, leg: &str, to: &str) -> Option<f64> {
        let speed = |leg| self.middle(cell, leg, |run| Some(run.mb_per_s));
        speed(leg).zip(speed(to)).map(|(speed, other)| speed / other.max(1e-9))
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cell: &str, leg: &str, number: u32, mb_per_s: f64) -> Run {
        Run { cell: cell.to_owned(), leg: leg.to_owned(), number, mb_per_s, bytes: 1, ..Run::default() }
    }

    #[test]
    fn an_interrupted_file_is_gone_on_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results.jsonl");
        let mut results = Results::open(Some(&path)).unwrap();
        results.add(run("a", "p2p", 1, 2.0)).unwrap();
        results.add(run("a", "p2p", 2, 4.0)).unwrap();
        drop(results);
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"cell\": \"a\", \"le").unwrap();
        let mut results = Results::open(Some(&path)).unwrap();
        assert!(results.find("a", "p2p", 2, 0).is_some());
        assert!(results.find("a", "p2p", 3, 0).is_none());
        assert!(results.find("a", "p2p", 2, 1).is_none());
        results.add(run("a", "p2p", 3, 6.0)).unwrap();
        let results = Results::open(Some(&path)).unwrap();
        assert_eq!(results.runs.len(), 3);
        assert_eq!(results.middle("a", "p2p", |run| Some(run.mb_per_s)), Some(4.0));
    }

    #[test]
    fn ratios_are_of_the_middles() {
        let mut results = Results::default();
        for (leg, number, speed) in [("tcp-bbr", 1, 4.0), ("p2p", 1, 1.0), ("p2p", 2, 3.0), ("p2p", 3, 9.0)] {
            results.add(run("a", leg, number, speed)).unwrap();
        }
        assert_eq!(results.ratio("a", "p2p", "tcp-bbr"), Some(0.75));
        assert_eq!(results.ratio("a", "p2p", "tcp-cubic"), None);
        assert_eq!((results.cells(), results.legs("a")), (vec!["a"], vec!["tcp-bbr", "p2p"]));
    }
}

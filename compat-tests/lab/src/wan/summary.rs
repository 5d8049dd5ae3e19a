//! What is required of the product in cells, and in how many of them it holds.

use serde::Serialize;

use super::{cell::Cell, results::Results};
use crate::statistics::Spread;

/// Up to this loss, in percent, the product is held to TCP BBR's speed.
const USUAL_LOSS_MAX: f64 = 2.0;

/// A requirement, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Requirement {
    pub(crate) leg: String,
    #[serde(rename = "requirement")]
    pub(crate) about: &'static str,
    pub(crate) cells: usize,
    pub(crate) holds_in: usize,
    /// Where it does not hold, with the number.
    pub(crate) missed: Vec<String>,
}

impl Requirement {
    pub(crate) fn held(&self) -> bool {
        self.holds_in == self.cells
    }
}

/// A value in a cell, if the requirement is about that cell, and its limit.
type Check = fn(&Results, &Cell, &str, &str) -> Option<(f64, f64)>;

/// A value must be at least, or at most, its limit.
#[derive(Clone, Copy)]
enum Limit {
    AtLeast(Check),
    AtMost(Check),
}

const CHECKS: [(&str, Limit); 6] = [
    (
        "at least 0.9 of TCP BBR's speed, up to 2 % loss",
        Limit::AtLeast(|results, cell, name, leg| {
            let ratio = results.ratio(name, leg, "tcp-bbr")?;
            (cell.loss_percent() <= USUAL_LOSS_MAX).then_some((ratio, 0.9))
        }),
    ),
    (
        "at least 0.8 of TCP BBR's speed, above 2 % loss",
        Limit::AtLeast(|results, cell, name, leg| {
            let ratio = results.ratio(name, leg, "tcp-bbr")?;
            (cell.loss_percent() > USUAL_LOSS_MAX).then_some((ratio, 0.8))
        }),
    ),
    (
        "at least 0.9 of TCP Cubic's speed, where that is faster than TCP BBR",
        Limit::AtLeast(|results, _, name, leg| {
            let ratio = results.ratio(name, leg, "tcp-cubic")?;
            (results.ratio(name, "tcp-cubic", "tcp-bbr")? > 1.0).then_some((ratio, 0.9))
        }),
    ),
    (
        "less than 2 % dropped at a queue of 1 BDP",
        Limit::AtMost(|results, cell, name, leg| {
            let dropped = results.middle(name, leg, |run| Some(run.dropped_percent))?;
            (cell.queue_bdp.to_bits() == 1.0_f64.to_bits()).then_some((dropped, 2.0))
        }),
    ),
    (
        "half of the small requests within RTT + 40 ms",
        Limit::AtMost(|results, cell, name, leg| {
            let time = results.middle(name, leg, |run| run.small_p50_ms)?;
            Some((time, f64::from(cell.rtt_ms) + 40.0))
        }),
    ),
    (
        "95 % of the small requests within 2 RTT + 40 ms",
        Limit::AtMost(|results, cell, name, leg| {
            let time = results.middle(name, leg, |run| run.small_p95_ms)?;
            Some((time, f64::from(cell.rtt_ms) * 2.0 + 40.0))
        }),
    ),
];

/// Of these binaries.
pub(crate) fn requirements(results: &Results, legs: &[String]) -> Vec<Requirement> {
    let mut requirements = Vec::new();
    for leg in legs {
        for (about, limit) in CHECKS {
            requirements.push(check(results, leg, about, limit));
        }
        requirements.push(median(results, leg));
    }
    requirements.retain(|requirement| requirement.cells > 0);
    requirements
}

fn check(results: &Results, leg: &str, about: &'static str, limit: Limit) -> Requirement {
    let mut checked = Requirement { leg: leg.to_owned(), about, cells: 0, holds_in: 0, missed: Vec::new() };
    for name in results.cells() {
        let Ok(cell) = name.parse::<Cell>() else { continue };
        let (value, holds) = match limit {
            Limit::AtLeast(value) => match value(results, &cell, name, leg) {
                Some((value, least)) => (value, value >= least),
                None => continue,
            },
            Limit::AtMost(value) => match value(results, &cell, name, leg) {
                Some((value, most)) => (value, value <= most),
                None => continue,
            },
        };
        checked.cells += 1;
        if holds {
            checked.holds_in += 1;
        } else {
            checked.missed.push(format!("{name}: {value:.2}"));
        }
    }
    checked
}

/// Over all cells of usual loss.
fn median(results: &Results, leg: &str) -> Requirement {
    let usual = |name: &&str| name.parse::<Cell>().is_ok_and(|cell| cell.loss_percent() <= USUAL_LOSS_MAX);
    let names = results.cells();
    let ratios = names.iter().copied().filter(usual).filter_map(|name| results.ratio(name, leg, "tcp-bbr"));
    let spread = Spread::of(ratios);
    let holds = spread.is_some_and(|spread| spread.middle >= 0.95);
    Requirement {
        leg: leg.to_owned(),
        about: "the middle of all cells at least 0.95 of TCP BBR's speed",
        cells: usize::from(spread.is_some()),
        holds_in: usize::from(holds),
        missed: spread.filter(|_| !holds).map(|spread| format!("{:.2}", spread.middle)).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wan::run::Run;

    fn results(runs: &[(&str, &str, f64, f64)]) -> Results {
        let mut results = Results::default();
        for (cell, leg, mb_per_s, small) in runs {
            let run = Run {
                cell: (*cell).to_owned(),
                leg: (*leg).to_owned(),
                mb_per_s: *mb_per_s,
                bytes: 1,
                small_p50_ms: Some(*small),
                small_p95_ms: Some(*small),
                ..Run::default()
            };
            results.add(run).unwrap();
        }
        results
    }

    #[test]
    fn requirements_are_about_their_cells_only() {
        let (usual, heavy) = ("rtt=80,loss=1,rate=50,queue=1,dir=down", "rtt=80,loss=5,rate=50,queue=4,dir=down");
        let results = results(&[
            (usual, "tcp-bbr", 5.0, 90.0),
            (usual, "tcp-cubic", 0.3, 90.0),
            (usual, "p2p", 4.6, 130.0),
            (heavy, "tcp-bbr", 4.0, 90.0),
            (heavy, "tcp-cubic", 4.4, 90.0),
            (heavy, "p2p", 3.0, 90.0),
        ]);
        let found: Vec<_> =
            requirements(&results, &["p2p".to_owned()]).into_iter().map(|it| (it.cells, it.holds_in)).collect();
        // BBR's speed, at heavy loss, Cubic's, drops, small requests twice, the middle.
        assert_eq!(found, [(1, 1), (1, 0), (1, 0), (1, 1), (2, 1), (2, 2), (1, 0)]);
        assert_eq!(requirements(&results, &[]), []);
    }
}

//! Which cells there are.

use super::cell::Cell;

/// Round trips, in milliseconds.
const RTTS: [u32; 4] = [20, 80, 150, 300];

/// In percent, alone or in bursts.
const LOSSES: [&str; 5] = ["0", "0.1", "1", "2", "burst:1:10"];

/// More than most links lose. Rows of their own, for their limit is another.
const HEAVY_LOSSES: [&str; 2] = ["3", "5"];

/// In megabits per second.
const RATES: [u32; 3] = [20, 50, 100];

/// In products of bandwidth and delay.
const QUEUES: [&str; 3] = ["0.5", "1", "4"];

/// Spans the space: each value of each axis, the corners that are hardest, both directions.
const CORE: [&str; 21] = [
    "rtt=80,loss=0,rate=50,queue=1,dir=down",
    "rtt=80,loss=0.1,rate=50,queue=1,dir=down",
    "rtt=80,loss=1,rate=50,queue=1,dir=down",
    "rtt=80,loss=2,rate=50,queue=1,dir=down",
    "rtt=80,loss=burst:1:10,rate=50,queue=1,dir=down",
    "rtt=80,loss=3,rate=50,queue=1,dir=down",
    "rtt=80,loss=5,rate=50,queue=1,dir=down",
    "rtt=80,loss=0,rate=50,queue=4,dir=down",
    "rtt=80,loss=1,rate=100,queue=0.5,dir=down",
    "rtt=80,loss=0,rate=50,queue=1,dir=up",
    "rtt=80,loss=1,rate=50,queue=1,dir=up",
    "rtt=20,loss=0,rate=100,queue=1,dir=down",
    "rtt=20,loss=1,rate=50,queue=1,dir=down",
    "rtt=20,loss=2,rate=20,queue=0.5,dir=down",
    "rtt=150,loss=0,rate=50,queue=0.5,dir=down",
    "rtt=150,loss=2,rate=50,queue=1,dir=down",
    "rtt=150,loss=1,rate=20,queue=4,dir=down",
    "rtt=150,loss=burst:1:10,rate=100,queue=1,dir=down",
    "rtt=300,loss=0,rate=20,queue=1,dir=down",
    "rtt=300,loss=1,rate=50,queue=1,dir=down",
    "rtt=300,loss=0.1,rate=100,queue=0.5,dir=down",
];

/// A second each, and one of everything that a cell can have.
const QUICK: [&str; 3] = [
    "rtt=20,loss=0,rate=20,queue=1,dir=down,seconds=1",
    "rtt=20,loss=1,rate=20,queue=1,dir=up,seconds=1",
    "rtt=10,loss=burst:1:5,rate=20,queue=2,dir=down,jitter=2:reorder,seconds=1",
];

/// Some twenty cells for every day.
pub(crate) fn core() -> Vec<Cell> {
    parse(CORE)
}

/// A few that only show that the lab works.
pub(crate) fn quick() -> Vec<Cell> {
    parse(QUICK)
}

/// All of them.
pub(crate) fn matrix() -> Vec<Cell> {
    let mut names = Vec::new();
    for rtt in RTTS {
        for rate in RATES {
            for loss in LOSSES {
                names.extend(QUEUES.map(|queue| format!("rtt={rtt},loss={loss},rate={rate},queue={queue},dir=down")));
            }
            for loss in HEAVY_LOSSES {
                names.push(format!("rtt={rtt},loss={loss},rate={rate},queue=1,dir=down"));
            }
            // The same code sends in both directions: enough to see that nothing else is in the way.
            for loss in ["0", "1"] {
                names.push(format!("rtt={rtt},loss={loss},rate={rate},queue=1,dir=up"));
            }
        }
    }
    parse(names)
}

fn parse(names: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<Cell> {
    // A test reads them all.
    names.into_iter().filter_map(|name| name.as_ref().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_cell_is_read_and_has_a_name_of_its_own() {
        let names = |cells: Vec<Cell>| cells.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(names(core()), CORE.map(str::to_owned).into());
        assert_eq!(names(quick()), QUICK.map(str::to_owned).into());
        let matrix = names(matrix());
        assert_eq!(matrix.len(), RTTS.len() * RATES.len() * (LOSSES.len() * QUEUES.len() + 4));
        assert!(names(core()).is_subset(&matrix), "{:?}", names(core()).difference(&matrix).collect::<Vec<_>>());
    }
}

//! The list.

mod abort;
mod bodies;
mod concurrency;
mod errors;
mod headers;
mod limits;
mod methods;
mod queries;
mod ranges;
mod streaming;
mod trailers;
mod uploads;
mod web_sockets;

use super::{Check, check::Run};

/// What is asked of one aspect.
type Checks = &'static [(&'static str, Run)];

const GROUPS: [(&str, Checks); 13] = [
    ("methods", methods::CHECKS),
    ("bodies", bodies::CHECKS),
    ("headers", headers::CHECKS),
    ("paths and queries", queries::CHECKS),
    ("ranges and conditions", ranges::CHECKS),
    ("streaming", streaming::CHECKS),
    ("trailers", trailers::CHECKS),
    ("uploads", uploads::CHECKS),
    ("abort", abort::CHECKS),
    ("concurrency", concurrency::CHECKS),
    ("errors", errors::CHECKS),
    ("WebSocket", web_sockets::CHECKS),
    ("limits", limits::CHECKS),
];

/// Every check, group by group.
pub fn checks() -> impl Iterator<Item = Check> {
    GROUPS.iter().flat_map(|(group, checks)| checks.iter().map(|(name, run)| Check::new(group, name, *run)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let names: BTreeSet<_> = checks().map(|check| check.name()).collect();
        assert_eq!(names.len(), checks().count());
        assert!(names.len() >= 45);
        assert!(names.iter().all(|name| name.len() <= 42), "the table stays narrow");
    }

    #[test]
    fn a_pattern_is_a_part_of_group_and_name() {
        let found = |pattern: &str| checks().filter(|check| check.matches(pattern)).count();
        assert_eq!(found("trailers: "), trailers::CHECKS.len());
        assert_eq!(found("WEBSOCKET: "), web_sockets::CHECKS.len());
        assert_eq!(found("256MiB"), 1);
        assert_eq!(found(""), checks().count());
        assert_eq!(found("no such check"), 0);
    }
}

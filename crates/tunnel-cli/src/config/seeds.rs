//! Ranges of seeds as people write them.

use std::{ops::Range, str::FromStr};

/// Seeds from one number to another, without the last: `0..1000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seeds(pub(crate) Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range =
            text.split_once("..").and_then(|(from, to)| Some(from.trim().parse().ok()?..to.trim().parse().ok()?));
        match range {
            Some(range) if range.start < range.end => Ok(Self(range)),
            Some(_) => Err(format!("{text:?} has no seeds: the second number must be larger than the first")),
            None => Err(format!("{text:?} is not a range of seeds: write it as in 0..1000")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_two_numbers_and_something_between_them() {
        assert_eq!("3..10".parse(), Ok(Seeds(3..10)));
        for wrong in ["", "3", "3..", "..3", "3..=5", "a..b", "5..5", "6..5", "-1..5"] {
            assert!(wrong.parse::<Seeds>().is_err(), "{wrong}");
        }
    }
}

//! This machine's clock, beside those of others.

use std::time::{SystemTime, UNIX_EPOCH};

use super::check::{Check, Topic};

/// Certificates and tokens are good within a time: beyond this they may be taken for not yet or no longer valid.
const OFF_SECONDS_MAX: i64 = 60;

/// Another's time, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) of: String,
    /// By how many seconds this machine is ahead of it.
    pub(super) ahead_seconds: i64,
}

impl Sample {
    /// From the header `Date` that has just come. `None` if it is not a date.
    pub(super) fn new(of: impl Into<String>, date: &str) -> Option<Self> {
        let theirs = seconds(httpdate::parse_http_date(date).ok()?);
        Some(Self { of: of.into(), ahead_seconds: seconds(now()) - theirs })
    }
}

/// What follows.
pub(super) fn check(samples: &[Sample]) -> Check {
    let Some(nearest) = samples.iter().min_by_key(|sample| sample.ahead_seconds.abs()) else {
        return Check::not_checked(
            Topic::Clock,
            "there is nobody to compare with: no relay and no tunnel server answers",
        );
    };
    let off = nearest.ahead_seconds.abs();
    if off <= OFF_SECONDS_MAX {
        return Check::ok(Topic::Clock, format!("within a minute of that of {}", nearest.of));
    }
    let direction = if nearest.ahead_seconds > 0 { "ahead of" } else { "behind" };
    Check::problem(Topic::Clock, format!("{} {direction} that of {}", span(off), nearest.of)).next(
        "set it (`timedatectl set-ntp true` on Linux): with a wrong time certificates and tokens count as expired, or not \
         yet valid",
    )
}

fn span(seconds: i64) -> String {
    match seconds {
        ..=7200 => format!("{} minutes", seconds / 60),
        7201..=172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the wall clock itself is looked at")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::State;

    fn of(ahead: &[i64]) -> Check {
        let samples: Vec<_> =
            ahead.iter().map(|seconds| Sample { of: "relay".to_owned(), ahead_seconds: *seconds }).collect();
        check(&samples)
    }

    #[test]
    fn a_minute_is_no_fault_and_more_is() {
        assert_eq!(of(&[]).state, State::NotChecked);
        assert_eq!(of(&[0]).state, State::Ok);
        assert_eq!(of(&[-60]).state, State::Ok);
        let ahead = of(&[120]);
        assert_eq!((ahead.state, ahead.found.as_str()), (State::Problem, "2 minutes ahead of that of relay"));
        assert!(of(&[-7300]).found.starts_with("2 hours behind"));
        assert!(of(&[864_000]).found.starts_with("10 days ahead"));
    }

    #[test]
    fn one_wrong_clock_elsewhere_is_not_this_machines_fault() {
        assert_eq!(of(&[4000, 1]).state, State::Ok);
    }

    #[test]
    fn dates_are_read_as_they_come() {
        assert_eq!(Sample::new("x", "yesterday"), None);
        let now = httpdate::fmt_http_date(now());
        assert!(Sample::new("x", &now).unwrap().ahead_seconds <= 1);
        assert!(Sample::new("x", "Sun, 06 Nov 1994 08:49:37 GMT").unwrap().ahead_seconds > 1_000_000_000);
    }
}

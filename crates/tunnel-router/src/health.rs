//! Whether p2p is to be used: a pure state machine. Events and the time go in, transitions come out.
//!
//! ```text
//!            connected                 failure               failures_max in a row
//!  Probing ─────────────▶ Healthy ◀───────────▶ Suspect ───────────────┐
//!  (start)                 ▲  │       success                          │
//!                          │  │ stalled, transport down, probe failed  ▼
//!                          │  └──────────────────────────────────────▶ Down
//!   good probes, hold-down │                                           ▲ │
//!                          └───────────── Probing ◀────────────────────┼─┘ good probe
//!                                            └───── probe failed ──────┘
//! ```
//!
//! p2p is used while Healthy or Suspect. Everything else costs a request nothing: it goes over legacy at once.

mod hold;
mod machine;
mod settings;

pub(crate) use hold::HOLD_MAX;
pub use machine::{Cause, State, Transition};
pub(crate) use machine::{Machine, View};
pub(crate) use settings::Settings;

use std::time::Duration;

/// p2p is used again at the latest this long after it has begun to work and to stay so.
pub const RETURN_WITHIN: Duration = Duration::from_mins(1);

/// The most changes between used and not used in any hour. Returns are at least a hold-down of 1, 2, 4, 8, 16, 32 and
/// then 45 s apart: 6 in the first 63 s, 79 in the rest of the hour; two changes each, and one that began before.
pub const SWITCHES_PER_HOUR_MAX: usize = 2 * (1 + 6 + 79) + 1;

#[cfg(test)]
mod tests;

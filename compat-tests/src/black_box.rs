//! What any live deployment can be asked: HTTP and WebSockets through it, to the [demo service](crate::demo_service).
//!
//! [`checks`] is the list. Each [`Check`] talks to a [`Target`] as an app would, over TCP, and compares what comes back
//! byte by byte; it knows nothing of what lies between. [`preflight`] says beforehand whether the demo service is there.
//! Nothing is printed: a [`Finding`] says what was seen, and a [`Difference`] what should have been.

mod answer;
mod check;
mod checks;
mod difference;
mod keep_alive;
mod preflight;
mod probe;
mod raw;
mod socket;
mod target;

pub use self::{
    check::{Check, Finding, Seen},
    checks::checks,
    difference::Difference,
    preflight::{PreflightError, preflight},
    target::{Target, TargetError},
};

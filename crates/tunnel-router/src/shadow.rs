//! Compares the transports: some safe requests are repeated over the other one, after the user has everything.
//!
//! Nothing here delays or changes what the user gets. The repetition starts when the last byte of the response has gone by,
//! so its length is known before a byte of the budget is spent.

mod budget;
mod compare;
mod mismatches;
mod sample;

pub(crate) use budget::Budget;
pub(crate) use compare::differences;
pub use mismatches::Mismatch;
pub(crate) use mismatches::Mismatches;
pub(crate) use sample::{Job, Sample, Sampler, Seen};

#[cfg(test)]
mod tests;

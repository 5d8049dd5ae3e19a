//! The last comparisons that found a difference.

use std::{collections::VecDeque, sync::Mutex};

use serde::Serialize;

use crate::router::lock;

/// How many are kept.
const KEPT: usize = 32;

/// Two responses that differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The request's id, as in logs.
    pub id: u64,
    /// The method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The transport that answered the user; the other one was compared with it.
    pub transport: &'static str,
    /// What differs: the status, names of headers (not their values, which may be private), the length of the body.
    pub differences: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Mismatches(Mutex<VecDeque<Mismatch>>);

impl Mismatches {
    pub(crate) fn push(&self, mismatch: Mismatch) {
        let mut kept = lock(&self.0);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(mismatch);
    }

    pub(crate) fn newest_first(&self) -> Vec<Mismatch> {
        lock(&self.0).iter().rev().cloned().collect()
    }
}

//! What happens to networks and processes while requests are under way, and what must come of it.

use std::pin::Pin;

use anyhow::Result;

use crate::{process::Product, record::Record};

/// A scenario.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What must hold.
    pub(crate) about: &'static str,
    pub(crate) run: fn(Product) -> Pin<Box<dyn Future<Output = Result<Record>>>>,
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All of them.
pub(crate) const ALL: &[Scenario] = &[];

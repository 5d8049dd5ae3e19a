//! What the tunnel server's protocol cannot do, case by case.

use std::{any::Any, fmt::Write as _, future::Future, panic::AssertUnwindSafe};

use futures::FutureExt;

/// A limit of the protocol, and the cases that meet it.
pub struct Limit {
    /// Why it is one, in a sentence or two.
    pub why: &'static str,
    /// The cases, as `module::case`, each with a text that its failure must contain.
    pub cases: &'static [(&'static str, &'static str)],
}

/// All of them. A case that is not here behaves as on every other backend.
pub const LIMITS: &[Limit] = &[];

/// The text that the failure of a case must contain, if it is to fail.
pub fn expected(case: &str) -> Option<&'static str> {
    LIMITS.iter().flat_map(|limit| limit.cases).find(|(name, _)| *name == case).map(|(_, says)| *says)
}

/// Runs a case that must pass, or fail as the table says, and in no other way.
pub(in crate::backend) async fn run(name: &str, case: impl Future<Output = ()>) {
    let Some(says) = expected(name) else { return case.await };
    match AssertUnwindSafe(case).catch_unwind().await {
        Ok(()) => panic!("{name} passes: take it out of the table of differences"),
        Err(panic) => {
            let message = message(&*panic);
            assert!(message.contains(says), "{name} fails otherwise than by {says:?}: {message}");
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let owned = || panic.downcast_ref::<String>().map(String::as_str);
    panic.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("a panic without words")
}

/// The table for people: `spec/legacy-differences.md`.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for limit in LIMITS {
        writeln!(text, "\n## {}\n\n| case | its failure says |\n|---|---|", limit.why).expect("a string");
        for (case, says) in limit.cases {
            writeln!(text, "| `{case}` | {says} |").expect("a string");
        }
    }
    text
}

const HEAD: &str = "# What requests lose on the way through a tunnel server

Every case of `compat-tests` also runs on the backend `legacy`: a host and its clients, with a tunnel server between them.
These cases fail there, each with the words beside it, because the protocol of the tunnel server has no form for what they
ask. All others pass. A case that fails otherwise, or does not fail, breaks the test run.

Made from `compat-tests/src/backend/legacy/differences.rs` by
`cargo run --release -p compat-tests --example legacy_differences > spec/legacy-differences.md`.
";

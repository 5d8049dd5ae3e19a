//! What the tunnel server's protocol cannot do, case by case.

use std::{any::Any, fmt::Write as _, future::Future, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;

use crate::patience::Impatience;

/// How long a case waits that waits in vain, in seconds.
const IN_VAIN: Duration = Duration::from_secs(3);

/// A limit of the protocol, and the cases that meet it.
pub struct Limit {
    /// Why it is one, in a sentence or two.
    pub why: &'static str,
    /// The cases, as `module::case`, and how each fails.
    pub cases: &'static [(&'static str, Fails)],
}

/// How a case fails.
#[derive(Clone, Copy)]
pub enum Fails {
    /// The failure contains this text.
    Says(&'static str),
    /// This step of the case never happens, and nobody is there who could say so: the protocol has no word for it.
    Waits(&'static str),
}

/// All of them. A case that is not here behaves as on every other backend.
pub const LIMITS: &[Limit] = &[];

/// How a case fails, if it is to fail.
fn expected(case: &str) -> Option<Fails> {
    LIMITS.iter().flat_map(|limit| limit.cases).find(|(name, _)| *name == case).map(|(_, fails)| *fails)
}

/// Runs a case that must pass, or fail as the table says, and in no other way.
pub(in crate::backend) async fn run(name: &str, case: impl Future<Output = ()>) {
    let Some(fails) = expected(name) else { return case.await };
    let (expected, _impatience) = match fails {
        Fails::Says(text) => (text.to_owned(), None),
        Fails::Waits(step) => (format!("{step}: nothing happened within"), Some(Impatience::begin(IN_VAIN))),
    };
    match AssertUnwindSafe(case).catch_unwind().await {
        Ok(()) => panic!("{name} passes: take it out of the table of differences"),
        Err(panic) => {
            let message = message(&*panic);
            assert!(message.contains(&expected), "{name} fails otherwise than by {expected:?}: {message}");
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
        writeln!(text, "\n## {}\n\n| case | how it fails |\n|---|---|", limit.why).expect("a string");
        for (case, fails) in limit.cases {
            let fails = match fails {
                Fails::Says(text) => format!("`{text}`"),
                Fails::Waits(step) => format!("never happens: {step}"),
            };
            writeln!(text, "| `{case}` | {fails} |").expect("a string");
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

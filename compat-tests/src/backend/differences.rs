//! Where a backend differs from p2p alone, case by case.

mod table;

use std::{any::Any, fmt::Write as _, future::Future, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;

pub use self::table::LIMITS;
use crate::patience::Impatience;

/// How long a case waits that waits in vain.
const fn in_vain(way: Way) -> Duration {
    match way {
        // First p2p must have failed. The time is virtual.
        Way::Fallen => Duration::from_secs(20),
        _ => Duration::from_secs(3),
    }
}

/// A way to the host that may behave otherwise than p2p alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through a tunnel server.
    Legacy,
    /// Through a tunnel server, behind a router that cannot reach the host over p2p.
    Fallen,
    /// Over p2p, behind a router that also has a tunnel server.
    Dual,
    /// Over p2p, in upstream's types at both ends.
    Facade,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Legacy, Self::Fallen, Self::Dual, Self::Facade];

    const fn words(self) -> &'static str {
        match self {
            Self::Legacy => "through a tunnel server",
            Self::Fallen => "behind a router whose p2p is down",
            Self::Dual => "behind a router whose p2p works",
            Self::Facade => "in upstream's types",
        }
    }
}

/// A difference, and the cases that meet it.
pub struct Limit {
    /// Why it is one, in a sentence or two.
    pub why: &'static str,
    /// Where.
    pub ways: &'static [Way],
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
    /// This step of the case never happens, because the request body is collected first and has no end. A router gives up.
    Collects(&'static str),
}

/// What the failure must contain, and whether the case waits in vain.
fn expected(way: Way, case: &str) -> Option<(String, bool)> {
    let mut limits = LIMITS.iter().filter(|limit| limit.ways.contains(&way)).flat_map(|limit| limit.cases);
    let (_, fails) = limits.find(|(name, _)| *name == case)?;
    Some(match *fails {
        Fails::Collects(_) if way == Way::Fallen => ("no byte of the request body came within".to_owned(), false),
        Fails::Says(text) => (text.to_owned(), false),
        Fails::Waits(step) | Fails::Collects(step) => (format!("{step}: nothing happened within"), true),
    })
}

/// Runs a case that must pass, or fail as the table says, and in no other way.
pub(super) async fn run(way: Way, name: &str, case: impl Future<Output = ()>) {
    let Some((expected, waits)) = expected(way, name) else { return case.await };
    let _impatience = waits.then(|| Impatience::begin(in_vain(way)));
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

/// The table for people: `spec/differences.md`.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for limit in LIMITS {
        let ways: Vec<_> = limit.ways.iter().map(|way| way.words()).collect();
        write!(text, "\n## {}\n\n{}\n\n| case | how it fails |\n|---|---|\n", capitalized(&ways.join("; ")), limit.why)
            .expect("a string");
        for (case, fails) in limit.cases {
            let fails = match fails {
                Fails::Says(text) => format!("`{text}`"),
                Fails::Waits(step) | Fails::Collects(step) => format!("never happens: {step}"),
            };
            writeln!(text, "| `{case}` | {fails} |").expect("a string");
        }
    }
    text
}

fn capitalized(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}

const HEAD: &str = "# Where the ways to a host differ

Every case of `compat-tests` runs over p2p, through a tunnel server, behind a router that has both, and over p2p in the types
of upstream's crates. It passes on all of them, or it is in this table: then it fails there with the words beside it, because
the protocol of the tunnel server or its types have no form for what it asks, or because two transports behave otherwise than
one. A case that fails otherwise, or does not fail, breaks the test run.

Made from `compat-tests/src/backend/differences/table.rs` by
`cargo run --release -p compat-tests --example differences > spec/differences.md`.
";

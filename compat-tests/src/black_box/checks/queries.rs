//! The target arrives byte by byte: nobody decodes, encodes or tidies it.

use super::Checks;
use crate::black_box::{
    Difference,
    difference::{Context, same},
    probe::Probe,
};

pub(super) const CHECKS: Checks = &[
    ("query: +, %2B and %20", |p| Box::pin(echo(p, "/api/echo?q=a+b&r=a%2Bb&s=a%20b"))),
    ("query: %26, %3D, %23 and %25", |p| Box::pin(echo(p, "/api/echo?q=x%26y%3Dz%23w&r=100%25"))),
    ("query: repeated keys, in order", |p| Box::pin(echo(p, "/api/echo?z=3&a=2&z=1&a=2"))),
    ("query: empty keys and values", |p| Box::pin(echo(p, "/api/echo?flag&empty=&=1&&last"))),
    ("query: reserved characters", |p| Box::pin(echo(p, "/api/echo?a=/?:@!$'()*,;~-._=&b[]=1"))),
    ("query: UTF-8, upper and lower case hex", |p| Box::pin(echo(p, "/api/echo?q=caf%C3%A9&r=caf%c3%a9"))),
    ("path: //, trailing / and %2F", |p| Box::pin(echo(p, "/api/echo//a//b%2Fc/"))),
    ("path: %2e and dot segments", |p| Box::pin(echo(p, "/api/echo/%2e/%2E%2E/./a/../b"))),
    ("path: +, %20, UTF-8 and ;", |p| Box::pin(echo(p, "/api/echo/a+b/c%20d/%E2%99%AB;v=1,2"))),
];

pub(super) async fn echo(probe: &Probe, target: &str) -> Result<(), Difference> {
    let echo = probe.get(target).await?.expecting(200).await?.json().await?;
    let seen = echo["target"].as_str().context("the service does not say its target")?;
    same("the target", probe.target().received(seen), target)
}

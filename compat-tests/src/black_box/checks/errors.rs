//! Errors of the service arrive as they are, and what breaks is never taken for whole.

use super::{Checks, bodies::download};
use crate::black_box::{
    Difference,
    difference::{ensure, same},
    probe::Probe,
};

pub(super) const CHECKS: Checks = &[
    ("GET /status/299", |p| Box::pin(status(p, 299, ""))),
    ("GET /status/404", |p| Box::pin(status(p, 404, "the demo answers with 404\n"))),
    ("GET /status/500", |p| Box::pin(status(p, 500, "the demo answers with 500\n"))),
    ("GET /status/503", |p| Box::pin(status(p, 503, "the demo answers with 503\n"))),
    ("GET /status/599", |p| Box::pin(status(p, 599, "the demo answers with 599\n"))),
    ("a body cut before its declared length", |p| Box::pin(cut(p, "/cut?bytes=100000&length=200000"))),
    ("a body of unknown length, cut", |p| Box::pin(cut(p, "/cut?bytes=100000"))),
];

async fn status(probe: &Probe, code: u16, body: &str) -> Result<(), Difference> {
    let mut answer = probe.get(&format!("/status/{code}")).await?.expecting(code).await?;
    answer.same_header("x-demo-status", &code.to_string())?;
    same("the body", answer.text().await?, body)
}

/// The client must learn that something is missing, and the next request must not suffer.
async fn cut(probe: &Probe, target: &str) -> Result<(), Difference> {
    let mut answer = probe.get(target).await?.expecting(200).await?;
    let mut received = 0;
    loop {
        match answer.piece().await {
            Ok(Some(piece)) => received += piece.len(),
            Ok(None) => {
                return Err(Difference::new(format!("after {received} bytes the cut looks like a proper end")));
            }
            Err(_) => break,
        }
    }
    ensure!(received <= 100_000, "{received} bytes came of 100000 that were sent");
    download(probe, "/files/65537.bin", 65_537).await
}

//! What the service sends now arrives now.

use std::time::Duration;

use tokio::time::Instant;

use super::Checks;
use crate::black_box::{
    Difference,
    difference::{Context, ensure, same},
    probe::Probe,
};

pub(super) const CHECKS: Checks = &[
    ("events, one by one", |p| Box::pin(events(p))),
    ("the head comes before the body", |p| Box::pin(head_first(p))),
    ("100 pieces of one byte", |p| Box::pin(pieces(p))),
    ("an answer after half a second", |p| Box::pin(slow(p))),
];

const EVENTS: usize = 5;

/// What the service sends over 400 ms comes over at least this time, however long the way is.
const SPREAD_MIN: Duration = Duration::from_millis(200);

async fn events(probe: &Probe) -> Result<(), Difference> {
    let start = Instant::now();
    let mut answer = probe.get(&format!("/sse?count={EVENTS}&ms=100")).await?.expecting(200).await?;
    answer.same_header("content-type", "text/event-stream")?;
    let mut events = answer.piece().await?.context("no event came")?.to_vec();
    let first = start.elapsed();
    ensure!(events.starts_with(b"id: 0\n"), "the first event is not the first");
    events.extend(answer.bytes().await?);
    let all = start.elapsed();
    let event = |number| format!("id: {number}\nevent: tick\ndata: {{\"number\":{number}}}\n\n");
    let expected = (0..EVENTS).map(event).collect::<Vec<_>>();
    same("the event stream", String::from_utf8_lossy(&events), expected.concat())?;
    ensure!(all >= first + SPREAD_MIN, "the first event came after {first:.1?}, the last after {all:.1?}: held back");
    Ok(())
}

async fn head_first(probe: &Probe) -> Result<(), Difference> {
    let start = Instant::now();
    let mut answer = probe.get("/drip?count=1&bytes=1000&ms=400").await?.expecting(200).await?;
    let head = start.elapsed();
    same("the length of the body", answer.bytes().await?.len(), 1000)?;
    let all = start.elapsed();
    ensure!(all >= head + SPREAD_MIN, "the head came after {head:.1?}, the body after {all:.1?}: held back");
    Ok(())
}

async fn pieces(probe: &Probe) -> Result<(), Difference> {
    let mut answer = probe.get("/drip?count=100&bytes=1&ms=1").await?.expecting(200).await?;
    same("the length of the body", answer.bytes().await?.len(), 100)
}

async fn slow(probe: &Probe) -> Result<(), Difference> {
    let start = Instant::now();
    let mut answer = probe.get("/slow?ms=500").await?.expecting(200).await?;
    same("the body", answer.text().await?, "answered after 500 ms\n")?;
    ensure!(start.elapsed() >= Duration::from_millis(490), "the answer came before the service gave it");
    Ok(())
}

//! Many at once stay apart, and nobody waits for the slow.

use std::time::Duration;

use tokio::time::Instant;

use super::{Checks, bodies::download, uploads};
use crate::{
    black_box::{
        Difference,
        difference::{Context, ensure, same, same_json},
        probe::{Probe, nothing, piece},
    },
    demo_service::Content,
};

pub(super) const CHECKS: Checks = &[
    ("8 downloads of 10 MiB at once", |p| {
        Box::pin(p.at_once(8, async |_| download(p, "/files/10MiB.bin", 10 << 20).await))
    }),
    ("32 different requests at once, unmixed", |p| {
        Box::pin(p.at_once(32, async |number| one_of_many(p, number).await))
    }),
    ("uploads and downloads at once", |p| Box::pin(p.at_once(8, async |number| up_or_down(p, number).await))),
    ("quick ones beside one that does not read", |p| Box::pin(beside_a_slow_reader(p))),
    ("50 requests on one connection", |p| Box::pin(keep_alive(p))),
    ("5 pipelined requests, in order", |p| Box::pin(pipelined(p))),
];

/// How long 20 small requests may take beside a client that does not read: far above what they need, far below what
/// they would wait for it.
const QUICK_MAX: Duration = Duration::from_secs(5);

async fn one_of_many(probe: &Probe, number: usize) -> Result<(), Difference> {
    let (name, length) = (number.to_string(), 1000 + number * 3001);
    let body = vec![u8::try_from(number).unwrap_or_default(); length];
    let hash = uploads::sha256(&body);
    let request = probe.request("POST", &format!("/api/echo/{number}"))?.header("x-demo-number", &name);
    let echo = probe.send(request.body(piece(body))?).await?.expecting(200).await?.json().await?;
    same("x-demo-number", super::headers::received(&echo, "x-demo-number")?, [name])?;
    same_json("the length of the body", &echo["body_bytes"], length)?;
    same_json("the SHA-256 of the body", &echo["body_sha256"], hash)?;
    let target = echo["target"].as_str().unwrap_or_default();
    same("the target", probe.target().received(target), format!("/api/echo/{number}"))
}

async fn up_or_down(probe: &Probe, number: usize) -> Result<(), Difference> {
    if number.is_multiple_of(2) {
        return download(probe, "/files/2MiB.bin", 2 << 20).await;
    }
    let content = Content::new(2 << 20);
    let body = uploads::streamed(content.pieces(0..2 << 20));
    let answer = probe.send_with("POST", "/upload", &[], body).await?.expecting(200).await?.json().await?;
    probe.bytes(content.length());
    same_json("the SHA-256 of what arrived", &answer["sha256"], content.sha256(0..2 << 20))
}

async fn beside_a_slow_reader(probe: &Probe) -> Result<(), Difference> {
    let mut slow = probe.get("/files/64MiB.bin").await?.expecting(200).await?;
    slow.piece().await?.context("the file ended")?;
    let start = Instant::now();
    probe.at_once(20, async |_| download(probe, "/files/65537.bin", 65_537).await).await?;
    let elapsed = start.elapsed();
    ensure!(elapsed < QUICK_MAX, "20 small downloads took {elapsed:.1?} beside a client that does not read");
    slow.piece().await.context("the slow reader, when it reads on")?.context("the file ended early")?;
    Ok(())
}

async fn keep_alive(probe: &Probe) -> Result<(), Difference> {
    let mut connection = probe.keep_alive().await?;
    for number in 0..50 {
        let length = number * 997;
        let request = probe.request("GET", &format!("/files/{length}.bin"))?.body(nothing())?;
        let answer = connection.send(request).await.context(format!("request {number}"))?;
        let mut answer = answer.expecting(200).await?;
        answer.compare(Content::new(length), 0..length).await.context(format!("request {number}"))?;
    }
    Ok(())
}

async fn pipelined(probe: &Probe) -> Result<(), Difference> {
    let mut raw = probe.raw().await?;
    let lengths = [5_u64, 3000, 1, 70_000, 20];
    for length in lengths {
        raw.request("GET", &format!("/files/{length}.bin"), &[]).await?;
    }
    for (number, length) in lengths.into_iter().enumerate() {
        let head = raw.head().await.context(format!("response {number}"))?;
        same("the status", head.status, 200)?;
        let body = raw.body(&head).await.context(format!("response {number}"))?;
        let expected: Vec<u8> = Content::new(length).pieces(0..length).flatten().collect();
        ensure!(body == expected, "response {number} is not the answer to request {number}");
    }
    Ok(())
}

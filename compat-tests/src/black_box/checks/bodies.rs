//! Bodies of responses arrive whole, and where there is none, none.

use super::Checks;
use crate::{
    black_box::{
        Difference,
        difference::{ensure, same},
        probe::Probe,
    },
    demo_service::Content,
};

/// Around the edges of a 64 KiB buffer, and two sizes that last.
pub(super) const CHECKS: Checks = &[
    ("GET /files/0.bin", |p| Box::pin(download(p, "/files/0.bin", 0))),
    ("GET /files/1.bin", |p| Box::pin(download(p, "/files/1.bin", 1))),
    ("GET /files/65535.bin", |p| Box::pin(download(p, "/files/65535.bin", 65_535))),
    ("GET /files/65536.bin", |p| Box::pin(download(p, "/files/65536.bin", 65_536))),
    ("GET /files/65537.bin", |p| Box::pin(download(p, "/files/65537.bin", 65_537))),
    ("GET /files/10MiB.bin", |p| Box::pin(download(p, "/files/10MiB.bin", 10 << 20))),
    ("GET /files/256MiB.bin", |p| Box::pin(download(p, "/files/256MiB.bin", 256 << 20))),
    ("GET without a declared length", |p| Box::pin(undeclared(p))),
    ("204 without stray bytes, then reuse", |p| Box::pin(bodiless(p, "GET", "/status/204", &[], 204))),
    ("304 without stray bytes, then reuse", |p| {
        Box::pin(bodiless(p, "GET", "/files/65537.bin", &["if-none-match: \"demo-10001\""], 304))
    }),
    ("HEAD without stray bytes, then reuse", |p| Box::pin(bodiless(p, "HEAD", "/files/65537.bin", &[], 200))),
];

/// Downloads a file and compares every byte.
pub(super) async fn download(probe: &Probe, target: &str, length: u64) -> Result<(), Difference> {
    let mut answer = probe.get(target).await?.expecting(200).await?;
    answer.same_header("content-length", &length.to_string())?;
    probe.bytes(answer.compare(Content::new(length), 0..length).await?);
    Ok(())
}

async fn undeclared(probe: &Probe) -> Result<(), Difference> {
    let mut answer = probe.get("/drip?count=40&bytes=5000&ms=0").await?.expecting(200).await?;
    ensure!(!answer.headers.contains_key("content-length"), "the response declares a length that nobody knows");
    let body = answer.bytes().await?;
    let piece: Vec<u8> = Content::new(5000).pieces(0..5000).flatten().collect();
    ensure!(body == piece.repeat(40), "the body differs ({} bytes came, expected 200000)", body.len());
    Ok(())
}

/// What follows such a head on the connection must be the next response.
async fn bodiless(probe: &Probe, method: &str, target: &str, fields: &[&str], status: u16) -> Result<(), Difference> {
    let mut raw = probe.raw().await?;
    raw.request("GET", "/files/1.bin", &[]).await?;
    let warm = raw.head().await?;
    raw.body(&warm).await?;
    raw.request(method, target, fields).await?;
    let head = raw.head().await?;
    same("the status", head.status, status)?;
    ensure!(!head.headers.contains_key("transfer-encoding"), "transfer-encoding announces a body");
    raw.request("GET", "/files/100.bin", &[]).await?;
    let after = raw.head().await?;
    same("the status of the next response", after.status, 200)?;
    let body = raw.body(&after).await?;
    let expected: Vec<u8> = Content::new(100).pieces(0..100).flatten().collect();
    ensure!(body == expected, "the body of the next response differs");
    Ok(())
}

//! Seeking and caching: what a player and a browser cache need.

use std::ops::Range;

use super::Checks;
use crate::{
    black_box::{
        Difference,
        difference::same,
        probe::{Probe, nothing},
    },
    demo_service::Content,
};

pub(super) const CHECKS: Checks = &[
    ("Range: bytes=1000-70000", |p| Box::pin(part(p, "bytes=1000-70000", 1000..70_001))),
    ("Range: bytes=0-0", |p| Box::pin(part(p, "bytes=0-0", 0..1))),
    ("Range: bytes=10000000- (open)", |p| Box::pin(part(p, "bytes=10000000-", 10_000_000..LENGTH))),
    ("Range: bytes=-100000 (suffix)", |p| Box::pin(part(p, "bytes=-100000", LENGTH - 100_000..LENGTH))),
    ("Range: the last byte", |p| Box::pin(part(p, "bytes=10485759-20000000", LENGTH - 1..LENGTH))),
    ("Range past the end: 416", |p| Box::pin(unsatisfiable(p))),
    ("Range with HEAD is ignored", |p| Box::pin(head(p))),
    ("Range with a fresh If-Range: 206", |p| Box::pin(if_range(p, true))),
    ("Range with a stale If-Range: 200", |p| Box::pin(if_range(p, false))),
    ("If-None-Match: 304", |p| Box::pin(not_modified(p, "if-none-match", "\"other\", W/\"demo-a00000\""))),
    ("If-None-Match of another: 200", |p| Box::pin(modified(p))),
    ("If-Modified-Since: 304", |p| Box::pin(not_modified(p, "if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"))),
    ("If-Match of another: 412", |p| Box::pin(precondition_failed(p))),
    ("20 seeks on one connection", |p| Box::pin(seeks(p))),
];

const FILE: &str = "/files/10MiB.bin";
const LENGTH: u64 = 10 << 20;

async fn part(probe: &Probe, range: &str, expected: Range<u64>) -> Result<(), Difference> {
    let mut answer = probe.get_with(FILE, &[("range", range)]).await?.expecting(206).await?;
    answer.same_header("content-range", &content_range(&expected))?;
    answer.same_header("content-length", &(expected.end - expected.start).to_string())?;
    probe.bytes(answer.compare(Content::new(LENGTH), expected).await?);
    Ok(())
}

async fn unsatisfiable(probe: &Probe) -> Result<(), Difference> {
    let answer = probe.get_with(FILE, &[("range", "bytes=99999999-")]).await?.expecting(416).await?;
    answer.same_header("content-range", &format!("bytes */{LENGTH}"))
}

async fn head(probe: &Probe) -> Result<(), Difference> {
    let answer = probe.send_with("HEAD", FILE, &[("range", "bytes=0-9")], nothing()).await?;
    let mut answer = answer.expecting(200).await?;
    answer.same_header("content-length", &LENGTH.to_string())?;
    answer.same_header("etag", &Content::new(LENGTH).etag())?;
    same("the body", answer.text().await?, "")
}

async fn if_range(probe: &Probe, fresh: bool) -> Result<(), Difference> {
    let content = Content::new(65_537);
    let etag = if fresh { content.etag() } else { "\"stale\"".to_owned() };
    let answer = probe.get_with("/files/65537.bin", &[("range", "bytes=9-99"), ("if-range", &etag)]).await?;
    let (status, range) = if fresh { (206, 9..100) } else { (200, 0..content.length()) };
    answer.expecting(status).await?.compare(content, range).await.map(drop)
}

async fn not_modified(probe: &Probe, name: &str, value: &str) -> Result<(), Difference> {
    let mut answer = probe.get_with(FILE, &[(name, value)]).await?.expecting(304).await?;
    answer.same_header("etag", &Content::new(LENGTH).etag())?;
    same("the body", answer.text().await?, "")
}

async fn modified(probe: &Probe) -> Result<(), Difference> {
    let answer = probe.get_with("/files/100.bin", &[("if-none-match", "\"other\"")]).await?;
    answer.expecting(200).await?.compare(Content::new(100), 0..100).await.map(drop)
}

async fn precondition_failed(probe: &Probe) -> Result<(), Difference> {
    let mut answer = probe.get_with(FILE, &[("if-match", "\"other\"")]).await?.expecting(412).await?;
    same("the body", answer.text().await?, "")
}

async fn seeks(probe: &Probe) -> Result<(), Difference> {
    let mut connection = probe.keep_alive().await?;
    for number in 0..20 {
        // Odd steps, back and forth through the file.
        let start = number * 7_654_321 % (LENGTH - 100_000);
        let range = start..start + 30_001 + number;
        let request = probe.request("GET", FILE)?.header("range", format!("bytes={}-{}", range.start, range.end - 1));
        let mut answer = connection.send(request.body(nothing())?).await?.expecting(206).await?;
        answer.same_header("content-range", &content_range(&range))?;
        probe.bytes(answer.compare(Content::new(LENGTH), range).await?);
    }
    Ok(())
}

fn content_range(range: &Range<u64>) -> String {
    format!("bytes {}-{}/{LENGTH}", range.start, range.end - 1)
}

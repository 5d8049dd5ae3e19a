//! Headers arrive as they were sent.

use http::HeaderValue;
use serde_json::Value;

use super::Checks;
use crate::{
    black_box::{
        Difference,
        difference::{Context, ensure, same, shortened},
        probe::{Probe, nothing},
    },
    demo_service::{COOKIES, Content, GZIP, RAW},
};

pub(super) const CHECKS: Checks = &[
    ("request: what players and browsers send", |p| Box::pin(usual(p))),
    ("request: repeated headers, in order", |p| Box::pin(repeated(p))),
    ("request: non-ASCII bytes", |p| Box::pin(raw_in_request(p))),
    ("response: two set-cookie", |p| Box::pin(cookies(p))),
    ("response: non-ASCII bytes, empty value", |p| Box::pin(raw_in_response(p))),
    ("response: validators, type and length", |p| Box::pin(validators(p))),
    ("response: gzip stays gzip", |p| Box::pin(stays_compressed(p))),
    ("accept-encoding compresses nothing", |p| Box::pin(stays_uncompressed(p))),
    ("302 is not followed on the way", |p| Box::pin(redirect(p))),
];

async fn usual(probe: &Probe) -> Result<(), Difference> {
    let sent = [
        ("accept", "audio/flac, audio/*;q=0.8, */*;q=0.1"),
        ("accept-language", "de-CH,de;q=0.9"),
        ("content-type", "application/x-demo; charset=\"utf-8\""),
        ("cookie", "session=abc; theme=dark"),
        ("if-none-match", "W/\"a\", \"b\""),
        ("range", "bytes=0-"),
        ("referer", "http://app.example/albums/1?sort=name"),
        ("x-demo-mixed", "Case STAYS, and  two  spaces"),
    ];
    let echo = probe.get_with("/api/echo", &sent).await?.expecting(200).await?.json().await?;
    for (name, value) in sent {
        same(name, received(&echo, name)?, [value])?;
    }
    Ok(())
}

async fn repeated(probe: &Probe) -> Result<(), Difference> {
    let sent = [("x-demo-twice", "one"), ("x-demo-once", "1"), ("x-demo-twice", "two, three"), ("x-demo-twice", "")];
    let echo = probe.get_with("/api/echo", &sent).await?.expecting(200).await?.json().await?;
    same("x-demo-twice", received(&echo, "x-demo-twice")?, ["one", "two, three", ""])
}

async fn raw_in_request(probe: &Probe) -> Result<(), Difference> {
    let request = probe.request("GET", "/api/echo")?.header("x-demo-raw", HeaderValue::from_bytes(RAW)?);
    let echo = probe.send(request.body(nothing())?).await?.expecting(200).await?.json().await?;
    let latin1: String = RAW.iter().copied().map(char::from).collect();
    same("x-demo-raw", received(&echo, "x-demo-raw")?, [latin1])
}

async fn cookies(probe: &Probe) -> Result<(), Difference> {
    let answer = probe.get("/headers").await?.expecting(200).await?;
    let cookies: Vec<&[u8]> = answer.headers.get_all("set-cookie").iter().map(HeaderValue::as_bytes).collect();
    let cookies: Vec<_> = cookies.into_iter().map(String::from_utf8_lossy).collect();
    same("set-cookie", cookies, COOKIES)
}

async fn raw_in_response(probe: &Probe) -> Result<(), Difference> {
    let answer = probe.get("/headers").await?.expecting(200).await?;
    let raw = answer.headers.get("x-demo-raw").context("x-demo-raw is missing")?.as_bytes();
    ensure!(raw == RAW, "x-demo-raw is {}, expected {}", raw.escape_ascii(), RAW.escape_ascii());
    same("x-demo-empty", answer.headers.get("x-demo-empty").context("x-demo-empty is missing")?, "")
}

async fn validators(probe: &Probe) -> Result<(), Difference> {
    let answer = probe.get("/files/65537.bin").await?.expecting(200).await?;
    answer.same_header("etag", &Content::new(65_537).etag())?;
    answer.same_header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")?;
    answer.same_header("accept-ranges", "bytes")?;
    answer.same_header("content-type", "application/octet-stream")?;
    answer.same_header("content-length", "65537")
}

async fn stays_compressed(probe: &Probe) -> Result<(), Difference> {
    let mut answer = probe.get("/compressed").await?.expecting(200).await?;
    answer.same_header("content-encoding", "gzip")?;
    let body = answer.bytes().await?;
    ensure!(
        body == GZIP,
        "the body is {}, expected the gzip of the service",
        shortened(&String::from_utf8_lossy(&body))
    );
    Ok(())
}

async fn stays_uncompressed(probe: &Probe) -> Result<(), Difference> {
    let accept = [("accept-encoding", "gzip, deflate, br, zstd")];
    let mut answer = probe.get_with("/files/65537.bin", &accept).await?.expecting(200).await?;
    answer.same_header("content-encoding", "")?;
    answer.same_header("content-length", "65537")?;
    answer.compare(Content::new(65_537), 0..65_537).await.map(drop)
}

async fn redirect(probe: &Probe) -> Result<(), Difference> {
    let answer = probe.get("/redirect").await?.expecting(302).await?;
    answer.same_header("location", "/files/1.bin?from=redirect")
}

/// The values of a header that arrived, in order.
pub(super) fn received(echo: &Value, name: &str) -> Result<Vec<String>, Difference> {
    let headers = echo["headers"].as_array().context("the service does not list the headers")?;
    let values = headers.iter().filter(|header| header[0] == name).filter_map(|header| header[1].as_str());
    Ok(values.map(ToOwned::to_owned).collect())
}

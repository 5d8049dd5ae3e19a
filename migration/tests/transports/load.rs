//! Requests of many kinds, each of which checks every byte that comes back.

use std::time::Duration;

use anyhow::{Context, ensure};
use compat_tests::demo_service::Content;
use data_encoding::HEXLOWER;
use http_body_util::BodyExt;
use migration::stage::HomeClient;
use sha2::{Digest, Sha256};
use tunnel_core::Body;

/// One of them, by its number. Returns the transport that carried it.
pub(crate) async fn request(client: &HomeClient, number: u64) -> anyhow::Result<String> {
    match number % 10 {
        0..4 => file(client, 1 << 10, None).await,
        4..6 => file(client, 48 << 10, None).await,
        6 => file(client, 1 << 20, None).await,
        7 => file(client, 4 << 20, Some((1_000_000, 1_500_000))).await,
        _ => post(client, number).await,
    }
}

/// A file, or a part of one.
pub(crate) async fn file(client: &HomeClient, bytes: u64, range: Option<(u64, u64)>) -> anyhow::Result<String> {
    let mut request = http::Request::get(format!("/files/{bytes}.bin?n=1"));
    if let Some((start, end)) = range {
        request = request.header("range", format!("bytes={start}-{}", end - 1));
    }
    let (parts, ()) = request.body(())?.into_parts();
    let response = client.send(parts, Body::empty()).await?;
    let status = response.status;
    ensure!(status == if range.is_some() { 206 } else { 200 }, "status {status}");
    let transport = response.via.context("it says how it came")?.transport.name().to_owned();
    let mut hash = Sha256::new();
    let mut body = response.body;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            hash.update(&data);
        }
    }
    let (start, end) = range.unwrap_or((0, bytes));
    ensure!(HEXLOWER.encode(&hash.finalize()) == Content::new(bytes).sha256(start..end), "the content is altered");
    Ok(transport)
}

/// A JSON text, which the service must have got once and whole.
async fn post(client: &HomeClient, number: u64) -> anyhow::Result<String> {
    let filler = "x".repeat(usize::try_from(number % 1000)? * 20);
    let text = format!(r#"{{"filler":"{filler}","number":{number}}}"#);
    let sha256 = HEXLOWER.encode(&Sha256::digest(&text));
    let request = http::Request::post(format!("/api/echo/{number}")).header("content-type", "application/json");
    let (parts, ()) = request.header("content-length", text.len()).body(())?.into_parts();
    let response = client.send(parts, Body::full(text)).await?;
    ensure!(response.status == 200, "status {}", response.status);
    let transport = response.via.context("it says how it came")?.transport.name().to_owned();
    let echo: serde_json::Value = serde_json::from_slice(&response.body.collect().await?.to_bytes())?;
    ensure!(echo["body_sha256"] == sha256, "the body is altered: {echo}");
    ensure!(echo["method"] == "POST" && echo["target"] == format!("/api/echo/{number}"), "altered: {echo}");
    Ok(transport)
}

/// As long as nothing hangs.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

//! Sizes that occur in practice pass.

use super::{Checks, headers::received, queries};
use crate::black_box::{Difference, difference::same, probe::Probe};

pub(super) const CHECKS: Checks = &[
    ("a query of 8 KiB", |p| Box::pin(query(p))),
    ("a request header of 16 KiB", |p| Box::pin(request_header(p))),
    ("64 request headers", |p| Box::pin(many_headers(p))),
    ("a response header of 16 KiB", |p| Box::pin(response_header(p))),
];

async fn query(probe: &Probe) -> Result<(), Difference> {
    queries::echo(probe, &format!("/api/echo?ids={}", "0123456,".repeat(1024))).await
}

async fn request_header(probe: &Probe) -> Result<(), Difference> {
    let value = "0123456789abcdef".repeat(1024);
    let echo = probe.get_with("/api/echo", &[("x-demo-long", &value)]).await?.expecting(200).await?.json().await?;
    same("x-demo-long", received(&echo, "x-demo-long")?, [value])
}

async fn many_headers(probe: &Probe) -> Result<(), Difference> {
    let mut request = probe.request("GET", "/api/echo")?;
    for number in 0..64 {
        request = request.header(format!("x-demo-{number}"), number);
    }
    let echo = probe.send(request.body(super::super::probe::nothing())?).await?.expecting(200).await?.json().await?;
    for number in 0..64 {
        let name = format!("x-demo-{number}");
        same(&name, received(&echo, &name)?, [number.to_string()])?;
    }
    Ok(())
}

async fn response_header(probe: &Probe) -> Result<(), Difference> {
    let answer = probe.get("/headers?bytes=16384").await?.expecting(200).await?;
    answer.same_header("x-demo-long", &"l".repeat(16_384))
}

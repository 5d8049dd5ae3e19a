//! Any method arrives, with its body.

use super::Checks;
use crate::black_box::{
    Difference,
    difference::{ensure, same, same_json},
    probe::{Probe, nothing, piece},
};

pub(super) const CHECKS: Checks = &[
    ("GET /api/echo", |p| Box::pin(echo(p, "GET", None))),
    ("HEAD /api/echo", |p| Box::pin(head(p))),
    ("POST /api/echo", |p| Box::pin(echo(p, "POST", BODY))),
    ("PUT /api/echo", |p| Box::pin(echo(p, "PUT", BODY))),
    ("PATCH /api/echo", |p| Box::pin(echo(p, "PATCH", BODY))),
    ("DELETE /api/echo", |p| Box::pin(echo(p, "DELETE", None))),
    ("DELETE /api/echo with a body", |p| Box::pin(echo(p, "DELETE", BODY))),
    ("OPTIONS /api/echo", |p| Box::pin(echo(p, "OPTIONS", None))),
    ("PROPFIND /api/echo", |p| Box::pin(echo(p, "PROPFIND", BODY))),
];

const BODY: Option<&[u8]> = Some(b"\x00\xff not text\r\n\r\n");

async fn echo(probe: &Probe, method: &str, body: Option<&'static [u8]>) -> Result<(), Difference> {
    let outgoing = body.map_or_else(nothing, piece);
    let answer = probe.send_with(method, "/api/echo", &[("accept", "application/json")], outgoing).await?;
    let echo = answer.expecting(200).await?.json().await?;
    same_json("the method", &echo["method"], method)?;
    same_json("the length of the body", &echo["body_bytes"], body.unwrap_or_default().len())?;
    same_json("the SHA-256 of the body", &echo["body_sha256"], super::uploads::sha256(body.unwrap_or_default()))
}

async fn head(probe: &Probe) -> Result<(), Difference> {
    let answer = probe.send_with("HEAD", "/api/echo", &[], nothing()).await?;
    let mut answer = answer.expecting(200).await?;
    answer.same_header("x-demo-method", "HEAD")?;
    ensure!(!answer.header("content-length").is_empty(), "content-length is missing");
    same("the body", answer.text().await?, "")
}

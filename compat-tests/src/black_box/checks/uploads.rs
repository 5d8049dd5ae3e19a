//! Bodies of requests arrive whole, and nobody waits for their end who need not.

use std::{io, time::Duration};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{sync::mpsc, time::sleep};

use super::Checks;
use crate::{
    black_box::{
        Difference,
        difference::{Context, ensure, same, same_json},
        probe::{Outgoing, Probe, nothing, piece},
    },
    demo_service::Content,
};

pub(super) const CHECKS: Checks = &[
    ("POST without a body", |p| Box::pin(empty(p))),
    ("POST 1 MiB of JSON", |p| Box::pin(json_document(p))),
    ("POST 10 MiB without a declared length", |p| Box::pin(upload(p, "POST", false))),
    ("PUT 10 MiB of a declared length", |p| Box::pin(upload(p, "PUT", true))),
    ("POST in pieces with pauses", |p| Box::pin(in_pieces(p))),
    ("POST with expect: 100-continue", |p| Box::pin(expect_continue(p))),
    ("the answer begins before the upload ends", |p| Box::pin(answered_early(p))),
    ("4 MiB up and down at the same time", |p| Box::pin(both_ways(p))),
];

const MIB: u64 = 1 << 20;

/// How many pieces of a streamed body wait to be sent.
const PIECES: usize = 4;

/// The SHA-256 in hexadecimal, as the service writes it.
pub(super) fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// A body of unknown length.
pub(super) fn streamed(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Outgoing {
    StreamBody::new(stream::iter(pieces.map(|piece| Ok::<_, io::Error>(Frame::data(piece))))).boxed_unsync()
}

/// A body that is sent while it is made.
pub(super) fn channel() -> (mpsc::Sender<Bytes>, Outgoing) {
    let (sender, mut receiver) = mpsc::channel(PIECES);
    let pieces = stream::poll_fn(move |cx| receiver.poll_recv(cx)).map(|piece| Ok::<_, io::Error>(Frame::data(piece)));
    (sender, StreamBody::new(pieces).boxed_unsync())
}

fn received(answer: &Value, length: u64, sha256: &str) -> Result<(), Difference> {
    same_json("the length that arrived", &answer["bytes"], length)?;
    same_json("the SHA-256 of what arrived", &answer["sha256"], sha256)
}

async fn empty(probe: &Probe) -> Result<(), Difference> {
    let answer = probe.send_with("POST", "/upload", &[("content-length", "0")], nothing()).await?;
    received(&answer.expecting(200).await?.json().await?, 0, &sha256(b""))
}

async fn json_document(probe: &Probe) -> Result<(), Difference> {
    // Keys out of order, spaces, numbers that a parser would round: what re-serialising would change.
    let mut document = String::from("{ \"z\": 1.10, \"a\": 12345678901234567890123, \"list\": [");
    while document.len() < 1 << 20 {
        document += "{\"title\": \"caf\\u00e9 \u{266b}\",  \"id\":1}, ";
    }
    document += "null ] }";
    let (length, hash) = (document.len(), sha256(document.as_bytes()));
    let headers = [("content-type", "application/json")];
    let answer = probe.send_with("POST", "/api/echo", &headers, piece(document)).await?;
    let echo = answer.expecting(200).await?.json().await?;
    probe.bytes(length as u64);
    same_json("the length that arrived", &echo["body_bytes"], length)?;
    same_json("the SHA-256 of what arrived", &echo["body_sha256"], hash)?;
    same("content-type", super::headers::received(&echo, "content-type")?, ["application/json"])
}

async fn upload(probe: &Probe, method: &str, declared: bool) -> Result<(), Difference> {
    let content = Content::new(10 * MIB);
    let length = content.length().to_string();
    let headers = if declared { &[("content-length", length.as_str())][..] } else { &[] };
    let answer = probe.send_with(method, "/upload", headers, streamed(content.pieces(0..10 * MIB))).await?;
    let answer = answer.expecting(200).await?.json().await?;
    probe.bytes(content.length());
    received(&answer, content.length(), &content.sha256(0..10 * MIB))
}

async fn in_pieces(probe: &Probe) -> Result<(), Difference> {
    let (sender, body) = channel();
    let send = async {
        for number in 0..10_u8 {
            // Whoever reads has gone: its answer says why.
            _ = sender.send(Bytes::from(vec![number; 1000])).await;
            sleep(Duration::from_millis(10)).await;
        }
        drop(sender);
    };
    let (answer, ()) = futures::join!(probe.send_with("POST", "/upload", &[], body), send);
    let expected: Vec<u8> = (0..10_u8).flat_map(|number| vec![number; 1000]).collect();
    received(&answer?.expecting(200).await?.json().await?, 10_000, &sha256(&expected))
}

async fn expect_continue(probe: &Probe) -> Result<(), Difference> {
    let mut raw = probe.raw().await?;
    raw.request("POST", "/upload", &["expect: 100-continue", "content-length: 7"]).await?;
    let interim = raw.head().await?;
    same("the status before the body was sent", interim.status, 100)?;
    raw.send(b"content").await?;
    let head = raw.head().await?;
    same("the status", head.status, 200)?;
    let answer: Value = serde_json::from_slice(&raw.body(&head).await?).context("the body is not JSON")?;
    received(&answer, 7, &sha256(b"content"))?;
    same_json("the trailers", &answer["trailers"], json!([]))
}

async fn answered_early(probe: &Probe) -> Result<(), Difference> {
    let (sender, body) = channel();
    let send = async |piece: &'static [u8]| sender.send(Bytes::from_static(piece)).await.context("the upload ended");
    send(b"first").await?;
    let mut answer = probe.send_with("POST", "/duplex", &[], body).await.context("while the upload is open")?;
    for (arrived, next) in [(&b"first"[..], b"second"), (b"second", b" third")] {
        let piece = answer.piece().await.context("while the upload is open")?.context("the answer ended early")?;
        ensure!(piece == arrived, "{} came back, expected {}", piece.escape_ascii(), arrived.escape_ascii());
        send(next).await?;
    }
    drop(sender);
    same("the end of the answer", answer.text().await?, " third")
}

async fn both_ways(probe: &Probe) -> Result<(), Difference> {
    let content = Content::new(4 * MIB);
    let answer = probe.send_with("POST", "/duplex", &[], streamed(content.pieces(0..4 * MIB))).await?;
    probe.bytes(answer.expecting(200).await?.compare(content, 0..4 * MIB).await?);
    Ok(())
}

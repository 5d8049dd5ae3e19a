//! What the demo asks through the gateway, and what must come back.

use std::{io, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::{future::try_join_all, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::{
    client::{Answer, Client, nothing, piece},
    report::{Report, Seen},
    service::Content,
};

const MIB: u64 = 1 << 20;

/// The sizes that are downloaded: the edges of a 64 KiB buffer, and two that last.
const FILES: [(&str, u64); 7] = [
    ("0", 0),
    ("1", 1),
    ("65535", 65_535),
    ("65536", 65_536),
    ("65537", 65_537),
    ("10MiB", 10 * MIB),
    ("256MiB", 256 * MIB),
];

/// How many checks [`run`] makes.
pub(super) const COUNT: u64 = FILES.len() as u64 + 17;

/// How many downloads run at once in the parallel check.
const PARALLEL: usize = 8;

/// How long the service may take to notice that a client has left.
const ABORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The server-sent events that are read.
const EVENTS: usize = 5;

/// Makes every check, one after the other.
pub(super) async fn run(client: Client, report: &mut Report) {
    for (name, length) in FILES {
        let target = format!("/files/{name}.bin");
        // Known beforehand, so that making it up does not count as transfer time.
        let expected = Content::new(length).sha256(0..length);
        report.check(&format!("GET {target}"), async |seen| download(client, &target, &expected, seen).await).await;
    }
    files(client, report).await;
    report.check("PROPFIND /api/echo//%2e?a=1&a=2", async |seen| echo(client, seen).await).await;
    report.check("POST /upload 10 MiB", async |seen| upload(client, seen).await).await;
    report.check("POST /upload with trailers", async |seen| trailers(client, seen).await).await;
    report.check("GET /sse", async |seen| events(client, seen).await).await;
    report.check("WS /ws text, binary, close", async |seen| web_socket(client, seen).await).await;
    report.check("WS /ws closed by the service", async |seen| web_socket_closed(client, seen).await).await;
    for code in [404, 500] {
        let name = format!("GET /status/{code}");
        report.check(&name, async |seen| status(client, code, seen).await).await;
    }
    report.check("GET /slow?ms=500", async |seen| slow(client, seen).await).await;
    report.check("GET /endless, aborted", async |seen| abort(client, seen).await).await;
    let name = format!("GET /files/10MiB.bin, {PARALLEL} at once");
    report.check(&name, async |seen| parallel(client, seen).await).await;
}

async fn files(client: Client, report: &mut Report) {
    let content = Content::new(10 * MIB);
    report.check("HEAD /files/10MiB.bin", async |seen| head(client, content, seen).await).await;
    for (name, header, range) in [
        ("GET bytes=1000-70000", "bytes=1000-70000", 1000..70_001),
        ("GET bytes=-100000 (suffix)", "bytes=-100000", content.length() - 100_000..content.length()),
    ] {
        report.check(name, async |seen| part(client, content, header, range, seen).await).await;
    }
    report
        .check("GET bytes=99999999- (past the end)", async |seen| {
            let request = Request::get("/files/10MiB.bin").header("range", "bytes=99999999-").body(nothing())?;
            let answer = expect(client.send(request).await?, StatusCode::RANGE_NOT_SATISFIABLE, seen)?;
            same("content-range", answer.header("content-range"), &format!("bytes */{}", content.length()))
        })
        .await;
    report
        .check("GET If-None-Match", async |seen| {
            let request = Request::get("/files/10MiB.bin").header("if-none-match", content.etag()).body(nothing())?;
            let mut answer = expect(client.send(request).await?, StatusCode::NOT_MODIFIED, seen)?;
            same("etag", answer.header("etag"), &content.etag())?;
            same("body", &answer.bytes().await?.len().to_string(), "0")
        })
        .await;
    report
        .check("GET Range with a stale If-Range", async |seen| {
            let request = Request::get("/files/65537.bin").header("range", "bytes=0-9").header("if-range", "\"stale\"");
            let mut answer = expect(client.send(request.body(nothing())?).await?, StatusCode::OK, seen)?;
            let (length, _) = answer.digest().await?;
            same("length", &length.to_string(), "65537")
        })
        .await;
}

async fn download(client: Client, target: &str, sha256: &str, seen: &mut Seen) -> Result<()> {
    let mut answer = expect(client.get(target).await?, StatusCode::OK, seen)?;
    let (length, received) = answer.digest().await?;
    seen.bytes(length);
    same("SHA-256", &received, sha256)
}

async fn head(client: Client, content: Content, seen: &mut Seen) -> Result<()> {
    let request = Request::head("/files/10MiB.bin").body(nothing())?;
    let mut answer = expect(client.send(request).await?, StatusCode::OK, seen)?;
    same("content-length", answer.header("content-length"), &content.length().to_string())?;
    same("etag", answer.header("etag"), &content.etag())?;
    same("body", &answer.bytes().await?.len().to_string(), "0")
}

async fn part(
    client: Client,
    content: Content,
    header: &str,
    range: std::ops::Range<u64>,
    seen: &mut Seen,
) -> Result<()> {
    let request = Request::get("/files/10MiB.bin").header("range", header).header("if-range", content.etag());
    let mut answer = expect(client.send(request.body(nothing())?).await?, StatusCode::PARTIAL_CONTENT, seen)?;
    let content_range = format!("bytes {}-{}/{}", range.start, range.end - 1, content.length());
    same("content-range", answer.header("content-range"), &content_range)?;
    let (length, received) = answer.digest().await?;
    seen.bytes(length);
    same("SHA-256", &received, &content.sha256(range))
}

async fn echo(client: Client, seen: &mut Seen) -> Result<()> {
    let target = "/api/echo//%2e?a=1&a=2&b=%20+";
    let body = b"\x00\xff not text".as_slice();
    let request = Request::builder()
        .method(Method::from_bytes(b"PROPFIND")?)
        .uri(target)
        .header("x-twice", "one")
        .header("x-twice", "two")
        .body(piece(body))?;
    let mut answer = expect(client.send(request).await?, StatusCode::OK, seen)?;
    let echoed: Value = serde_json::from_slice(&answer.bytes().await?)?;
    same("method", echoed["method"].as_str().unwrap_or_default(), "PROPFIND")?;
    same("target", echoed["target"].as_str().unwrap_or_default(), target)?;
    let headers = echoed["headers"].as_array().context("no headers in the echo")?;
    let twice: Vec<&str> =
        headers.iter().filter(|header| header[0] == "x-twice").filter_map(|header| header[1].as_str()).collect();
    same("x-twice", &twice.join(","), "one,two")?;
    same("body", &echoed["body_bytes"].to_string(), &body.len().to_string())
}

async fn upload(client: Client, seen: &mut Seen) -> Result<()> {
    let content = Content::new(10 * MIB);
    let pieces = content.pieces(0..content.length()).map(|piece| Ok::<_, io::Error>(Frame::data(piece)));
    let request = Request::post("/upload").body(StreamBody::new(stream::iter(pieces)).boxed_unsync())?;
    let mut answer = expect(client.send(request).await?, StatusCode::OK, seen)?;
    let received: Value = serde_json::from_slice(&answer.bytes().await?)?;
    seen.bytes(content.length());
    same("SHA-256", received["sha256"].as_str().unwrap_or_default(), &content.sha256(0..content.length()))
}

async fn trailers(client: Client, seen: &mut Seen) -> Result<()> {
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("42"))]);
    let frames = [Ok::<_, io::Error>(Frame::data(Bytes::from_static(b"content"))), Ok(Frame::trailers(trailers))];
    let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
    let request = Request::post("/upload").header(header::TRAILER, "x-sum").body(body)?;
    let mut answer = expect(client.send(request).await?, StatusCode::OK, seen)?;
    let received: Value = serde_json::from_slice(&answer.bytes().await?)?;
    same("length", &received["bytes"].to_string(), "7")?;
    same("trailers", &received["trailers"].to_string(), r#"[["x-sum","42"]]"#)
}

async fn events(client: Client, seen: &mut Seen) -> Result<()> {
    let mut answer = expect(client.get(&format!("/sse?count={EVENTS}")).await?, StatusCode::OK, seen)?;
    let start = Instant::now();
    let first = answer.piece().await?.context("no event")?;
    let first_after = start.elapsed();
    let rest = answer.bytes().await?;
    let all = start.elapsed();
    ensure!(first.starts_with(b"id: 0\n"), "the first event is not the first");
    same("events", &text(&first, &rest).matches("\n\n").count().to_string(), &EVENTS.to_string())?;
    ensure!(first_after * 2 < all, "the first event came only after {first_after:?} of {all:?}: it was held back");
    Ok(())
}

fn text(first: &Bytes, rest: &[u8]) -> String {
    String::from_utf8_lossy(&[first, rest].concat()).into_owned()
}

async fn web_socket(client: Client, seen: &mut Seen) -> Result<()> {
    let (mut socket, headers) = client.web_socket("/ws").await?;
    seen.head(101, &headers);
    let protocol = headers.get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
    same("subprotocol", protocol.unwrap_or_default(), "echo.v1")?;
    let binary: Bytes = Content::new(200_000).pieces(0..200_000).flatten().collect();
    for message in [Message::text("gr\u{fc}\u{df} dich"), Message::binary(binary), Message::text("")] {
        socket.send(message.clone()).await?;
        ensure!(socket.receive().await? == message, "the echo differs");
    }
    socket.send(Message::Close(Some(CloseFrame { code: CloseCode::from(4321), reason: "done".into() }))).await?;
    match socket.receive().await? {
        Message::Close(Some(frame)) => same("close code", &u16::from(frame.code).to_string(), "4321"),
        other => bail!("instead of a close came {} bytes", other.len()),
    }
}

async fn web_socket_closed(client: Client, seen: &mut Seen) -> Result<()> {
    let (mut socket, headers) = client.web_socket("/ws").await?;
    seen.head(101, &headers);
    socket.send(Message::text("close 4999 that is all")).await?;
    match socket.receive().await? {
        Message::Close(Some(frame)) => {
            same("close code", &u16::from(frame.code).to_string(), "4999")?;
            same("close reason", frame.reason.as_str(), "that is all")
        }
        other => bail!("instead of a close came {} bytes", other.len()),
    }
}

async fn status(client: Client, code: u16, seen: &mut Seen) -> Result<()> {
    let answer = expect(client.get(&format!("/status/{code}")).await?, StatusCode::from_u16(code)?, seen)?;
    same("x-demo-status", answer.header("x-demo-status"), &code.to_string())
}

async fn slow(client: Client, seen: &mut Seen) -> Result<()> {
    let mut answer = expect(client.get("/slow?ms=500").await?, StatusCode::OK, seen)?;
    same("body", &String::from_utf8_lossy(&answer.bytes().await?), "answered after 500 ms\n")
}

async fn abort(client: Client, seen: &mut Seen) -> Result<()> {
    let mut answer = expect(client.get("/endless").await?, StatusCode::OK, seen)?;
    let mut received = 0;
    while received < 256 << 10 {
        received += answer.piece().await?.context("the endless stream ended")?.len();
    }
    ensure!(endless(client).await? == 1, "the service does not count the stream");
    drop(answer);
    let start = Instant::now();
    while endless(client).await? > 0 {
        ensure!(start.elapsed() < ABORT_TIMEOUT, "the service did not notice that its client left");
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn endless(client: Client) -> Result<u64> {
    let active: Value = serde_json::from_slice(&client.get("/active").await?.bytes().await?)?;
    active["endless"].as_u64().context("no count of endless streams")
}

async fn parallel(client: Client, seen: &mut Seen) -> Result<()> {
    let length = 10 * MIB;
    let expected = Content::new(length).sha256(0..length);
    let downloads = (0..PARALLEL).map(|_| async {
        let mut seen = Seen::default();
        download(client, "/files/10MiB.bin", &expected, &mut seen).await.map(|()| seen)
    });
    for one in try_join_all(downloads).await? {
        seen.add(one);
    }
    Ok(())
}

fn expect(answer: Answer, status: StatusCode, seen: &mut Seen) -> Result<Answer> {
    seen.answer(&answer);
    let reason = answer.header("x-tunnel-reason");
    ensure!(answer.status == status, "the status is {} {reason}, expected {status}", answer.status);
    Ok(answer)
}

fn same(what: &str, got: &str, expected: &str) -> Result<()> {
    ensure!(got == expected, "{what} is {got:?}, expected {expected:?}");
    Ok(())
}

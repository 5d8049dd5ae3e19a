//! Trailers pass both ways.

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;

use super::Checks;
use crate::black_box::{
    Difference,
    difference::{same, same_json},
    probe::Probe,
};

pub(super) const CHECKS: Checks = &[
    ("trailers of a request", |p| Box::pin(of_a_request(p))),
    ("trailers of a response", |p| Box::pin(of_a_response(p))),
    ("no trailers for who does not ask", |p| Box::pin(unasked(p))),
];

const BODY: &str = "content before trailers\n";

async fn of_a_request(probe: &Probe) -> Result<(), Difference> {
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("42"))]);
    let frames = [Frame::data(Bytes::from_static(b"content")), Frame::trailers(trailers)];
    let body = StreamBody::new(stream::iter(frames.map(Ok))).boxed_unsync();
    let answer = probe.send_with("POST", "/upload", &[("trailer", "x-sum")], body).await?;
    let received = answer.expecting(200).await?.json().await?;
    same_json("the length of the body", &received["bytes"], 7)?;
    same_json("the trailers", &received["trailers"], json!([["x-sum", "42"]]))
}

async fn of_a_response(probe: &Probe) -> Result<(), Difference> {
    // TE belongs to the hop, so Connection has to name it (RFC 9110 §10.1.4).
    let asks = [("te", "trailers"), ("connection", "te")];
    let mut answer = probe.get_with("/trailers", &asks).await?.expecting(200).await?;
    same("the body", answer.text().await?, BODY)?;
    let text = |name| answer.trailers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    same("the trailer x-demo-sum", text("x-demo-sum"), "42")?;
    same("the trailer x-demo-end", text("x-demo-end"), "all sent")
}

async fn unasked(probe: &Probe) -> Result<(), Difference> {
    let mut answer = probe.get("/trailers").await?.expecting(200).await?;
    same("the body", answer.text().await?, BODY)?;
    same("the number of trailers", answer.trailers().len(), 0)
}

//! What is not sent at all.

use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use tunnel_core::{
    Body, Failure, FailureKind, Transport,
    convert::{LossPolicy, PAYLOAD_BYTES_MAX},
};
use tunnel_legacy::LegacyClient;

use crate::support::{answering, bytes, client, config, get, post};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A body that arrives in pieces, of which nobody knows the length.
fn streamed(pieces: Vec<Result<Frame<Bytes>, Failure>>) -> Body {
    Body::stream(StreamBody::new(stream::iter(pieces)))
}

fn data(bytes: impl Into<Bytes>) -> Frame<Bytes> {
    Frame::data(bytes.into())
}

#[tokio::test(start_paused = true)]
async fn what_would_be_lost_is_refused_before_anything_is_sent() {
    let (seen, connect) = answering(OK);
    let client = client(connect);
    let error = client.send(post("/a", Body::full("not json"))).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::Unsupported);
    assert_eq!(bytes(error.into_request().unwrap().body).await, b"not json");
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_policy_says_what_may_be_lost() {
    let (seen, connect) = answering(OK);
    let mut config = config();
    config.losses = LossPolicy::allowing([]);
    let client = LegacyClient::with_connector(config, connect).unwrap();
    let mut request = get("/a");
    let tunnel_core::RequestHead::Http(parts) = &mut request.head else { unreachable!() };
    parts.headers.insert("cookie", "a=1".parse().unwrap());
    assert_eq!(client.can_carry(&request).unwrap_err().kind(), FailureKind::Unsupported);
    let error = client.send(request).await.unwrap_err();
    assert!(error.failure().message().contains("cookie"), "{error}");
    client.send(get("/a")).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_body_is_collected() {
    let (seen, connect) = answering(OK);
    let client = client(connect);
    let request = post("/a", streamed(vec![Ok(data("{\"a\"")), Ok(data(":1}"))]));
    assert!(client.can_carry(&request).is_ok());
    client.send(request).await.unwrap();
    assert!(seen.lock().unwrap()[0].ends_with("\r\n\r\n{\"a\":1}"));

    let request = post("/a", streamed(vec![Ok(data("{\"a\""))]));
    let error = client.send(request).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::Unsupported);
    assert_eq!(bytes(error.into_request().unwrap().body).await, b"{\"a\"");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_turns_out_too_long_comes_back_whole() {
    let (seen, connect) = answering(OK);
    let client = client(connect);
    assert_eq!(client.body_bytes_max(), Some(PAYLOAD_BYTES_MAX));
    let pieces = (0..5).map(|_| Ok(data(vec![b'1'; 100_000]))).collect();
    let error = client.send(post("/a", streamed(pieces))).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::TooLarge);
    assert_eq!(bytes(error.into_request().unwrap().body).await, vec![b'1'; 500_000]);
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_was_never_sent() {
    let (seen, connect) = answering(OK);
    let client = client(connect);
    let gone = Failure::new(FailureKind::Aborted, "the app left");
    let error = client.send(post("/a", streamed(vec![Ok(data("{")), Err(gone.clone())]))).await.unwrap_err();
    assert_eq!((error.failure(), error.may_have_been_delivered()), (&gone, false));

    let silent = Body::stream(StreamBody::new(stream::pending::<Result<Frame<Bytes>, Failure>>()));
    let start = tokio::time::Instant::now();
    let error = client.send(post("/a", silent)).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::Timeout);
    assert_eq!(start.elapsed(), Duration::from_mins(5));

    let trailers = Ok(Frame::trailers(http::HeaderMap::new()));
    let error = client.send(post("/a", streamed(vec![Ok(data("{}")), trailers]))).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::Unsupported);
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let connect = || std::future::ready(Err::<tokio::io::DuplexStream, _>(std::io::ErrorKind::Other.into()));
    let refused = |change: fn(&mut tunnel_legacy::LegacyConfig)| {
        let mut config = config();
        change(&mut config);
        LegacyClient::with_connector(config, connect).err().unwrap().to_string()
    };
    assert!(refused(|config| config.token = Some("Bearer x".to_owned())).contains("without `Bearer`"));
    assert!(refused(|config| config.client_id = Some(String::new())).contains("client_id"));
    assert!(refused(|config| config.head_timeout = Duration::ZERO).contains("head_timeout"));
    let shown = format!("{:?}", config());
    assert!(!shown.contains("secret"), "{shown}");
}

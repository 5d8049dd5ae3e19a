//! The body of a request, read whole.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;
use tunnel_core::{Failure, FailureKind, convert::PAYLOAD_BYTES_MAX};

use super::reply::{self, Refusal};

/// How much of a refused body is read and thrown away, in bytes.
const DRAIN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long that may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the body. A longer one than hosts are sent is refused or, if `drop_long`, read to its end and forgotten.
/// Dropping the future stops reading.
pub(super) async fn read(body: &mut Incoming, drop_long: bool, limit: Duration) -> Result<Bytes, Refusal> {
    match timeout(limit, collect(body, drop_long)).await {
        Ok(read) => read,
        Err(_) => Err(reply::refusal(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body of the request took longer than {limit:?}"),
        )),
    }
}

async fn collect(body: &mut Incoming, drop_long: bool) -> Result<Bytes, Refusal> {
    let too_long = || {
        reply::failed(&Failure::new(
            FailureKind::TooLarge,
            format!(
                "the body of the request has more than {PAYLOAD_BYTES_MAX} bytes, which is all that the tunnel takes"
            ),
        ))
    };
    let lower = http_body::Body::size_hint(body).lower();
    if lower > PAYLOAD_BYTES_MAX as u64 && !drop_long {
        return Err(too_long());
    }
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    let mut read = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| reply::refusal(StatusCode::BAD_REQUEST, "the body of the request broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        read = read.saturating_add(data.len());
        if read > PAYLOAD_BYTES_MAX {
            if !drop_long {
                return Err(too_long());
            }
            (first, joined) = (Bytes::new(), BytesMut::new());
        } else if first.is_empty() && joined.is_empty() {
            first = data;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&data);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

/// Reads on after a refusal, for a moment: bytes that arrive at a closed socket make the system reset the connection, and
/// the app then loses the answer (RFC 9112 §9.6).
pub(super) async fn drain(body: &mut Incoming) {
    let _ = timeout(DRAIN_TIMEOUT, async {
        let mut left = DRAIN_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    })
    .await;
}

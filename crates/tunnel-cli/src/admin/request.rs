//! Asking the admin endpoint of a running gateway or host.

use std::{fmt, net::SocketAddr, str::FromStr, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, runtime::Handle, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::guard::X_TUNNEL_ADMIN;
use crate::error::CliError;

/// It is on this machine and never waits for anything.
const TIMEOUT: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where an admin endpoint is: `127.0.0.1:8018` or `http://127.0.0.1:8018`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AdminAddress(pub(crate) SocketAddr);

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.strip_prefix("http://").unwrap_or(text);
        let address = address.strip_suffix('/').unwrap_or(address);
        let address = if let Some(port) = address.strip_prefix("localhost:") {
            format!("127.0.0.1:{port}")
        } else {
            address.to_owned()
        };
        address.parse().map(Self).map_err(|_| format!("{text:?} is not an address: write it as in 127.0.0.1:8018"))
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

/// A GET of this path and query. Dropping the future abandons it.
pub(crate) async fn ask(address: AdminAddress, target: &str) -> Result<Value, CliError> {
    answered(address, Request::get(target).body(Full::default())).await
}

/// A POST of this object. Dropping the future leaves open whether it was obeyed.
pub(crate) async fn tell(address: AdminAddress, path: &str, value: &Value) -> Result<Value, CliError> {
    let request = Request::post(path).header(X_TUNNEL_ADMIN, "1").body(Full::from(value.to_string()));
    answered(address, request).await
}

async fn answered(
    address: AdminAddress,
    request: Result<Request<Full<Bytes>>, http::Error>,
) -> Result<Value, CliError> {
    let not_there = |cause: anyhow::Error| {
        CliError::start(format!("nobody answers at {address}"))
            .because(cause)
            .next("start the gateway or the host with `--admin ADDRESS:PORT`, and give the same address here")
    };
    let asked = timeout(TIMEOUT, exchange(address, request)).await;
    let (status, body) =
        asked.map_err(|_| not_there(anyhow::anyhow!("it took longer than {TIMEOUT:?}")))?.map_err(not_there)?;
    let value: Value = serde_json::from_slice(&body).map_err(|_| {
        CliError::failed(format!("what is at {address} is not the admin endpoint of tunnel-p2p (status {status})"))
            .next("give the address that the gateway or the host has as `--admin`, not the one it listens on")
    })?;
    match value["error"].as_str() {
        Some(error) if !status.is_success() => Err(CliError::failed(format!("{address} refuses: {error}"))),
        _ => Ok(value),
    }
}

async fn exchange(
    address: AdminAddress,
    request: Result<Request<Full<Bytes>>, http::Error>,
) -> anyhow::Result<(http::StatusCode, Bytes)> {
    let mut request = request?;
    request.headers_mut().insert(header::HOST, address.0.to_string().parse()?);
    let stream = TcpStream::connect(address.0).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let _connection = AbortOnDropHandle::new(Handle::current().spawn(async move { connection.await.is_ok() }));
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| anyhow::anyhow!(error))?;
    Ok((parts.status, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_written_as_urls() {
        let expected = AdminAddress(([127, 0, 0, 1], 8018).into());
        for text in ["127.0.0.1:8018", "http://127.0.0.1:8018", "http://127.0.0.1:8018/", "localhost:8018"] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        assert_eq!("[::1]:1".parse::<AdminAddress>().unwrap().to_string(), "http://[::1]:1");
        for wrong in ["", "8018", "https://127.0.0.1:8018", "127.0.0.1", "http://127.0.0.1:8018/status"] {
            assert!(wrong.parse::<AdminAddress>().is_err(), "{wrong}");
        }
    }
}

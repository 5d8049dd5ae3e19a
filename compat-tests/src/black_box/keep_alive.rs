//! A connection that serves one request after the other.

use http::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::{
    answer::Answer,
    difference::{Context, Difference},
    probe::{Outgoing, Probe},
};

/// An HTTP/1.1 connection. Dropping it closes it.
#[derive(Debug)]
pub(super) struct KeepAlive<'a> {
    probe: &'a Probe,
    sender: http1::SendRequest<Outgoing>,
    driver: JoinSet<bool>,
}

impl<'a> KeepAlive<'a> {
    pub(super) async fn new(probe: &'a Probe, stream: TcpStream) -> Result<Self, Difference> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        // What breaks the connection also breaks the response, where it is reported.
        driver.spawn(async move { connection.await.is_ok() });
        Ok(Self { probe, sender, driver })
    }

    /// Sends a request, as soon as the response before has been read.
    pub(super) async fn send(&mut self, request: Request<Outgoing>) -> Result<Answer, Difference> {
        let wait = self.probe.timeout();
        let ready = timeout(wait, self.sender.ready()).await;
        ready
            .map_err(|_| self.probe.stalled("the connection did not become free"))?
            .context("the connection was closed instead of kept")?;
        let response = timeout(wait, self.sender.send_request(request)).await;
        let response = response.map_err(|_| self.probe.stalled("no response head came"))?;
        let (head, body) = response.context("no response came")?.into_parts();
        self.probe.note(head.status, &head.headers);
        Ok(Answer::new(head.status, head.headers, body, wait))
    }

    /// The task that moves the bytes.
    pub(super) fn into_driver(self) -> JoinSet<bool> {
        self.driver
    }
}

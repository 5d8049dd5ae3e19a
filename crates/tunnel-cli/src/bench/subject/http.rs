//! HTTP/1.1 over kept connections, as an app would speak it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use http::{Method, Request, header};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::{Exchange, Subject};
use crate::bench::load::{self, Pieces};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A server, and the connections to it that are idle: at most as many as there were exchanges at once.
#[derive(Clone)]
pub(in crate::bench) struct Http {
    address: SocketAddr,
    idle: Arc<Mutex<Vec<Connection>>>,
}

struct Connection {
    sender: SendRequest<Pieces>,
    _driver: JoinSet<bool>,
}

impl Http {
    /// A client of the server at `address`.
    pub(in crate::bench) fn new(address: SocketAddr) -> Self {
        Self { address, idle: Arc::default() }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An idle connection that the server has not closed meanwhile, or a new one.
    async fn ready(&self) -> Result<Connection> {
        loop {
            let idle = self.idle().pop();
            let Some(mut connection) = idle else { return self.connect().await };
            if connection.sender.ready().await.is_ok() {
                return Ok(connection);
            }
        }
    }

    async fn connect(&self) -> Result<Connection> {
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(self.address)).await.context("no connection")??;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        // What breaks the connection also breaks the response, where it is reported.
        driver.spawn(async move { connection.await.is_ok() });
        Ok(Connection { sender, _driver: driver })
    }
}

impl Subject for Http {
    async fn exchange(&self, exchange: Exchange) -> Result<()> {
        let mut connection = self.ready().await?;
        let method = if exchange.sent == 0 { Method::GET } else { Method::POST };
        let request = Request::builder()
            .method(method)
            .uri(format!("/{}", exchange.received))
            .header(header::HOST, self.address.to_string())
            .body(Pieces::new(exchange.sent))?;
        let response = connection.sender.send_request(request).await?;
        ensure!(response.status().is_success(), "the answer is {}", response.status());
        let received = load::read(response.into_body()).await?;
        ensure!(received == exchange.received, "{received} bytes came instead of {}", exchange.received);
        self.idle().push(connection);
        Ok(())
    }
}
